//! Serves what was deployed: the files, and the functions as processes.

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
use super::deploys::{DeployState, Uploaded, UploadedFunction};
use crate::lambda::{Function, FunctionConfig, LogLine};
use crate::netlify::{Deploy, Site, SiteConfig};
use crate::{Error, ErrorKind};

/// The deploys that were ready when this was made, each under host names of its own.
///
/// `<id>--<site>.localhost` is a deploy's own name, `<branch>--<site>.localhost` that of
/// the newest deploy of a branch, `<site>.localhost` that of the newest for production. The
/// functions run from the archives that were uploaded, with the variables that Netlify
/// documents for functions (`URL`, `SITE_NAME`, `SITE_ID`, and those of their deploy's context
/// with the scope of functions), as these were when the deploy became ready. The rules of
/// redirects are those of the netlify.toml that was uploaded.
///
/// Dropping it ends the processes; [`stop`](Hosting::stop) also waits for that.
#[derive(Debug)]
pub struct Hosting {
    site: Site,
    functions: Vec<Function>,
    // The programs and files, until they are not served any more.
    _folder: TempDir,
}

/// A ready deploy and the environment of its functions.
type Ready = (Uploaded, BTreeMap<String, String>);

impl NetlifyApi {
    /// Serves all deploys that are ready now. `log` gets what their functions write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a function that is not a Rust program in a good archive, or
    /// for a deploy without a netlify.toml that can be read; [`ErrorKind::System`] for what
    /// the operating system refuses.
    pub async fn host(
        &self,
        log: impl Fn(LogLine) + Send + Sync + 'static,
    ) -> Result<Hosting, Error> {
        let ready = self.ready();
        let folder =
            tempfile::tempdir().map_err(|cause| refused("make a folder for the deploys", cause))?;
        let log = Arc::new(log);
        let (mut deploys, mut functions) = (Vec::new(), Vec::new());
        for (at, (deploy, environment)) in ready.iter().enumerate() {
            let place = folder.path().join(&deploy.id);
            let mut served = published(deploy, &place)?;
            for (name, function) in &deploy.functions {
                let executable = unpacked(name, function, &place.join("functions"))?;
                let mut config = FunctionConfig::new(name, executable);
                config.environment.clone_from(environment);
                let log = Arc::clone(&log);
                config.logs = Arc::new(move |line| log(line));
                let function = Function::new(config);
                functions.push(function.clone());
                served = served.function(name, Arc::new(function));
            }
            let later = &ready[at + 1..];
            for host in hosts(deploy, later) {
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

    fn ready(&self) -> Vec<Ready> {
        let state = self.shared.state();
        let ready = |of: &&super::deploys::Deploy| of.state == DeployState::Ready;
        state
            .deploys
            .iter()
            .filter(ready)
            .map(|of| {
                let uploaded = of.uploaded(state.site_name(of.site), &state.store);
                (uploaded, of.environment.clone())
            })
            .collect()
    }
}

impl Hosting {
    /// The address of a host name, without a last slash.
    pub fn url(&self, host: &str) -> String {
        self.site.url(host)
    }

    /// Takes no more requests, lets those under way end, and ends the functions.
    pub async fn stop(self) {
        self.site.stop().await;
        for function in &self.functions {
            function.shutdown().await;
        }
    }
}

impl UploadedFunction {
    /// The files of the archive by name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] when it is none that can be read.
    pub fn unpack(&self) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let unreadable = |cause: zip::result::ZipError| {
            Error::new(
                ErrorKind::Input,
                "could not read the archive of a function: upload a good zip",
            )
            .because(cause)
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

/// The names of a deploy; those that it shares with later ones are the last one's.
fn hosts(deploy: &Uploaded, later: &[Ready]) -> Vec<String> {
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

/// Writes the files of a deploy, and reads the rules among them.
fn published(deploy: &Uploaded, place: &Path) -> Result<Deploy, Error> {
    let folder = place.join("files");
    for (path, content) in &deploy.files {
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(Error::new(
                ErrorKind::Input,
                format!("could not serve {path:?}: it leads out of its deploy"),
            ));
        }
        let file = folder.join(path);
        let written = fs::create_dir_all(file.parent().unwrap_or(&folder))
            .and_then(|()| fs::write(&file, content));
        written.map_err(|cause| refused(&format!("write {path}"), cause))?;
    }
    let mut config = SiteConfig::load(&folder)?;
    config.publish = folder;
    Ok(Deploy::new("", &config))
}

/// Unpacks a function and tells where its program is.
fn unpacked(name: &str, function: &UploadedFunction, folder: &Path) -> Result<PathBuf, Error> {
    let runtime = function.runtime.as_deref();
    if runtime != Some("rs") {
        return Err(Error::new(
            ErrorKind::Input,
            format!(
                "could not run the function {name}: its runtime is {}, and only rs is run here",
                runtime.unwrap_or("not known")
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
        .map_err(|cause| refused(&format!("write the program of {name}"), cause))?;
    Ok(file)
}

fn refused(what: &str, cause: std::io::Error) -> Error {
    Error::new(ErrorKind::System, format!("could not {what}")).because(cause)
}
