//! `stagelink migrate new`: creates a migration with the next number.

use std::fs;

use anyhow::Context as _;
use stagelink_pipeline::MigrationFolder;

use crate::args::NewMigrationOptions;
use crate::output::print;

/// Creates the file, and prints its path.
pub(super) fn run(options: &NewMigrationOptions) -> anyhow::Result<()> {
    let path = super::folder(&options.project, options.migrations.as_deref())?;
    if !path.exists() {
        let created = fs::create_dir_all(&path);
        created.with_context(|| format!("could not create the folder {}", path.display()))?;
    }
    let folder = MigrationFolder::read(&path)?;
    let file = folder.create_file(&options.name, options.timestamp)?;
    print(file.display())
}
