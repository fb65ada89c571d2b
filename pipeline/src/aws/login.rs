//! The region, and the account that the login of the command `aws` belongs to.

use serde::Deserialize;

use crate::aws::access::{AwsAccess, AwsCaller};
use crate::aws::command::{AwsCommand, Call};
use crate::error::{Error, ErrorKind};

/// Finds the region, and the account of the login.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when no region is chosen; [`ErrorKind::Refused`] when there is no login,
/// or it has ended.
pub(super) async fn log_in(access: &AwsAccess) -> Result<(AwsCommand, AwsCaller), Error> {
    let mut command = AwsCommand::new(access);
    let region = match &access.region {
        Some(region) => region.clone(),
        None => command.configured_region().await.ok_or_else(|| {
            Error::new(
                ErrorKind::Settings,
                "no region of AWS is chosen: set AWS_REGION, or `aws configure set region`",
            )
        })?,
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !region.bytes().all(is_allowed) {
        return Err(Error::new(
            ErrorKind::Settings,
            "the region of AWS is none: set AWS_REGION to one such as eu-west-1",
        ));
    }
    command.set_region(&region);
    let call = Call::new("log in to AWS", "sts", "get-caller-identity");
    let identity: Identity = command.ask(call).await?;
    let account = identity.account;
    Ok((command, AwsCaller { account, region }))
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "Account")]
    account: String,
}
