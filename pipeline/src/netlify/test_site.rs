//! A site of the stand-in of Netlify, and a deploy on it, for the tests of the client.

use stagelink_local::netlify_api::NetlifyApi;

use crate::api::ApiAccess;
use crate::artifact::{ArtifactContent, Content, Manifest, SourceCommit};
use crate::netlify::persistence::Pace;
use crate::netlify::{Deploy, Site};

/// A stand-in with one site.
pub(super) struct TestSite {
    pub(super) netlify: NetlifyApi,
    pub(super) access: ApiAccess,
    pub(super) site: Site,
}

impl TestSite {
    pub(super) async fn new() -> Self {
        let netlify = NetlifyApi::start(0).await.unwrap();
        netlify.create_site("shop").unwrap();
        let token = netlify.token().to_owned();
        let access = ApiAccess::new(netlify.url(), token.into(), "NETLIFY_AUTH_TOKEN");
        let mut site = Site::find(&access, "shop", true).await.unwrap();
        site.pace = Pace::of_tests();
        Self {
            netlify,
            access,
            site,
        }
    }
}

/// Makes a ready deploy with nothing in it but its record, of a branch or in the context of production.
pub(super) async fn make_ready(site: &Site, title: &str, branch: Option<&str>) -> Deploy {
    let manifest = Manifest {
        commit: SourceCommit::default(),
        content: Content::default(),
    };
    let content = ArtifactContent::of_deployed(&manifest, None);
    let made = site.create_deploy(title, branch).await.unwrap();
    let declared = site.declare(&made.id, &manifest, &[]).await.unwrap();
    let uploaded = site.upload(&declared, &manifest, &content, &|_| ()).await;
    uploaded.unwrap();
    site.wait_until_ready(&made.id, &|_| ()).await.unwrap()
}
