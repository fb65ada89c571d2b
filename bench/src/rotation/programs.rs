//! The programs of the functions that are compared.

use std::path::PathBuf;

use anyhow::Context as _;
use stagelink_cli::functions;
use stagelink_cli::progress::Step;
use stagelink_tests::root;

use super::UrlSource;

/// The paths of the functions.
#[derive(Debug)]
pub struct Programs {
    guestbook: PathBuf,
    folder: PathBuf,
}

impl Programs {
    /// Builds the project's functions. Cargo has built the others beside this program.
    ///
    /// # Errors
    ///
    /// When the functions do not build, or a program is missing.
    pub async fn build() -> anyhow::Result<Self> {
        let step = Step::begin("functions");
        let built = functions::build(root(), false, step.teller()).await?;
        let guestbook = built.into_iter().find(|one| one.name == "guestbook");
        let this = std::env::current_exe().context("could not tell where this program is")?;
        let folder = this.parent().context("this program is in no folder")?;
        let programs = Self {
            guestbook: guestbook.context("there is no guestbook")?.executable,
            folder: folder.to_owned(),
        };
        for source in UrlSource::ALL {
            let path = programs.of(source);
            anyhow::ensure!(
                path.is_file(),
                "there is no {}: build it with `cargo build --package stagelink-bench`",
                path.display()
            );
        }
        step.done(&UrlSource::ALL.map(UrlSource::program).join(", "));
        Ok(programs)
    }

    /// The program of the function that uses this URL source.
    pub(crate) fn of(&self, source: UrlSource) -> PathBuf {
        match source {
            UrlSource::Stagelink => self.guestbook.clone(),
            UrlSource::CachedUrl | UrlSource::CopiedUrl => self.folder.join(source.program()),
        }
    }
}
