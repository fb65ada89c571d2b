//! Tests of publishing by the stand-in of Netlify.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::NetlifyApi;

use super::*;
use crate::fence::{AttemptEnd, Fence};
use crate::netlify::test_site::{TestSite, make_ready};

async fn site() -> (NetlifyApi, Site) {
    let TestSite { netlify, site, .. } = TestSite::new().await;
    (netlify, site)
}

/// Makes a ready deploy in the context of production, with nothing in it but its record.
async fn ready(site: &Site, title: &str) -> Deploy {
    make_ready(site, title, None).await
}

async fn published(site: &Site) -> Option<String> {
    let published = site.read_published_deploy().await.unwrap();
    published.map(|deploy| deploy.id)
}

#[tokio::test]
async fn locked_site_publishes_no_newer_deploy() {
    let (netlify, site) = site().await;
    assert_eq!(published(&site).await, None);
    let first = ready(&site, "one").await;
    assert_eq!(published(&site).await.as_deref(), Some(&*first.id));
    // The first answer is lost: the lock is the same when it is set twice.
    let lost = Fault::new(Failure::FailedAfterwards { status: 500 });
    let lost = lost.on("POST", "/api/v1/deploys/*/lock").times(1);
    netlify.control().inject(lost);
    assert_eq!(site.lock(&first.id).await.unwrap().locked, Some(true));
    let second = ready(&site, "two").await;
    assert_eq!(published(&site).await.as_deref(), Some(&*first.id));
    assert!(second.is_ready());
    assert_eq!(site.unlock(&first.id).await.unwrap().locked, Some(false));
    let error = site.lock("0").await.unwrap_err().report();
    assert!(
        error.contains("could not lock publishing at the deploy 0"),
        "{error}"
    );
}

#[tokio::test]
async fn deploys_are_found_by_their_whole_title() {
    let (_netlify, site) = site().await;
    let mut made = Vec::new();
    for title in ["one", "one and more", "one"] {
        made.push(site.create_deploy(title, Some("a")).await.unwrap().id);
    }
    for _ in 0..PAGE {
        site.create_deploy("other", None).await.unwrap();
    }
    let found = site.deploys_of_title("one").await.unwrap();
    let found: Vec<_> = found.into_iter().map(|deploy| deploy.id).collect();
    assert_eq!(found, [&*made[2], &*made[0]]);
    assert_eq!(
        site.deploy(&made[1]).await.unwrap().title.as_deref(),
        Some("one and more")
    );
    let error = site.deploy("0").await.unwrap_err().report();
    assert!(error.contains("could not read the deploy 0"), "{error}");
}

#[tokio::test]
async fn older_deploy_is_published_again_and_an_unpublished_one_deleted() {
    let (netlify, site) = site().await;
    let first = ready(&site, "one").await;
    let second = ready(&site, "two").await;
    assert_eq!(published(&site).await.as_deref(), Some(&*second.id));
    let failure = Failure::FailedAfterwards { status: 502 };
    let lost = Fault::new(failure).on("POST", "/api/v1/sites/*/deploys/*/restore");
    netlify.control().inject(lost.times(1));
    site.restore(&first.id).await.unwrap();
    assert_eq!(published(&site).await.as_deref(), Some(&*first.id));
    let lost = Fault::new(failure).on("DELETE", "/api/v1/deploys/*");
    netlify.control().inject(lost.times(1));
    assert!(site.delete_deploy(&second.id).await.unwrap());
    assert!(!site.delete_deploy(&second.id).await.unwrap());
    let error = site.restore(&second.id).await.unwrap_err().report();
    assert!(error.contains("could not publish the deploy"), "{error}");
    // The published one is kept.
    let error = site.delete_deploy(&first.id).await.unwrap_err().report();
    assert!(error.contains("could not delete the deploy"), "{error}");
    assert_eq!(published(&site).await.as_deref(), Some(&*first.id));
}

/// Notes the changes whose result is not known.
#[derive(Debug, Default)]
struct Open(Mutex<Vec<String>>);

impl Fence for Open {
    fn ensure(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn ended(&self, change: &str, end: AttemptEnd) {
        let mut changes = self.0.lock().unwrap();
        match end {
            AttemptEnd::Known => changes.retain(|of| of != change),
            AttemptEnd::Unknown => changes.push(change.to_owned()),
            AttemptEnd::NotTaken => {}
        }
    }

    fn settled(&self, is_known: &dyn Fn(&str) -> bool) {
        self.0.lock().unwrap().retain(|change| !is_known(change));
    }
}

#[tokio::test]
async fn published_deploy_is_in_doubt_until_a_look_shows_it_and_a_deleted_one_no_more() {
    let (netlify, site) = site().await;
    let first = ready(&site, "one").await;
    let second = ready(&site, "two").await;
    let open = Arc::new(Open::default());
    site.set_fence(Arc::clone(&open) as _);
    // Each of its answers is lost, and the look shows it.
    for lost in [
        Failure::DisconnectAfterwards,
        Failure::FailedAfterwards { status: 504 },
    ] {
        netlify.control().clear_faults();
        let fault = Fault::new(lost).on("POST", "/api/v1/sites/*/deploys/*/restore");
        netlify.control().inject(fault);
        site.restore(&first.id).await.unwrap_err();
        assert!(!open.0.lock().unwrap().is_empty(), "{lost:?}");
        site.publish(&first.id).await.unwrap();
        assert_eq!(*open.0.lock().unwrap(), [""; 0]);
    }
    site.restore(&second.id).await.unwrap_err();
    netlify.control().clear_faults();
    site.restore(&first.id).await.unwrap();
    assert!(open.0.lock().unwrap()[0].contains(&second.id));
    assert!(site.delete_deploy(&second.id).await.unwrap());
    assert_eq!(*open.0.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn deploy_counts_as_cancelled_by_what_a_look_shows_and_stays_where_it_is_ready() {
    let (netlify, site) = site().await;
    let first = ready(&site, "one").await;
    assert!(!site.cancel_deploy(&first.id).await.unwrap());
    let cancel = |failure| Fault::new(failure).on("POST", "/api/v1/deploys/*/cancel");
    let made = site.create_deploy("two", None).await.unwrap();
    let status = Failure::Status {
        status: 503,
        retry_after: None,
    };
    netlify.control().inject(cancel(status));
    let error = site.cancel_deploy(&made.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    netlify.control().clear_faults();
    // It has cancelled it, and each answer is lost.
    netlify
        .control()
        .inject(cancel(Failure::FailedAfterwards { status: 503 }));
    assert!(site.cancel_deploy(&made.id).await.unwrap());
    assert!(site.deploy(&made.id).await.unwrap().has_failed());
    assert!(site.cancel_deploy("0").await.unwrap());
}
