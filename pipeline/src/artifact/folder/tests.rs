//! Tests of the artifact of a folder.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::artifact::manifest::RECORD_FILE;
use crate::artifact::smallest_program;

/// A project with a page, a rule, and this test's own program as a function.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.write("netlify.toml", "[build]\npublish = \"public\"\n");
        project.write("public/index.html", "a page");
        project.write("public/_redirects", "/a /b");
        project.write("dist/functions/hello", smallest_program());
        project
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn artifact(&self) -> Result<SiteArtifact, Error> {
        SiteArtifact::of_project(self.0.path(), SourceCommit::default())
    }

    fn refused(&self) -> String {
        self.artifact().unwrap_err().to_string()
    }
}

#[tokio::test]
async fn artifact_has_programs_published_files_and_netlify_toml() {
    let project = Project::new();
    for left_out in [
        "public/.env",
        "public/.git/config",
        "public/a/node_modules/x.js",
        "public/__MACOSX/x",
    ] {
        project.write(left_out, "left out");
    }
    project.write("public/.well-known/security.txt", "a contact");
    project.write("public/a/b c.txt", "text");
    let SiteArtifact { manifest, content } = project.artifact().unwrap();
    let files: Vec<_> = manifest.content.files.keys().map(String::as_str).collect();
    assert_eq!(
        files,
        [
            ".well-known/security.txt",
            "_redirects",
            "a/b c.txt",
            "index.html",
            "netlify.toml"
        ]
    );
    let hello = &manifest.content.functions["hello"];
    assert_eq!(hello.program, sha256_hex(&smallest_program()));
    assert_eq!(hello.migrations, None);
    let archive = content.archive("hello", hello).unwrap();
    assert_eq!(sha256_hex(&archive), hello.archive);
    for (path, digest) in manifest.declared_files() {
        let bytes = content.file(&path, &digest).await.unwrap();
        assert_eq!(sha1_hex(&bytes), digest, "{path}");
    }
    assert_eq!(
        project.artifact().unwrap().manifest.digest(),
        manifest.digest()
    );
}

#[test]
fn migrations_schedules_and_settings_are_in_the_manifest() {
    let project = Project::new();
    let listed = MigrationList::default()
        .write_into(&smallest_program())
        .unwrap();
    project.write("dist/functions/hello", listed);
    project.write("dist/functions/mail-background", smallest_program());
    let toml = "[build]\npublish = \"public\"\n[functions.hello]\nschedule = \"@daily\"\n\
                memory = 512\n";
    project.write("netlify.toml", toml);
    let content = project.artifact().unwrap().manifest.content;
    let hello = &content.functions["hello"];
    assert_eq!(hello.migrations.as_deref(), Some(&[][..]));
    assert_eq!(hello.schedule.as_deref(), Some("@daily"));
    assert_eq!(hello.settings["memory"], 512);
    let mail = &content.functions["mail-background"];
    assert!(mail.background && !hello.background);
}

#[test]
fn parts_that_a_deploy_cannot_carry_are_refused_by_name() {
    let project = Project::new();
    project.write("netlify/edge-functions/geo.ts", "");
    project.write("netlify/functions/old.js", "");
    project.write("dist/functions/old.js", "");
    project.write(&format!("public/{RECORD_FILE}"), "{}");
    project.write("public/a#b", "");
    let refused = project.refused();
    for name in [
        "netlify/edge-functions (edge functions)",
        "netlify/functions (functions that",
        "dist/functions/old.js, which is no program",
        ".well-known/stagelink.json, which stagelink",
        "a#b, whose name",
    ] {
        assert!(refused.contains(name), "{name}: {refused}");
    }
    let project = Project::new();
    let toml = "[build]\npublish = \"public\"\nfunctions = \"other\"\n";
    project.write("netlify.toml", toml);
    assert!(project.refused().contains("other, the folder of functions"));
    fs::remove_file(project.0.path().join("netlify.toml")).unwrap();
    assert!(project.refused().contains("could not read"));
}

#[test]
fn program_for_another_processor_is_refused() {
    let project = Project::new();
    let mut program = smallest_program();
    program[18] = 0xb7;
    project.write("dist/functions/hello", program);
    assert!(project.refused().contains("no program for Linux on x86_64"));
}

#[test]
fn pipes_sockets_and_devices_are_refused_by_name_and_not_read() {
    for path in [
        "public/odd",
        "public/deep/odd",
        "dist/functions/odd",
        "netlify.toml",
    ] {
        let project = Project::new();
        let odd = project.0.path().join(path);
        fs::create_dir_all(odd.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&odd);
        let made = std::process::Command::new("mkfifo").arg(&odd).status();
        assert!(made.unwrap().success());
        let error = project.artifact().unwrap_err();
        let text = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(text.contains(path), "{text}");
        assert!(text.contains("a named pipe"), "{text}");
        fs::remove_file(&odd).unwrap();
        // It stays when its process has closed it.
        drop(std::os::unix::net::UnixListener::bind(&odd).unwrap());
        let error = project.artifact().unwrap_err();
        let text = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(text.contains("a socket"), "{text}");
    }
}

#[test]
fn link_out_of_the_project_is_never_published() {
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "s").unwrap();
    let project = Project::new();
    let link = project.0.path().join("public/link");
    for target in [elsewhere.path().join("secret"), elsewhere.path().to_owned()] {
        symlink(target, &link).unwrap();
        assert!(project.refused().contains("leads out of the project"));
        fs::remove_file(&link).unwrap();
    }
    symlink("../public", &link).unwrap();
    assert!(project.refused().contains("a folder that it is in"));
    fs::remove_file(&link).unwrap();
    symlink("index.html", &link).unwrap();
    let files = project.artifact().unwrap().manifest.content.files;
    assert_eq!(files["link"], files["index.html"]);
}
