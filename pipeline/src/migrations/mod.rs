//! Migrations: the SQL files that bring a stage's database to the schema that the code needs.

pub(crate) mod statement;
