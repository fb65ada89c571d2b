//! Finds the directories that may hold server binaries.

use std::cmp::Reverse;
use std::fs;
use std::path::PathBuf;

/// Returns the directories of `PATH` that have a `postgres`, then those of common packages.
pub(super) fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let mut found: Vec<_> = on_path
        .filter(|directory| directory.is_absolute())
        .chain(
            PACKAGE_DIRECTORIES
                .iter()
                .flat_map(|pattern| expand(pattern)),
        )
        .filter(|directory| directory.join("postgres").exists())
        .collect();
    let mut seen = Vec::new();
    found.retain(|directory| {
        let real = directory.join("postgres").canonicalize().ok();
        let new = !seen.contains(&real);
        seen.push(real);
        new
    });
    found
}

/// Expands a path with at most one `*`, which stands for a version. The highest version is first.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![pattern.into()];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, below) = after.split_once('/').unwrap_or((after, ""));
    let mut found: Vec<_> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let number = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            let version: Option<Vec<u32>> =
                number.split('.').map(|part| part.parse().ok()).collect();
            Some((version?, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(version, _)| Reverse(version.clone()));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The directories of Debian, Red Hat, SUSE and Alpine; of Homebrew on ARM and
/// Intel processors and on Linux; of Postgres.app, EDB's installer and MacPorts;
/// of a build from source.
const PACKAGE_DIRECTORIES: [&str; 12] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
    "/opt/local/lib/postgresql*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql/bin",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_expands_to_directories_newest_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9.6", "15", "9.10", "17", "17-beta", "other"] {
            fs::create_dir_all(root.path().join(name).join("bin")).unwrap();
        }
        let pattern = format!("{}/*/bin", root.path().display());
        let expected = ["17", "15", "9.10", "9.6"].map(|v| root.path().join(v).join("bin"));
        assert_eq!(expand(&pattern), expected);
    }
}
