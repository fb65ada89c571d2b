//! The request body that creates a deploy or declares what it consists of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Body of a request that creates a deploy or declares its files and functions.
#[derive(Default, Deserialize)]
pub(super) struct DeployBody {
    pub(super) draft: Option<bool>,
    pub(super) branch: Option<String>,
    pub(super) title: Option<String>,
    /// SHA-1 of each file by path.
    pub(super) files: Option<BTreeMap<String, String>>,
    /// SHA-256 of each function's archive by name.
    pub(super) functions: Option<BTreeMap<String, String>>,
    function_schedules: Option<Vec<Schedule>>,
    functions_config: Option<BTreeMap<String, Value>>,
    /// Variables of this deploy alone, which have a check of their own.
    pub(super) environment: Option<Value>,
}

#[derive(Deserialize)]
struct Schedule {
    name: String,
    cron: String,
}

impl DeployBody {
    /// Sets the title, unless `title` is `None`.
    pub(super) fn with_title(mut self, title: Option<String>) -> Self {
        self.title = title.or(self.title);
        self
    }

    /// Returns the content of the deploy, or `None` if the body declares neither files nor functions.
    pub(super) fn into_content(self) -> Option<DeployContent> {
        if self.files.is_none() && self.functions.is_none() {
            return None;
        }
        let files = self.files.unwrap_or_default().into_iter();
        let schedules = self.function_schedules.unwrap_or_default().into_iter();
        Some(DeployContent {
            files: files
                .map(|(path, digest)| (path.trim_start_matches('/').to_owned(), digest))
                .collect(),
            functions: self.functions.unwrap_or_default(),
            schedules: schedules
                .map(|schedule| (schedule.name, schedule.cron))
                .collect(),
            functions_config: self.functions_config.unwrap_or_default(),
        })
    }
}

/// The parts of a deploy that a request declares.
#[derive(Default, PartialEq, Eq)]
pub(super) struct DeployContent {
    /// SHA-1 of each file by path, without a leading slash.
    pub(super) files: BTreeMap<String, String>,
    /// SHA-256 of each function's archive by name.
    pub(super) functions: BTreeMap<String, String>,
    /// Cron expression of each scheduled function by name.
    pub(super) schedules: BTreeMap<String, String>,
    /// Settings of functions by name, as they were sent.
    pub(super) functions_config: BTreeMap<String, Value>,
}
