//! The self-check of a function of a deploy on Netlify: one signed request at an address of the deploy,
//! which the SDK's runtime answers without the handler.

use std::time::SystemTime;

use reqwest::StatusCode;
use stagelink::self_check::{
    self, SelfCheckError, SelfCheckKey, SelfCheckReport, SelfCheckRequest,
};

use crate::promotion::proof::Unproved;
use crate::promotion::visitor::{Visit, Visitor};

/// A deploy whose functions are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedDeploy<'a> {
    /// The address, without a trailing slash.
    pub(crate) address: &'a str,
    /// The key of the deploy's self-check.
    pub(crate) key: &'a SelfCheckKey,
    /// The text by which the requests name the deploy.
    pub(crate) deploy: &'a str,
}

impl AskedDeploy<'_> {
    /// Asks a function once, and returns its report, which has the key's signature.
    pub(crate) async fn ask(
        self,
        visitor: &Visitor,
        function: &str,
    ) -> Result<SelfCheckReport, Unproved> {
        let nonce = self_check::nonce().map_err(|error| Unproved::Final(error.to_string()))?;
        // In the middle of what the function accepts: its clock and this one may differ by half a minute,
        // in either direction.
        let expiry = SystemTime::now() + SelfCheckRequest::LIFETIME / 2;
        let request = SelfCheckRequest::new(self.deploy, function, &nonce, expiry);
        let url = format!("{}{}", self.address, self_check::path(function));
        let header = request.header(self.key);
        let visit = visitor
            .get(&url, Some((self_check::HEADER, &header)))
            .await
            .map_err(|error| Unproved::Passing(error.report()))?;
        let signature = visit.headers.get(self_check::HEADER);
        let signature = signature.and_then(|value| value.to_str().ok());
        SelfCheckReport::verify(&visit.body, signature, self.key, &request)
            .map_err(|error| unproved(&visit, error))
    }
}

/// Returns the failure of a response that proves nothing.
fn unproved(visit: &Visit, error: SelfCheckError) -> Unproved {
    let status = visit.status.as_u16();
    match visit.status {
        StatusCode::UNAUTHORIZED => Unproved::Final(format!(
            "is not reachable ({status}): the site is protected by a password or a login, which \
             keeps the test out"
        )),
        // What is not there yet, or starts slowly.
        StatusCode::NOT_FOUND => Unproved::Passing(format!("is not there ({status})")),
        _ if visit.status.is_server_error() => Unproved::Passing(format!("fails ({status})")),
        _ => Unproved::Passing(format!("does not prove what it is ({status}): {error}")),
    }
}
