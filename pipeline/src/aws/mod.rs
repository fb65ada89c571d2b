//! AWS by its own command line: AWS Lambda's functions, versions and aliases.

mod access;
mod command;
mod lambda;
mod login;
mod redaction;
mod refusal;
#[cfg(test)]
pub(crate) mod script;
#[cfg(test)]
mod tests;
mod urls;
mod versions;

pub use self::access::AwsAccess;
pub use self::access::AwsCaller;
pub(crate) use self::lambda::{Alias, FunctionConfiguration, Lambda};
pub(crate) use self::refusal::Reason;
pub use self::urls::UrlAccess;
pub(crate) use self::versions::{NewFunction, SettingsChange};
