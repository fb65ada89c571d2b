//! Which folders a build takes out of the paths in a program.

use std::collections::BTreeMap;

use cargo_metadata::Metadata;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};

use super::toolchain::Toolchain;

/// The compiler's options that give each folder a name that is the same on all machines: a
/// program holds the path of each source file that can panic.
pub(super) fn remap(
    metadata: &Metadata,
    target_folder: &Utf8Path,
    toolchain: &Toolchain,
) -> Vec<String> {
    let mut names = BTreeMap::from([
        (metadata.workspace_root.clone(), "/project".to_owned()),
        (target_folder.to_owned(), "/target".to_owned()),
        // Where its source is installed, rustc says the path on this machine.
        (
            toolchain.sysroot.join("lib/rustlib/src/rust"),
            format!("/rustc/{}", toolchain.commit),
        ),
    ]);
    for package in &metadata.packages {
        let folder = package.manifest_path.parent();
        match (&package.source, folder) {
            // In a folder of its registry's: <registry>/<name>-<version>.
            (Some(_), Some(folder)) => {
                if let Some(source) = folder.parent() {
                    names.insert(source.into(), "/registry".to_owned());
                }
            }
            (None, Some(folder)) if !folder.starts_with(&metadata.workspace_root) => {
                names.insert(folder.into(), format!("/{}", package.name));
            }
            _ => {}
        }
    }
    options(names)
}

/// The last option that fits a path is the one that holds, so what lies deeper comes later.
fn options(names: BTreeMap<Utf8PathBuf, String>) -> Vec<String> {
    names
        .into_iter()
        .map(|(folder, name)| format!("--remap-path-prefix={folder}={name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_that_lies_in_another_is_named_after_it() {
        let names = [("/a/target", "/target"), ("/a", "/project")];
        let names = names.map(|(folder, name)| (Utf8PathBuf::from(folder), name.to_owned()));
        let options = options(names.into());
        assert_eq!(options[0], "--remap-path-prefix=/a=/project");
        assert_eq!(options[1], "--remap-path-prefix=/a/target=/target");
    }
}
