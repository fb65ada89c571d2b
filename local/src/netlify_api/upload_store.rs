//! The uploads of all deploys by digest, and the settings that come with a function.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;

/// An uploaded function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadedFunction {
    /// SHA-256 of the archive in hexadecimal digits.
    pub sha256: String,
    /// Runtime that it was uploaded for: `rs` for a Rust program.
    pub runtime: Option<String>,
    /// Size in bytes that the upload named.
    pub size: Option<u64>,
    /// Invocation mode that the upload named, such as `background`.
    pub invocation_mode: Option<String>,
    /// Time limit in seconds that the upload named.
    pub timeout_secs: Option<u64>,
    /// Zip archive of the function.
    pub zip: Bytes,
}

/// Query of the request that uploads a function.
#[derive(Clone, Default, Deserialize)]
pub(super) struct FunctionSettings {
    runtime: Option<String>,
    size: Option<u64>,
    invocation_mode: Option<String>,
    timeout: Option<u64>,
}

/// All uploads by digest. Content that is stored is not required again.
#[derive(Default)]
pub(super) struct UploadStore {
    pub(super) files: HashMap<String, Bytes>,
    /// The archives, each with the settings of its last upload.
    pub(super) functions: HashMap<String, (Bytes, FunctionSettings)>,
}

impl UploadStore {
    /// Returns the function with this digest. `settings` are those of the deploy's own upload; a
    /// deploy that did not have to upload the function has those of the last upload.
    pub(super) fn function(
        &self,
        digest: &str,
        settings: Option<&FunctionSettings>,
    ) -> Option<UploadedFunction> {
        let (zip, last) = self.functions.get(digest)?;
        let settings = settings.unwrap_or(last).clone();
        Some(UploadedFunction {
            sha256: digest.to_owned(),
            runtime: settings.runtime,
            size: settings.size,
            invocation_mode: settings.invocation_mode,
            timeout_secs: settings.timeout,
            zip: zip.clone(),
        })
    }
}
