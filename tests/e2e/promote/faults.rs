//! A promotion whose calls fail: what was done is taken back, or the next run goes on.

use stagelink_local::api::{Failure, Fault};

use super::Shop;

/// The calls of a promotion, and the failure that each one is given: an answer that stays, or a
/// connection that ends although the call had its effect.
const CALLS: [(&str, &str, Failure); 9] = [
    ("GET", "/api/v1/sites/*", REFUSED),
    ("POST", "/api/v1/deploys/*/lock", REFUSED),
    ("POST", "/api/v1/sites/*/deploys", REFUSED),
    (
        "POST",
        "/api/v1/sites/*/deploys",
        Failure::DisconnectAfterwards,
    ),
    ("PUT", "/api/v1/sites/*/deploys/*", REFUSED),
    ("GET", "/api/v1/sites/*/deploys/*", REFUSED),
    ("POST", "/api/v1/sites/*/deploys/*/restore", REFUSED),
    (
        "POST",
        "/api/v1/sites/*/deploys/*/restore",
        Failure::DisconnectAfterwards,
    ),
    ("POST", "/api/v1/deploys/*/unlock", REFUSED),
];

/// It is not tried again, so the test does not take the time of the pauses.
const REFUSED: Failure = Failure::Status {
    status: 422,
    retry_after: None,
};

/// Makes sure that the stage runs the artifact of before or that of the promotion, as a whole.
async fn ensure_whole(shop: &Shop, before: &str, artifact: &str, what: &str) -> bool {
    let live = Shop::artifact_of(&shop.published());
    assert!([before, artifact].contains(&&*live), "{what}: {live}");
    live == artifact
}

#[tokio::test(flavor = "multi_thread")]
async fn call_that_fails_leaves_the_stage_as_it_was_or_promoted() {
    let shop = Shop::new().await;
    for (number, (method, path, failure)) in CALLS.into_iter().enumerate() {
        let what = format!("{method} {path}: {failure:?}");
        let before = Shop::artifact_of(&shop.published());
        let artifact = shop.deploy_next(&format!("fault {number}"), None).await;
        let control = shop.project.netlify.control();
        let fault = Fault::new(failure).on(method, path);
        control.inject(match failure {
            REFUSED => fault,
            _ => fault.times(1),
        });
        let run = shop.promote().await;
        control.clear_faults();
        let is_live = ensure_whole(&shop, &before, &artifact, &what).await;
        if run.code == Some(0) {
            assert!(is_live, "{what}");
            continue;
        }
        shop.expire_leases().await;
        let again = shop.run(&["promote", "--yes", "--again", "--json"]).await;
        assert_eq!(
            again.code,
            Some(0),
            "{what}: {}\nbefore: {}",
            again.errors,
            run.errors
        );
        assert!(
            ensure_whole(&shop, &before, &artifact, &what).await,
            "{what}"
        );
        assert!(!shop.is_locked(), "{what}");
    }
    // One deploy for each artifact: what was taken back was deleted.
    assert_eq!(shop.production_deploys().len(), 1 + CALLS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_that_fails_its_test_never_goes_live() {
    let shop = Shop::new().await;
    let before = shop.published();
    shop.deploy_next("two", None).await;
    // Production's functions would get staging's database.
    shop.let_production_serve_staging();
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    assert!(
        run.errors.contains("does not pass its test"),
        "{}",
        run.errors
    );
    let after = shop.published();
    assert_eq!((after.id, shop.is_locked()), (before.id, false));
    assert_eq!(shop.page().await, "<h1>one</h1>\n");
    assert_eq!(shop.production_deploys().len(), 1, "the deploy was deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_ends_half_way_leaves_a_promotion_that_goes_on_with_another() {
    let mut shop = Shop::new().await;
    let token = shop.project.netlify.create_token();
    shop.project.set("NETLIFY_AUTH_TOKEN", &token);
    let before = Shop::artifact_of(&shop.published());
    let artifact = shop.deploy_next("two", None).await;
    let failure = Failure::Status {
        status: 401,
        retry_after: None,
    };
    let fault = Fault::new(failure).on("POST", "/api/v1/sites/*/deploys/*/restore");
    shop.project.netlify.control().inject(fault);
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    shop.project.netlify.control().clear_faults();
    ensure_whole(&shop, &before, &artifact, "401").await;
    shop.expire_leases().await;
    shop.promote().await.succeeds();
    assert!(ensure_whole(&shop, &before, &artifact, "401").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_whose_page_is_missing_never_goes_live() {
    let shop = Shop::new().await;
    let before = shop.published();
    shop.deploy_next("two", None).await;
    let settings = shop.project.folder.path().join("stagelink.toml");
    let text = std::fs::read_to_string(&settings).expect("settings");
    let text = text.replace(
        "{ path = \"/none\", status = 404 }",
        "{ path = \"/about\" }",
    );
    std::fs::write(&settings, text).expect("settings");
    let run = shop.run(&["promote", "--yes", "--test-limit", "3"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let reason = "/about answers 404, and not 200";
    assert!(run.errors.contains(reason), "{}", run.errors);
    assert_eq!(shop.published().id, before.id);
}
