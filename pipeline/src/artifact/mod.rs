//! The artifact of a site: the programs, static files, schedules and settings of one deploy, known by
//! its digest.

mod archive;
mod content;
mod folder;
mod manifest;
mod netlify_toml;
mod project_files;
#[cfg(test)]
mod test_program;

pub use self::archive::{BOOTSTRAP, zip_program};
pub(crate) use self::content::ArtifactContent;
pub(crate) use self::folder::{SiteArtifact, publish_folder};
pub(crate) use self::manifest::{
    Content, FunctionContent, LARGEST_RECORD_BYTES, Manifest, RECORD_FILE, SourceCommit,
};
pub(crate) use self::project_files::ensure_written_inside;
#[cfg(test)]
pub(crate) use self::test_program::smallest_program;
