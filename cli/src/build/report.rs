//! The output of `stagelink build`: a table for people, a line of JSON for scripts.

use std::path::Path;

use serde::Serialize;

use super::artifact::Artifact;
use crate::table::Table;
use crate::target::Target;

/// The artifacts of a build, as JSON.
#[derive(Serialize)]
struct BuildReport<'a> {
    target: &'static str,
    architecture: &'static str,
    artifacts: &'a [Artifact],
}

/// Returns the artifacts as JSON.
pub(super) fn json(artifacts: &[Artifact], target: Target) -> impl Serialize {
    BuildReport {
        target: target.triple(),
        architecture: target.arch.as_str(),
        artifacts,
    }
}

/// Returns the artifacts as a table.
pub(super) fn table(artifacts: &[Artifact], target: Target) -> String {
    let mut table = Table::with_header(["function", "for", "file", "size", "zipped", "SHA-256"]);
    for artifact in artifacts {
        let name = artifact.function.as_str();
        let zipped = megabytes(artifact.zip_size_bytes);
        if target.is_for_netlify() {
            let size = megabytes(artifact.size_bytes);
            let file = relative(&artifact.program);
            table.add_row([name, "Netlify", &file, &size, &zipped, &artifact.sha256]);
        }
        let platform = format!("Lambda {}", target.arch.as_str());
        let file = relative(&artifact.zip);
        let sha256 = &artifact.zip_sha256;
        table.add_row([name, &platform, &file, &zipped, &zipped, sha256]);
    }
    for column in [3, 4] {
        table.align_right(column);
    }
    table.to_string()
}

/// Returns a path relative to the current folder, if it lies in it.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}

fn megabytes(bytes: u64) -> String {
    // Far below the sizes where an f64 loses precision.
    #[allow(clippy::cast_precision_loss)]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.2} MB")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Arch;

    fn artifact() -> Artifact {
        Artifact {
            function: "hello".to_owned(),
            program: "dist/functions/hello".into(),
            size_bytes: 7_260_000,
            sha256: "aa".repeat(32),
            zip: "dist/lambda/x86_64/hello.zip".into(),
            zip_size_bytes: 2_900_000,
            zip_sha256: "bb".repeat(32),
        }
    }

    #[test]
    fn table_names_the_platform_of_each_file() {
        let text = table(&[artifact()], Target::of(Arch::X86_64));
        for part in ["Netlify", "Lambda x86_64", "7.26 MB", "2.90 MB", "bbbb"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn table_for_arm64_does_not_name_netlify() {
        let text = table(&[artifact()], Target::of(Arch::Arm64));
        assert!(!text.contains("Netlify") && text.contains("Lambda arm64"));
    }

    #[test]
    fn json_has_the_hashes() {
        let artifacts = [artifact()];
        let text = serde_json::to_string(&json(&artifacts, Target::of(Arch::X86_64))).unwrap();
        assert!(text.contains("\"zip_sha256\":\"bbbb"));
    }
}
