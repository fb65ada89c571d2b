//! Function URLs of aliases on AWS Lambda, and the permissions of public ones.

use serde::Deserialize;

use crate::aws::command::Call;
use crate::aws::lambda::Lambda;
use crate::aws::refusal::{Failure, Reason};
use crate::error::Error;

/// The callers of an alias's function URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlAccess {
    /// Callers whose requests are signed, by IAM.
    Iam,
    /// All.
    Public,
}

#[derive(Deserialize)]
struct UrlConfig {
    #[serde(rename = "FunctionUrl")]
    url: String,
}

impl Lambda {
    /// Gives an alias a function URL, or changes who can call the one that it has. Returns it.
    ///
    /// # Errors
    ///
    /// The failure of a call.
    pub(crate) async fn give_url(
        &self,
        function: &str,
        alias: &str,
        access: UrlAccess,
    ) -> Result<String, Error> {
        let of = format!("{function}:{alias}");
        let call = |verb: &str, operation| {
            let call = Call::new(format!("{verb} the URL of {of}"), "lambda", operation);
            call.with("--function-name", function)
                .with("--qualifier", alias)
        };
        let existing: Result<UrlConfig, Failure> = self
            .command
            .ask(call("read", "get-function-url-config"))
            .await;
        let exists = match existing {
            Ok(_) => true,
            Err(failure) if failure.reason == Reason::NotFound => false,
            Err(failure) => return Err(failure.into()),
        };
        let auth = match access {
            UrlAccess::Iam => "AWS_IAM",
            UrlAccess::Public => "NONE",
        };
        let write = match exists {
            true => call("change", "update-function-url-config"),
            false => call("make", "create-function-url-config"),
        };
        let written: UrlConfig = self.command.ask(write.with("--auth-type", auth)).await?;
        for permission in PERMISSIONS {
            let outcome = match access {
                UrlAccess::Public => {
                    let add = call("allow all callers of", "add-permission")
                        .with("--principal", "*")
                        .with("--statement-id", permission.id)
                        .with("--action", permission.action);
                    let add = match permission.has_auth_type {
                        true => add.with("--function-url-auth-type", "NONE"),
                        false => add.word("--invoked-via-function-url"),
                    };
                    self.command.tell(add).await
                }
                UrlAccess::Iam if exists => {
                    let remove = call("allow no unsigned caller of", "remove-permission");
                    let remove = remove.with("--statement-id", permission.id);
                    self.command.tell(remove).await
                }
                UrlAccess::Iam => Ok(()),
            };
            match outcome {
                Ok(()) => {}
                // It is there, or gone, already.
                Err(failure) if failure.reason == permission_is_so(access) => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(written.url)
    }
}

/// Returns the reason for which a permission is as it should be.
fn permission_is_so(access: UrlAccess) -> Reason {
    match access {
        UrlAccess::Public => Reason::Exists,
        UrlAccess::Iam => Reason::NotFound,
    }
}

/// A statement of the policy of an alias with a public URL.
struct Permission {
    id: &'static str,
    action: &'static str,
    has_auth_type: bool,
}

/// Since October 2025 Lambda requires both.
const PERMISSIONS: [Permission; 2] = [
    Permission {
        id: "stagelink-url",
        action: "lambda:InvokeFunctionUrl",
        has_auth_type: true,
    },
    Permission {
        id: "stagelink-invoke",
        action: "lambda:InvokeFunction",
        has_auth_type: false,
    },
];
