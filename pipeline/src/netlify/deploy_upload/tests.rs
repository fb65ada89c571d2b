//! Tests of a deploy by the stand-in of Netlify, which fails as it is told to.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::{DeployState, NetlifyApi, UploadedDeploy};
use tempfile::TempDir;

use super::*;
use crate::artifact::{SiteArtifact, SourceCommit, smallest_program};
use crate::netlify::test_site::TestSite;

/// A site of the stand-in, and a project with one function and a page.
struct Scene {
    netlify: NetlifyApi,
    site: Site,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let TestSite { netlify, site, .. } = TestSite::new().await;
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            "netlify.toml",
            b"[build]\npublish = \"public\"\n",
        );
        write(folder.path(), "public/index.html", b"a page");
        write(folder.path(), "public/a b/c.html", b"another page");
        write(folder.path(), "dist/functions/hello", &smallest_program());
        Self {
            netlify,
            site,
            folder,
        }
    }

    fn artifact(&self) -> SiteArtifact {
        SiteArtifact::of_project(self.folder.path(), SourceCommit::default()).unwrap()
    }

    fn fail(&self, failure: Failure, method: &str, path: &str, times: u32) {
        let fault = Fault::new(failure).on(method, path).times(times);
        self.netlify.control().inject(fault);
    }

    async fn deploy(&self, branch: Option<&str>) -> Result<UploadedDeploy, Error> {
        let SiteArtifact { manifest, content } = self.artifact();
        let created = self.site.create_deploy("a title", branch).await?;
        let declared = self.site.declare(&created.id, &manifest, &[key()]).await?;
        self.site
            .upload(&declared, &manifest, &content, &|_| ())
            .await?;
        let ready = self.site.wait_until_ready(&created.id, &|_| ()).await?;
        let mut deploys = self.netlify.deploys().into_iter();
        Ok(deploys.find(|of| of.id == ready.id).unwrap())
    }

    fn requests(&self, method: &str, part: &str) -> usize {
        let requests = self.netlify.control().requests();
        let of = |request: &&stagelink_local::api::RecordedRequest| {
            request.method.as_str() == method && request.path.contains(part)
        };
        requests.iter().filter(of).count()
    }
}

fn key() -> DeployVariable {
    DeployVariable {
        key: "STAGELINK_SELF_CHECK_KEY",
        value: CANARY.to_owned().into(),
        is_secret: true,
    }
}

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn status(status: u16) -> Failure {
    Failure::Status {
        status,
        retry_after: None,
    }
}

#[tokio::test]
async fn deploy_has_the_files_of_the_artifact_and_its_record() {
    let scene = Scene::new().await;
    let (states, artifact) = (Mutex::new(Vec::new()), scene.artifact());
    let listener = |event: &DeployEvent<'_>| states.lock().unwrap().push(event.to_string());
    let site = &scene.site;
    let created = site
        .create_deploy("a title", Some("staging"))
        .await
        .unwrap();
    let declared = site.declare(&created.id, &artifact.manifest, &[]).await;
    let declared = declared.unwrap();
    let uploaded = site.upload(&declared, &artifact.manifest, &artifact.content, &listener);
    uploaded.await.unwrap();
    let ready = site.wait_until_ready(&created.id, &listener).await.unwrap();
    assert!(
        states
            .lock()
            .unwrap()
            .contains(&"5 of 5 uploaded".to_owned())
    );
    assert!(ready.permalink().unwrap().contains(&created.id));
    assert!(ready.address().unwrap().contains("staging--shop"));
    let deploy = scene.netlify.deploys().pop().unwrap();
    assert_eq!(
        (deploy.draft, deploy.title.as_deref()),
        (false, Some("a title"))
    );
    assert_eq!(deploy.context.to_string(), "branch:staging");
    assert_eq!(deploy.files["a b/c.html"], "another page");
    assert_eq!(deploy.functions["hello"].runtime.as_deref(), Some("rs"));
    let program = &deploy.functions["hello"].unpack().unwrap()["bootstrap"];
    assert_eq!(*program, smallest_program());
    let record = Manifest::read_record_file(&deploy.files[crate::artifact::RECORD_FILE]);
    assert_eq!(record.unwrap(), artifact.manifest);
}

#[tokio::test]
async fn second_deploy_uploads_nothing_again() {
    let scene = Scene::new().await;
    scene.deploy(None).await.unwrap();
    scene.netlify.control().clear_requests();
    scene.deploy(None).await.unwrap();
    assert_eq!(scene.requests("PUT", "/files/"), 0);
    assert_eq!(scene.requests("PUT", "/functions/"), 0);
    assert_eq!(scene.netlify.deploys().len(), 2);
}

#[tokio::test]
async fn failed_uploads_are_tried_again() {
    for failure in [
        status(500),
        status(429),
        Failure::Disconnect,
        Failure::BadGateway,
        Failure::FailedAfterwards { status: 503 },
    ] {
        let scene = Scene::new().await;
        scene.fail(failure, "PUT", "/api/v1/deploys/*/functions/hello", 4);
        scene.fail(failure, "PUT", "/api/v1/deploys/*/files/**", 4);
        let deploy = scene.deploy(None).await.unwrap();
        assert_eq!(deploy.state, DeployState::Ready, "{failure:?}");
    }
}

#[tokio::test]
async fn refused_upload_is_not_tried_again_and_is_named() {
    for code in [400, 422] {
        let scene = Scene::new().await;
        fs::remove_dir_all(scene.folder.path().join("public/a b")).unwrap();
        let path = "/api/v1/deploys/*/files/index.html";
        scene.fail(status(code), "PUT", path, 9);
        let error = scene.deploy(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let text = error.report();
        assert!(
            text.contains("could not upload the file index.html"),
            "{text}"
        );
        assert_eq!(scene.requests("PUT", "/files/index.html"), 1);
    }
}

#[tokio::test]
async fn upload_that_keeps_failing_ends_with_the_number_of_attempts() {
    let scene = Scene::new().await;
    let path = "/api/v1/deploys/*/files/index.html";
    scene.fail(status(503), "PUT", path, 99);
    let text = scene.deploy(None).await.unwrap_err().report();
    assert!(
        text.contains("could not upload the file index.html"),
        "{text}"
    );
    assert!(text.contains("5 times"), "{text}");
}

#[tokio::test]
async fn lost_answer_never_makes_a_second_deploy() {
    for failure in [
        Failure::FailedAfterwards { status: 500 },
        Failure::FailedAfterwards { status: 502 },
        Failure::HalfBody,
    ] {
        let scene = Scene::new().await;
        // An older deploy of this title is another one.
        let older = scene.site.create_deploy("a title", None).await.unwrap();
        scene.fail(failure, "POST", "/api/v1/sites/*/deploys", 1);
        let made = scene.site.create_deploy("a title", None).await.unwrap();
        assert_ne!(made.id, older.id);
        assert_eq!(scene.netlify.deploys().len(), 2, "{failure:?}");
    }
}

#[tokio::test]
async fn deploy_that_was_not_made_is_made_by_a_later_attempt() {
    for failure in [status(500), status(429), Failure::Disconnect] {
        let scene = Scene::new().await;
        scene.fail(failure, "POST", "/api/v1/sites/*/deploys", 2);
        scene.site.create_deploy("a title", None).await.unwrap();
        assert_eq!(scene.netlify.deploys().len(), 1, "{failure:?}");
    }
    let scene = Scene::new().await;
    scene.fail(status(403), "POST", "/api/v1/sites/*/deploys", 9);
    let error = scene.site.create_deploy("a title", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(scene.requests("POST", "/deploys"), 1);
    let scene = Scene::new().await;
    scene.fail(status(500), "POST", "/api/v1/sites/*/deploys", 9);
    let error = scene.site.create_deploy("a title", None).await.unwrap_err();
    assert!(error.report().contains("make a deploy of the site shop"));
    assert!(error.report().contains("5 times"), "{}", error.report());
}

#[tokio::test]
async fn deploy_that_ends_without_being_ready_is_reported() {
    let scene = Scene::new().await;
    let made = scene.site.create_deploy("a title", None).await.unwrap();
    scene.site.cancel_deploy(&made.id).await.unwrap();
    let error = scene.site.wait_until_ready(&made.id, &|_| ()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.report().contains("Netlify says: Canceled"),
        "{}",
        error.report()
    );
}

#[tokio::test]
async fn deploy_that_is_never_ready_is_not_waited_for_without_end() {
    let mut scene = Scene::new().await;
    let made = scene.site.create_deploy("a title", None).await.unwrap();
    scene.site.pace.limit = Duration::ZERO;
    let error = scene.site.wait_until_ready(&made.id, &|_| ()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.report().contains("(state new)"), "{}", error.report());
}

#[tokio::test]
async fn refused_declaration_does_not_show_a_secret() {
    let scene = Scene::new().await;
    scene.fail(status(422), "PUT", "/api/v1/sites/*/deploys/*", 1);
    let text = scene.deploy(None).await.unwrap_err().report();
    assert!(text.contains("declare the files and functions"), "{text}");
    assert!(!text.contains(CANARY), "{text}");
}

#[test]
fn declaration_has_only_what_the_artifact_has() {
    let function = crate::artifact::FunctionContent {
        program: "a".repeat(64),
        archive: "b".repeat(64),
        migrations: None,
        schedule: Some("@daily".to_owned()),
        background: false,
        settings: [("memory".to_owned(), json!(512))].into(),
    };
    let content = json!({"functions": {"mail": function}, "files": {}});
    let mut manifest = Manifest {
        commit: SourceCommit::default(),
        content: serde_json::from_value(content).unwrap(),
    };
    let body = declaration(&manifest, &BTreeMap::new(), true, &[key()]);
    assert_eq!(
        body,
        json!({
            "files": {},
            "functions": {"mail": "b".repeat(64)},
            "async": true,
            "draft": false,
            "function_schedules": [{"name": "mail", "cron": "@daily"}],
            "functions_config": {"mail": {"memory": 512}},
            "environment": [{"key": "STAGELINK_SELF_CHECK_KEY", "value": CANARY,
                "is_secret": true, "scopes": ["functions"]}],
        })
    );
    manifest.content.functions.clear();
    assert_eq!(
        declaration(&manifest, &BTreeMap::new(), false, &[]),
        json!({"files": {}, "functions": {}, "async": false, "draft": false})
    );
}

const CANARY: &str = "c4n4ry-of-a-deploy";
