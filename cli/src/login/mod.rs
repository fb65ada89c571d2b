//! The tokens of the Heroku and Netlify command lines, where an operator is logged in.

pub(crate) mod heroku;
pub(crate) mod netlify;
