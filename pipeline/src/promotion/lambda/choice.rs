//! The choice of the version that a function gets by a promotion: that of the source, or a new one of the
//! same archive.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stagelink::{Stage, one_line};

use crate::artifact::Manifest;
use crate::aws::{FunctionConfiguration, Lambda, SettingsChange};
use crate::error::{Error, ErrorKind};
use crate::promotion::lambda::change::{VersionSource, not_served};
use crate::promotion::lambda::live::LiveFunction;
use crate::promotion::lambda::publish::{Upload, no_function};
use crate::promotion::lambda::stage::LambdaStage;
use crate::regular_file;

/// The stages of a promotion, and the folder of the project.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) from: &'a LambdaStage,
    pub(super) to: &'a LambdaStage,
    pub(super) project: &'a Path,
    pub(super) manifest: &'a Manifest,
}

/// The version that a function gets, and a remark on it.
pub(super) struct Chosen {
    pub(super) source: VersionSource,
    pub(super) note: Option<String>,
}

impl Choice<'_> {
    /// Chooses the version of a function: that of the source, where both stages are aliases of one function,
    /// else a new one of the same archive.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Promotion`] where it cannot be had; the failure of a call.
    pub(super) async fn choose(
        self,
        lambda: &Lambda,
        source: &LiveFunction,
        live: &LiveFunction,
    ) -> Result<Chosen, Error> {
        let Self {
            from,
            to,
            project,
            manifest,
        } = self;
        let function = &live.lambda;
        if source.lambda == *function {
            let version = source.version.as_ref();
            let variable = version.and_then(|version| version.stage.as_deref());
            if !to.is_served_with(variable) {
                return Err(not_served(to, function, variable));
            }
            let number = source.number().unwrap_or_default();
            return Ok(Chosen {
                source: VersionSource::Published(number.to_owned()),
                note: version
                    .and_then(|version| shared_variables(from.stage, to.stage, function, version)),
            });
        }
        let Some(existing) = lambda.configuration(function, None).await? else {
            return Err(no_function(function));
        };
        if !to.is_served_with(existing.stage.as_deref()) {
            return Err(not_served(to, function, existing.stage.as_deref()));
        }
        let entry = manifest.content.functions.get(&live.name);
        let archive = entry
            .map(|entry| entry.archive.as_str())
            .unwrap_or_default();
        let architectures = source
            .version
            .as_ref()
            .map(|version| &version.architectures[..]);
        let architecture = architectures.and_then(<[String]>::first);
        let architecture = architecture.map_or("x86_64", String::as_str).to_owned();
        let zip = find_archive(project, &architecture, &live.name, archive)?;
        Ok(Chosen {
            source: VersionSource::Upload(Upload {
                zip,
                architecture,
                settings: SettingsChange::default(),
            }),
            note: Some(format!(
                "{function} is stage {}'s own function, with its own variables: it gets the same archive as \
             a new version",
                to.stage
            )),
        })
    }
}

/// Returns a remark on the variables that two aliases of one function share.
fn shared_variables(
    from: Stage,
    to: Stage,
    function: &str,
    version: &FunctionConfiguration,
) -> Option<String> {
    if version.variables.is_empty() {
        return None;
    }
    let names: Vec<_> = version
        .variables
        .iter()
        .map(|name| one_line(name).to_string())
        .collect();
    Some(format!(
        "{from} and {to} are aliases of one function, {function}, so code that runs as {from} can read \
         the same variables: {}",
        names.join(", ")
    ))
}

/// Returns the archive on this machine that the artifact has.
fn find_archive(
    project: &Path,
    architecture: &str,
    name: &str,
    archive: &str,
) -> Result<PathBuf, Error> {
    let zip = archive_path(project, architecture, name);
    let found = regular_file::read(&zip).map(|bytes| hex::encode(Sha256::digest(bytes)));
    match found {
        Ok(found) if found == archive => Ok(zip),
        Ok(_) => Err(Error::new(
            ErrorKind::Promotion,
            format!(
                "{} is another archive than the artifact's: check out the commit of the artifact, and \
                 build it again by `stagelink build --arch {}`",
                zip.display(),
                architecture
            ),
        )),
        Err(error) => Err(Error::with_source(
            ErrorKind::Promotion,
            format!(
                "could not read {}, which a function of the stage's own gets: promote from the machine \
                 that built it, or check out the commit of the artifact and build it again",
                zip.display()
            ),
            error,
        )),
    }
}

/// Returns the path of a function's archive for Lambda.
pub(crate) fn archive_path(project: &Path, architecture: &str, name: &str) -> PathBuf {
    let folder = project.join("dist").join("lambda").join(architecture);
    folder.join(format!("{name}.zip"))
}
