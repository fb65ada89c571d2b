//! A deploy on disk: its published files, its rules, and the programs of its functions.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Cursor, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use zip::ZipArchive;

use super::deploys::UploadedDeploy;
use super::run_folder::RunFolder;
use super::upload_store::UploadedFunction;
use crate::lambda::{Function, FunctionConfig, LogLine, LogSink};
use crate::netlify::{Deploy, SiteConfig};
use crate::requests::{Recorder, RequestLog};
use crate::{Error, ErrorKind};

/// A folder for the files of deploys and the programs of their functions.
pub(super) struct DeployFolder {
    /// Created for the first deploy: most sites have none.
    folder: OnceLock<RunFolder>,
    requests: RequestLog,
    log: LogSink,
}

/// A deploy that is ready to be served, and its functions.
pub(super) struct HostedDeploy {
    pub(super) deploy: Deploy,
    pub(super) functions: Vec<Function>,
}

impl DeployFolder {
    /// `requests` gets the requests, and `log` the lines of all functions.
    pub(super) fn new(requests: RequestLog, log: LogSink) -> Self {
        Self {
            folder: OnceLock::new(),
            requests,
            log,
        }
    }

    fn path(&self) -> Result<&Path, Error> {
        if let Some(folder) = self.folder.get() {
            return Ok(folder.path());
        }
        let folder = RunFolder::create(&std::env::temp_dir())
            .map_err(|cause| system_error("create a folder for the deploys", cause))?;
        Ok(self.folder.get_or_init(|| folder).path())
    }

    /// Writes a deploy's files and programs, and loads its rules. It blocks.
    pub(super) fn prepare(
        &self,
        deploy: &UploadedDeploy,
        environment: &BTreeMap<String, String>,
    ) -> Result<HostedDeploy, Error> {
        let publish = self.path()?.join(&deploy.id);
        let mut hosted = HostedDeploy {
            deploy: write_files(deploy, &publish)?,
            functions: Vec::new(),
        };
        let stage = environment.get("STAGELINK_STAGE").cloned();
        let stage = stage.unwrap_or_else(|| deploy.context.to_string());
        hosted.deploy.recorder = Some(Recorder::of_deploy(&self.requests, &stage, &deploy.id));
        for (name, function) in &deploy.functions {
            let executable = self.program(name, function)?;
            let mut config = FunctionConfig::new(name, executable);
            config.environment.clone_from(environment);
            config.logs = self.log_of(&stage);
            config.asks_for_spans = true;
            config.idle_timeout = Some(IDLE_TIMEOUT);
            let function = Function::new(config);
            hosted.functions.push(function.clone());
            hosted.deploy = hosted.deploy.with_function(name, Arc::new(function));
        }
        Ok(hosted)
    }

    /// Returns the log of a deploy with the variables of a stage.
    fn log_of(&self, stage: &str) -> LogSink {
        let (requests, log, stage) = (
            self.requests.clone(),
            Arc::clone(&self.log),
            stage.to_owned(),
        );
        Arc::new(move |line: LogLine| {
            requests.send_line(&stage, &line);
            log(line);
        })
    }

    /// Deletes the files of a deploy. Its programs stay: other deploys may have the same.
    pub(super) fn delete(&self, id: &str) {
        if let Some(folder) = self.folder.get() {
            // A failure only costs space until the folder itself is deleted.
            let _ = fs::remove_dir_all(folder.path().join(id));
        }
    }

    /// Returns the path of a function's program, which all deploys of the same archive share.
    fn program(&self, name: &str, function: &UploadedFunction) -> Result<PathBuf, Error> {
        let runtime = function.runtime.as_deref();
        if runtime != Some("rs") {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "could not run the function {name}: its runtime is {}, and only rs is supported",
                    runtime.unwrap_or("unknown")
                ),
            ));
        }
        let folder = self.path()?.join("programs").join(&function.sha256);
        let file = folder.join("bootstrap");
        if file.exists() {
            return Ok(file);
        }
        let mut files = function.unpack()?;
        let program = files.remove("bootstrap").ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                format!("could not run the function {name}: its archive has no bootstrap"),
            )
        })?;
        let incomplete = folder.join("bootstrap.new");
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&incomplete, program))
            .and_then(|()| fs::set_permissions(&incomplete, Permissions::from_mode(0o755)))
            .and_then(|()| fs::rename(&incomplete, &file))
            .map_err(|cause| system_error(&format!("write the program of {name}"), cause))?;
        Ok(file)
    }
}

/// Time after which a process of a deploy is ended. A replaced deploy stays at its own address, mostly without
/// a request; on a machine of one's own its processes would gather.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

impl UploadedFunction {
    /// Unpacks the archive. Returns its files by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if the archive is invalid.
    pub fn unpack(&self) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let unreadable = |cause: zip::result::ZipError| {
            Error::new(
                ErrorKind::Input,
                "could not read the archive of a function: upload a valid zip",
            )
            .with_source(cause)
        };
        let mut archive = ZipArchive::new(Cursor::new(&self.zip)).map_err(unreadable)?;
        let mut files = BTreeMap::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).map_err(unreadable)?;
            let mut content = Vec::new();
            file.read_to_end(&mut content)
                .map_err(|cause| unreadable(cause.into()))?;
            let name = file.name().map_err(unreadable)?.into_owned();
            files.insert(name, content);
        }
        Ok(files)
    }
}

/// Writes the files of a deploy and loads its rules.
fn write_files(deploy: &UploadedDeploy, folder: &Path) -> Result<Deploy, Error> {
    fs::create_dir_all(folder)
        .map_err(|cause| system_error("create the folder of a deploy", cause))?;
    for (path, content) in &deploy.files {
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not serve {path:?}: the path leads out of its deploy"),
            ));
        }
        let file = folder.join(path);
        let written = fs::create_dir_all(file.parent().unwrap_or(folder))
            .and_then(|()| fs::write(&file, content));
        written.map_err(|cause| system_error(&format!("write {path}"), cause))?;
    }
    let config = SiteConfig::load_deploy(folder)?;
    Ok(Deploy::new("", &config))
}

fn system_error(action: &str, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::System, format!("could not {action}")).with_source(cause)
}
