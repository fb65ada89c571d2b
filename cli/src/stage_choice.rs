//! The stages to choose from, where a command needs one and none is named.

use std::path::Path;

use crate::project;
use crate::stage_name::listed;

/// Returns the stages of the project in the current folder: `the stage is staging or production`.
pub fn to_choose_from() -> String {
    let file = project::settings_file(Path::new(".")).ok().flatten();
    format!("the stage is {}", listed(file.as_ref()))
}
