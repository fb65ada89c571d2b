//! Serves deploys: their files, and their functions as processes.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Cursor, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use zip::ZipArchive;

use super::NetlifyApi;
use super::context::Context;
use super::deploys::{DeployRecord, DeployState, UploadedDeploy, UploadedFunction};
use crate::lambda::{Function, FunctionConfig, LogLine};
use crate::netlify::{Deploy, Site, SiteConfig};
use crate::{Error, ErrorKind};

/// A running server of the deploys that were ready when it was started.
///
/// Each deploy has the host name `<id>--<site>.localhost`. The newest deploy of a branch also has
/// `<branch>--<site>.localhost`, and the newest production deploy `<site>.localhost`. The functions
/// run from the uploaded archives with the variables that Netlify documents for functions: `URL`,
/// `SITE_NAME`, `SITE_ID`, and those of their deploy's context with the scope of functions, as they
/// were when the deploy became ready. The redirects and headers are those of the uploaded files.
///
/// Dropping it ends the processes; [`stop`](Hosting::stop) also waits for their end.
#[derive(Debug)]
pub struct Hosting {
    site: Site,
    functions: Vec<Function>,
    // Holds the programs and files while they are served.
    _folder: TempDir,
}

/// A ready deploy and the environment of its functions.
type ReadyDeploy = (UploadedDeploy, BTreeMap<String, String>);

impl NetlifyApi {
    /// Serves all ready deploys. `log` is called for each line of a function's log.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a function that is not a Rust program in a valid archive, and for a
    /// deploy whose netlify.toml is invalid; [`ErrorKind::System`] for an error of the operating
    /// system.
    pub async fn host(
        &self,
        log: impl Fn(LogLine) + Send + Sync + 'static,
    ) -> Result<Hosting, Error> {
        let ready = self.ready_deploys();
        let folder = tempfile::tempdir()
            .map_err(|cause| system_error("create a folder for the deploys", cause))?;
        let log = Arc::new(log);
        let (mut deploys, mut functions) = (Vec::new(), Vec::new());
        for (at, (deploy, environment)) in ready.iter().enumerate() {
            let deploy_folder = folder.path().join(&deploy.id);
            let mut served = publish(deploy, &deploy_folder)?;
            for (name, function) in &deploy.functions {
                let executable = unpack_program(name, function, &deploy_folder.join("functions"))?;
                let mut config = FunctionConfig::new(name, executable);
                config.environment.clone_from(environment);
                let log = Arc::clone(&log);
                config.logs = Arc::new(move |line| log(line));
                let function = Function::new(config);
                functions.push(function.clone());
                served = served.with_function(name, Arc::new(function));
            }
            let later = &ready[at + 1..];
            for host in host_names(deploy, later) {
                served.host = host;
                deploys.push(served.clone());
            }
        }
        Ok(Hosting {
            site: Site::start(0, deploys).await?,
            functions,
            _folder: folder,
        })
    }

    fn ready_deploys(&self) -> Vec<ReadyDeploy> {
        let account = self.state.account();
        let is_ready = |deploy: &&DeployRecord| deploy.state == DeployState::Ready;
        account
            .deploys
            .iter()
            .filter(is_ready)
            .map(|deploy| {
                let site = account.site_name(deploy.site);
                let uploaded = deploy.to_uploaded(site, &account.store);
                (uploaded, deploy.environment.clone())
            })
            .collect()
    }
}

impl Hosting {
    /// URL of a host name, without a trailing slash.
    pub fn url(&self, host: &str) -> String {
        self.site.url(host)
    }

    /// Stops accepting requests, waits for the running ones, and ends the functions.
    pub async fn stop(self) {
        self.site.stop().await;
        for function in &self.functions {
            function.shutdown().await;
        }
    }
}

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

/// Returns the host names of a deploy. A name that later deploys share belongs to the last of them.
fn host_names(deploy: &UploadedDeploy, later: &[ReadyDeploy]) -> Vec<String> {
    let mut hosts = vec![format!("{}--{}.localhost", deploy.id, deploy.site)];
    let shared = match &deploy.context {
        _ if deploy.draft => None,
        Context::Branch(branch) => Some(format!("{branch}--{}.localhost", deploy.site)),
        Context::Production => Some(format!("{}.localhost", deploy.site)),
        _ => None,
    };
    let newer = later.iter().any(|(other, _)| {
        !other.draft && other.site == deploy.site && other.context == deploy.context
    });
    hosts.extend(shared.filter(|_| !newer));
    hosts
}

/// Writes the files of a deploy and loads its rules.
fn publish(deploy: &UploadedDeploy, deploy_folder: &Path) -> Result<Deploy, Error> {
    let folder = deploy_folder.join("files");
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
        let written = fs::create_dir_all(file.parent().unwrap_or(&folder))
            .and_then(|()| fs::write(&file, content));
        written.map_err(|cause| system_error(&format!("write {path}"), cause))?;
    }
    let config = SiteConfig::load_deploy(&folder)?;
    Ok(Deploy::new("", &config))
}

/// Unpacks a function and returns the path of its program.
fn unpack_program(
    name: &str,
    function: &UploadedFunction,
    folder: &Path,
) -> Result<PathBuf, Error> {
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
    let mut files = function.unpack()?;
    let program = files.remove("bootstrap").ok_or_else(|| {
        Error::new(
            ErrorKind::Input,
            format!("could not run the function {name}: its archive has no bootstrap"),
        )
    })?;
    let folder = folder.join(name);
    let file = folder.join("bootstrap");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, program))
        .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o755)))
        .map_err(|cause| system_error(&format!("write the program of {name}"), cause))?;
    Ok(file)
}

fn system_error(action: &str, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::System, format!("could not {action}")).with_source(cause)
}
