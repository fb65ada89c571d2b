//! The request of a self-check by a direct Invoke on AWS Lambda.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::stage::Stage;

/// The question to a function on AWS Lambda, in the client context of a direct Invoke.
///
/// Only a caller with AWS's permission to invoke the function can set the client context: URLs, API
/// Gateway and load balancers set none. It names the stage, since a version's ARN has no alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCheckInvocation {
    stage: Stage,
    nonce: String,
}

impl SelfCheckInvocation {
    /// Makes a request for the database of this stage. `nonce` is new for each request (see
    /// [`nonce`](crate::self_check::nonce)).
    pub fn new(stage: Stage, nonce: &str) -> Self {
        Self {
            stage,
            nonce: nonce.to_owned(),
        }
    }

    /// Returns the client context, as JSON. Invoke takes it in Base64, as `--client-context` of the
    /// AWS command line does.
    pub fn client_context(&self) -> String {
        let asked = Asked {
            stage: self.stage.as_str().to_owned(),
            nonce: self.nonce.clone(),
        };
        json!({"custom": {MEMBER: asked}}).to_string()
    }

    /// Reads the JSON of the member of the client context that asks for a self-check. `None` unless
    /// it is one.
    pub fn parse(member: &str) -> Option<Self> {
        let asked: Asked = serde_json::from_str(member).ok()?;
        if asked.nonce.len() > LONGEST_NONCE_BYTES {
            return None;
        }
        Some(Self {
            stage: Stage::written(&asked.stage)?,
            nonce: asked.nonce,
        })
    }

    /// Returns the stage whose database is asked for.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Returns the text that the report has to repeat.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The member of the client context's `custom` that asks for a self-check.
    pub const MEMBER: &str = MEMBER;
}

#[derive(Serialize, Deserialize)]
struct Asked {
    stage: String,
    nonce: String,
}

const MEMBER: &str = "stagelink-self-check";

const LONGEST_NONCE_BYTES: usize = 256;
