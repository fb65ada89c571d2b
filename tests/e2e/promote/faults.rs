//! A promotion whose calls fail: what was done is taken back, or the next run goes on.

use axum::http::Method;
use stagelink_local::api::{Control, Failure, Fault, RecordedRequest};
use stagelink_pipeline::PromotionStep;

use super::kills::kill_in;
use super::{SITE, Shop};
use crate::status::Run;

/// It is not tried again, so the test does not take the time of the pauses.
const REFUSED: Failure = Failure::Status {
    status: 422,
    retry_after: None,
};

/// A proxy that asks for a login, in place of Netlify.
const LOGIN_PAGE: Failure = Failure::LoginPage;

/// Failures of calls that read. Each call is tried with one of them: the client's unit tests try each call
/// with each.
const ODD_READS: [Failure; 7] = [
    Failure::OtherObject,
    Failure::LoginPage,
    Failure::EmptyBody,
    Failure::Redirect,
    Failure::InvalidJson,
    Failure::NoContent,
    REFUSED,
];

const RESTORE: &str = "/api/v1/sites/*/deploys/*/restore";

fn control(shop: &Shop) -> Control {
    shop.project.netlify.control().clone()
}

/// Promotes once more what staging runs.
async fn promote_again(shop: &Shop, more: &[&str]) -> Run {
    let words = ["promote", "--yes", "--again", "--json"];
    shop.run(&[&words, more].concat()).await
}

/// Makes sure that a stage is as before a run that failed, or that the next run goes on. A run that did
/// not fail has promoted.
async fn ensure_whole(shop: &Shop, before: &str, run: &Run, what: &str) {
    let leases = "SELECT count(*) FROM stagelink_leases";
    if run.code != Some(0) && shop.production_count(leases).await == 0 {
        assert_eq!(shop.published().id, before, "{what}: {}", run.errors);
    } else if run.code != Some(0) {
        shop.expire_leases().await;
        let again = promote_again(shop, &[]).await;
        let errors = format!("{what}: {}\nbefore: {}", again.errors, run.errors);
        assert_eq!(again.code, Some(0), "{errors}");
        assert_ne!(shop.published().id, before, "{errors}");
    } else {
        assert_ne!(shop.published().id, before, "{what}");
    }
    assert!(!shop.is_locked(), "{what}: {}", run.errors);
    // None is left that was never live.
    let live = shop.project.netlify.publications(SITE);
    for deploy in shop.production_deploys() {
        assert!(live.contains(&deploy.id), "{what}: {}", run.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_that_fails_leaves_the_stage_as_it_was_or_promoted() {
    let shop = Shop::new().await;
    let control = control(&shop);
    // So that the programs are uploaded, too.
    shop.project.netlify.set_forgets_functions(true);
    shop.deploy_next("two", None).await;
    control.clear_requests();
    promote_again(&shop, &[]).await.succeeds();
    let calls = control.requests();
    let changes = calls.iter().filter(|call| call.method != Method::GET);
    assert_eq!(changes.count(), 7, "{calls:?}");
    let mut odd = ODD_READS.iter().cycle();
    for (number, call) in calls.iter().enumerate() {
        // A change may also have its effect, and its answer be lost.
        let failures: &[_] = match call.method {
            Method::GET => std::slice::from_ref(odd.next().expect("a failure")),
            _ => &[REFUSED, LOGIN_PAGE, Failure::DisconnectAfterwards],
        };
        for failure in failures {
            let what = format!("{number}: {} {}: {failure:?}", call.method, call.path);
            let before = shop.published().id;
            let place = Place::of(&calls, number);
            control.clear_requests();
            control.inject(place.fault(*failure).times(1));
            let run = promote_again(&shop, &[]).await;
            control.clear_faults();
            // The deploy may be ready sooner than it was when the calls were recorded.
            let is_optional = call.method == Method::GET && place.earlier > 0;
            assert!(
                is_optional || place.is_in(&control.requests()),
                "{what}: it was not called"
            );
            if run.code != Some(0) {
                let name = name_of(call);
                assert!(run.errors.contains(name), "{what}: {name}: {}", run.errors);
            }
            ensure_whole(&shop, &before, &run, &what).await;
        }
    }
}

/// The place of a call in a promotion: its route, and how many calls of that route come before it. Its number
/// among all calls is another in each run: how often a deploy is asked for until it is ready differs.
struct Place {
    method: Method,
    route: String,
    earlier: usize,
}

impl Place {
    fn of(calls: &[RecordedRequest], number: usize) -> Self {
        let mut place = Self {
            method: calls[number].method.clone(),
            route: route_of(&calls[number]),
            earlier: 0,
        };
        place.earlier = place.count(&calls[..number]);
        place
    }

    fn fault(&self, failure: Failure) -> Fault {
        let fault = Fault::new(failure).on(self.method.as_str(), &self.route);
        fault.after(position(self.earlier))
    }

    fn is_in(&self, calls: &[RecordedRequest]) -> bool {
        self.count(calls) > self.earlier
    }

    fn count(&self, calls: &[RecordedRequest]) -> usize {
        let same =
            |call: &&RecordedRequest| call.method == self.method && route_of(call) == self.route;
        calls.iter().filter(same).count()
    }
}

/// Returns the path of a call with `*` in place of the ids of sites and deploys.
fn route_of(call: &RecordedRequest) -> String {
    let mut route = Vec::new();
    for part in call.path.split('/') {
        let is_id = matches!(route.last(), Some(&("sites" | "deploys")));
        route.push(if is_id { "*" } else { part });
    }
    route.join("/")
}

/// Returns the words by which a message names a call.
fn name_of(call: &RecordedRequest) -> &'static str {
    let path = call.path.trim_start_matches("/api/v1/");
    let parts: Vec<_> = path.split('/').collect();
    match (call.method.as_str(), &*parts) {
        ("GET", ["sites"]) => "could not find the site",
        // It finds the site, or reads what it has published.
        ("GET", ["sites", _]) => " the site ",
        ("GET", ["sites", _, "deploys"]) => "could not read the deploys of",
        ("GET", ["sites", _, "deploys", _]) => "could not read the deploy ",
        ("POST", ["sites", _, "deploys"]) => "could not make a deploy",
        ("PUT", ["sites", _, "deploys", _]) => "could not declare",
        ("PUT", ["deploys", _, "files", ..]) => "could not upload the file",
        ("PUT", ["deploys", _, "functions", _]) => "could not upload the function",
        ("POST", ["deploys", _, "lock"]) => "could not lock publishing",
        ("POST", ["deploys", _, "unlock"]) => "could not unlock publishing",
        ("POST", ["sites", _, "deploys", _, "restore"]) => "could not publish the deploy",
        _ => panic!("{} {}", call.method, call.path),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_that_takes_a_promotion_back_and_fails_is_made_again() {
    let shop = Shop::new().await;
    let control = control(&shop);
    let unpublished = || Fault::new(REFUSED).on("POST", RESTORE).times(1);
    control.clear_requests();
    control.inject(unpublished());
    let run = promote_again(&shop, &[]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let calls = control.requests();
    let published = calls
        .iter()
        .position(|call| call.path.ends_with("/restore"));
    let first = published.expect("a call") + 1;
    for (number, call) in calls.iter().enumerate().skip(first) {
        let what = format!("{number}: {} {}", call.method, call.path);
        let before = shop.published().id;
        let place = Place::of(&calls, number);
        control.clear_requests();
        control.inject(place.fault(REFUSED).times(1));
        control.inject(unpublished());
        let run = promote_again(&shop, &[]).await;
        control.clear_faults();
        assert_eq!(run.code, Some(1), "{what}");
        assert!(
            place.is_in(&control.requests()),
            "{what}: it was not called"
        );
        ensure_whole(&shop, &before, &run, &what).await;
    }
    let changes = calls[first..]
        .iter()
        .filter(|call| call.method != Method::GET);
    let changes: Vec<_> = changes.map(|call| call.method.as_str()).collect();
    assert_eq!(
        changes,
        ["DELETE", "POST"],
        "the deploy is deleted before the lock goes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_that_never_gets_ready_is_cancelled_and_deleted() {
    let shop = Shop::new().await;
    let (control, netlify) = (control(&shop), &shop.project.netlify);
    let before = shop.published().id;
    for refused in [
        None,
        Some(("POST", "/api/v1/deploys/*/cancel")),
        Some(("DELETE", "/api/v1/deploys/*")),
    ] {
        netlify.set_holds_deploys(true);
        if let Some((method, path)) = refused {
            control.inject(Fault::new(REFUSED).on(method, path));
        }
        let run = promote_again(&shop, &["--ready-limit", "1"]).await;
        assert_eq!(run.code, Some(1), "{refused:?}");
        assert!(
            run.errors.contains("has not finished the deploy"),
            "{}",
            run.errors
        );
        control.clear_faults();
        if refused.is_none() {
            assert_eq!(
                (shop.published().id, shop.is_locked()),
                (before.clone(), false)
            );
            assert_eq!(shop.production_deploys().len(), 1, "it was deleted");
        } else {
            let told = "`stagelink promote --to production --abort`";
            assert!(run.errors.contains(told), "{refused:?}: {}", run.errors);
            shop.run(&["promote", "--abort"]).await.succeeds();
            assert_eq!(
                (shop.published().id, shop.is_locked()),
                (before.clone(), false)
            );
            assert_eq!(shop.production_deploys().len(), 1, "{refused:?}");
        }
        netlify.set_holds_deploys(false);
    }
    promote_again(&shop, &[]).await.succeeds();
}

#[tokio::test(flavor = "multi_thread")]
async fn deploy_of_before_that_cannot_be_published_again_is_so_by_the_next_run() {
    let shop = Shop::new().await;
    let before = shop.published().id;
    shop.deploy_next("two", None).await;
    kill_in(&shop, PromotionStep::TestLive).await;
    shop.expire_leases().await;
    let good = miss_a_page(&shop);
    control(&shop).inject(Fault::new(REFUSED).on("POST", RESTORE));
    let run = promote_again(&shop, &["--test-limit", "1"]).await;
    control(&shop).clear_faults();
    assert_eq!(run.code, Some(1));
    assert!(
        run.errors.contains("not all of it could be taken back"),
        "{}",
        run.errors
    );
    assert_ne!(shop.published().id, before);
    shop.run(&["promote", "--abort"]).await.succeeds();
    assert_eq!(
        (shop.published().id, shop.is_locked()),
        (before.clone(), false)
    );
    shop.project.write("stagelink.toml", &good);
    promote_again(&shop, &[]).await.succeeds();
    assert_ne!(shop.published().id, before);
}

/// Lets a promotion ask for a page that is not there. Returns the settings of before.
fn miss_a_page(shop: &Shop) -> String {
    let settings = shop.project.folder.path().join("stagelink.toml");
    let good = std::fs::read_to_string(settings).expect("settings");
    let bad = good.replace(
        "{ path = \"/none\", status = 404 }",
        "{ path = \"/about\" }",
    );
    assert_ne!(bad, good);
    shop.project.write("stagelink.toml", &bad);
    good
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
async fn deploy_whose_page_is_missing_never_goes_live() {
    let shop = Shop::new().await;
    let before = shop.published();
    shop.deploy_next("two", None).await;
    miss_a_page(&shop);
    let run = shop.run(&["promote", "--yes", "--test-limit", "3"]).await;
    assert_eq!(run.code, Some(1), "{}", run.errors);
    let reason = "/about answers 404, and not 200";
    assert!(run.errors.contains(reason), "{}", run.errors);
    assert_eq!(shop.published().id, before.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_that_ends_half_way_leaves_a_promotion_that_goes_on_with_another() {
    let mut shop = Shop::new().await;
    let control = control(&shop);
    control.clear_requests();
    promote_again(&shop, &[]).await.succeeds();
    let calls = control.requests();
    let changes = calls.iter().enumerate();
    let changes = changes.filter(|(_, call)| call.method != Method::GET);
    let gone = Failure::Status {
        status: 401,
        retry_after: None,
    };
    for (number, call) in changes {
        let what = format!("{number}: {} {}", call.method, call.path);
        let token = shop.project.netlify.create_token();
        shop.project.set("NETLIFY_AUTH_TOKEN", &token);
        let before = shop.published().id;
        // No call from this one on is answered, also none that takes back. Where the deploy is ready sooner
        // or later than it was when the calls were recorded, it is one beside it.
        control.clear_requests();
        control.inject(Fault::new(gone).after(position(number)));
        let run = promote_again(&shop, &[]).await;
        control.clear_faults();
        if control.requests().len() <= number {
            ensure_whole(&shop, &before, &run, &what).await;
            continue;
        }
        assert_eq!(run.code, Some(1), "{what}");
        assert!(
            run.errors.contains("NETLIFY_AUTH_TOKEN"),
            "{what}: {}",
            run.errors
        );
        ensure_whole(&shop, &before, &run, &what).await;
    }
}

fn position(number: usize) -> u32 {
    u32::try_from(number).expect("a number")
}
