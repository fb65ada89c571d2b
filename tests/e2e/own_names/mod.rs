//! Stages with names of their own: rules are those of the kind, the database is the stage's alone.

mod commands;
mod dev;
mod functions;
