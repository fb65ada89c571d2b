//! Tests of odd answers: each call with each of them.

use stagelink_local::api::{Failure, Fault};
use stagelink_local::netlify_api::NetlifyApi;

use super::*;
use crate::api::ApiAccess;
use crate::netlify::test_site::{TestSite, make_ready};

/// A site with deploys, one of which is not ready.
struct Scene {
    netlify: NetlifyApi,
    access: ApiAccess,
    site: Site,
    deploy: String,
}

impl Scene {
    async fn new() -> Self {
        let TestSite {
            netlify,
            access,
            site,
        } = TestSite::new().await;
        // No list is empty, which could be one of another site.
        make_ready(&site, "ready", None).await;
        make_ready(&site, "ready", Some("main")).await;
        let deploy = site.create_deploy("one", None).await.unwrap().id;
        Self {
            netlify,
            access,
            site,
            deploy,
        }
    }

    /// Makes the call of this number. `None` where there is none.
    async fn call(&self, number: usize) -> Option<(&'static str, Result<(), Error>)> {
        let (site, id) = (&self.site, &*self.deploy);
        Some(match number {
            0 => (
                "find the site",
                Site::find(&self.access, site.id(), true).await.map(drop),
            ),
            1 => (
                "read the published deploy",
                site.read_published_deploy().await.map(drop),
            ),
            2 => ("read the deploy", site.deploy(id).await.map(drop)),
            3 => ("read the deploy", site.find_deploy(id).await.map(drop)),
            4 => (
                "read the deploys of branch",
                site.newest_deploy("main").await.map(drop),
            ),
            5 => (
                "read the deploys of the site",
                site.production_deploys_since("").await.map(drop),
            ),
            6 => (
                "read the deploys of the site",
                site.deploys_of_title("one").await.map(drop),
            ),
            7 => ("lock", site.lock(id).await.map(drop)),
            8 => ("publish", site.restore(id).await.map(drop)),
            9 => ("cancel", site.cancel_deploy(id).await.map(drop)),
            _ => return None,
        })
    }

    fn fail(&self, failure: Failure) {
        self.netlify.control().inject(Fault::new(failure));
    }
}

const ODD: [Failure; 8] = [
    Failure::LoginPage,
    Failure::Redirect,
    Failure::NoContent,
    Failure::EmptyBody,
    Failure::EmptyObject,
    Failure::HalfBody,
    Failure::InvalidJson,
    Failure::OtherObject,
];

#[tokio::test]
async fn odd_answer_to_any_call_says_nothing_and_the_call_is_named() {
    let scene = Scene::new().await;
    let mut number = 0;
    while scene.call(number).await.is_some() {
        for failure in ODD {
            scene.fail(failure);
            let (name, result) = scene.call(number).await.unwrap();
            scene.netlify.control().clear_faults();
            let what = format!("{number} {name}: {failure:?}");
            let error = result.err().unwrap_or_else(|| panic!("{what}")).report();
            assert!(
                error.contains(&format!("could not {name}")),
                "{what}: {error}"
            );
        }
        number += 1;
    }
    assert_eq!(number, 10);
}

#[tokio::test]
async fn answer_about_another_deploy_or_site_is_named() {
    let scene = Scene::new().await;
    scene.fail(Failure::OtherObject);
    for (number, other) in [
        (0, "the site other"),
        (1, "the site other"),
        (2, "the site other"),
    ] {
        let error = scene.call(number).await.unwrap().1.unwrap_err().report();
        let text = format!("Netlify answered about {other}");
        assert!(error.contains(&text), "{number}: {error}");
    }
    scene.netlify.control().clear_faults();
    let other = scene.site.create_deploy("two", None).await.unwrap().id;
    let path = ["deploys", other.as_str()];
    let response = scene.site.api.get(&path, &[], "read it").await.unwrap();
    let read = |id: &str| scene.site.read_deploy(&response, id, "read it");
    assert_eq!(read(&other).unwrap().id, other);
    let error = read(&scene.deploy).unwrap_err().report();
    let text = format!("could not read it: Netlify answered about the deploy {other}");
    assert_eq!(error, text);
    let new = |title: &str| scene.site.read_new_deploy(&response, title, "make it");
    assert_eq!(new("two").unwrap().id, other);
    assert!(new("one").is_err());
}

#[tokio::test]
async fn deletion_that_a_page_answers_is_not_taken_for_done() {
    let scene = Scene::new().await;
    scene
        .netlify
        .control()
        .inject(Fault::new(Failure::LoginPage).on("DELETE", "/**"));
    let error = scene.site.delete_deploy(&scene.deploy).await.unwrap_err();
    let text = "Netlify took the request, and changed nothing";
    assert!(error.report().contains(text), "{}", error.report());
    scene.netlify.control().clear_faults();
    let id = &scene.deploy;
    assert!(scene.site.find_deploy(id).await.unwrap().is_some());
}

#[tokio::test]
async fn deploy_is_not_made_again_where_a_search_does_not_say_whether_it_is_there() {
    let scene = Scene::new().await;
    let control = scene.netlify.control();
    control.inject(
        Fault::new(Failure::DisconnectAfterwards)
            .on("POST", "/**")
            .times(1),
    );
    let search = Fault::new(Failure::LoginPage).on("GET", "/**");
    control.inject(search.after(1).times(1));
    scene.site.create_deploy("two", None).await.unwrap_err();
    let made = scene.site.deploys_of_title("two").await.unwrap();
    assert_eq!(made.len(), 1);
}

#[test]
fn address_that_a_terminal_would_show_as_something_else_is_none() {
    let read = |json: serde_json::Value| -> Deploy { serde_json::from_value(json).unwrap() };
    let good = serde_json::json!({"id": "a", "links": {"permalink": "https://a--shop.example"}});
    assert_eq!(read(good).permalink(), Some("https://a--shop.example"));
    for odd in [
        "https://a\nproduction runs",
        "https://a\u{1b}[2J",
        "https://a\u{202e}",
        "a b",
    ] {
        let odd = read(serde_json::json!({"id": "a", "ssl_url": odd, "links": {"permalink": odd}}));
        assert_eq!((odd.permalink(), odd.address()), (None, None));
    }
    assert_eq!(
        read(serde_json::json!({"id": "a", "ssl_url": null})).address(),
        None
    );
}
