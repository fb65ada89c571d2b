//! Removes this machine's folders from the paths in a program.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::toolchain::Toolchain;

/// Returns the compiler's options that replace each folder by a name that is the same on all
/// machines. A program contains the path of each source file with code that can panic.
pub(super) fn remap(
    metadata: &Metadata,
    target_folder: &Utf8Path,
    toolchain: &Toolchain,
) -> Vec<String> {
    let mut names = BTreeMap::from([
        (metadata.workspace_root.clone(), "/project".to_owned()),
        (target_folder.to_owned(), "/target".to_owned()),
        // With the component rust-src installed, rustc writes the path on this machine.
        (
            toolchain.sysroot.join("lib/rustlib/src/rust"),
            format!("/rustc/{}", toolchain.commit),
        ),
    ]);
    let of_programs = packages_of_programs(metadata);
    for package in &metadata.packages {
        let folder = package.manifest_path.parent();
        match (&package.source, folder) {
            // Cargo unpacks it to <registry>/<name>-<version>.
            (Some(_), Some(folder)) => {
                if let Some(source) = folder.parent() {
                    names.insert(source.into(), "/registry".to_owned());
                }
            }
            (None, Some(folder))
                if of_programs.contains(&package.id)
                    && !folder.starts_with(&metadata.workspace_root) =>
            {
                names.insert(folder.into(), format!("/{}", package.name));
            }
            _ => {}
        }
    }
    options(names)
}

/// Returns the packages whose code a program can contain. One that tests alone use has to change no option, since a
/// change of these compiles every crate anew.
fn packages_of_programs(metadata: &Metadata) -> BTreeSet<&PackageId> {
    let Some(resolve) = &metadata.resolve else {
        return metadata
            .packages
            .iter()
            .map(|package| &package.id)
            .collect();
    };
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut found = BTreeSet::new();
    let mut waiting: Vec<_> = metadata.workspace_members.iter().collect();
    while let Some(id) = waiting.pop() {
        if !found.insert(id) {
            continue;
        }
        for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
            let mut kinds = dependency.dep_kinds.iter();
            if kinds.any(|of| of.kind != DependencyKind::Development) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    found
}

/// Of several options that match a path the compiler uses the last, so inner folders come later.
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
    fn inner_folder_comes_after_the_outer_one() {
        let names = [("/a/target", "/target"), ("/a", "/project")];
        let names = names.map(|(folder, name)| (Utf8PathBuf::from(folder), name.to_owned()));
        let options = options(names.into());
        assert_eq!(options[0], "--remap-path-prefix=/a=/project");
        assert_eq!(options[1], "--remap-path-prefix=/a/target=/target");
    }
}
