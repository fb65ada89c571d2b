//! The checks of doctor by the call of an API that fails: none is called sound that was not made, and
//! the others are made.

use stagelink_tests::{FailingRelay, RelayFailure};

use super::FEW;
use super::site::{Linked, OF_SITE};

const FAILURES: [RelayFailure; 6] = [
    RelayFailure::Status(401),
    RelayFailure::Status(403),
    RelayFailure::Status(404),
    RelayFailure::Status(429),
    RelayFailure::Status(500),
    RelayFailure::Hang,
];

/// The words that a reason has for each of the failures.
const WORDS: [&str; 6] = ["401", "403", "404", "429", "500", "no answer within 20 s"];

/// The checks of the stages, which need no call of the site's.
const OF_STAGES: [&str; 6] = [
    "token",
    "connect",
    "mark",
    "own-database",
    "invalid-indexes",
    "long-transactions",
];

#[tokio::test]
async fn variables_of_the_account_that_cannot_be_read_leave_what_the_site_itself_says() {
    let mut linked = Linked::new().await;
    let url = linked.netlify.url().to_owned();
    let line = format!(
        "GET /api/v1/accounts/{}/env HTTP/1.1\r\n",
        linked.netlify.account()
    );
    for (failure, words) in FAILURES.into_iter().zip(WORDS) {
        let line = line.clone();
        let relay = FailingRelay::to(&url, failure, move |head| head.starts_with(&line)).await;
        linked.patient.set("NETLIFY_API_URL", relay.url());
        let examined = linked.examine(&[]).await;
        let words = match words {
            "403" | "404" => "may not read the variables of the account",
            words => words,
        };
        for id in ["token-reach", "leftover-url", "variables-size"] {
            examined.assert_not_checked(id, words);
        }
        for id in ["site", "linked", "deploys-by-api", "clock"] {
            examined.assert_sound(id);
        }
        for id in OF_STAGES {
            examined.assert_sound(id);
        }
        assert_eq!(examined.code, 0, "{failure:?}");
    }
}

/// Before `stagelink link` the site itself says nothing, and the account may.
#[tokio::test]
async fn account_that_cannot_be_read_may_link_the_site() {
    let mut linked = Linked::unlinked().await;
    let line = format!(
        "GET /api/v1/accounts/{}/env HTTP/1.1\r\n",
        linked.netlify.account()
    );
    let failure = RelayFailure::Status(403);
    let url = linked.netlify.url();
    let relay = FailingRelay::to(url, failure, move |head| head.starts_with(&line)).await;
    linked.patient.set("NETLIFY_API_URL", relay.url());
    let examined = linked.examine(&[]).await;
    examined.assert_not_checked("linked", "may not read the variables of the account");
}

#[tokio::test]
async fn variables_of_the_site_that_cannot_be_read_leave_what_needs_none() {
    let mut linked = Linked::new().await;
    let url = linked.netlify.url().to_owned();
    for (failure, words) in FAILURES.into_iter().zip(WORDS) {
        let relay = FailingRelay::to(&url, failure, |head| {
            head.starts_with("GET /api/v1/accounts/") && head.contains("/env?site_id=")
        });
        let relay = relay.await;
        linked.patient.set("NETLIFY_API_URL", relay.url());
        let examined = linked.examine(&[]).await;
        for id in ["linked", "token-reach", "leftover-url", "variables-size"] {
            examined.assert_not_checked(id, words);
        }
        for id in ["site", "deploys-by-api", "clock"] {
            examined.assert_sound(id);
        }
        for id in OF_STAGES {
            examined.assert_sound(id);
        }
    }
}

#[tokio::test]
async fn site_that_cannot_be_read_leaves_the_stages() {
    let mut linked = Linked::new().await;
    let url = linked.netlify.url().to_owned();
    for (failure, words) in FAILURES.into_iter().zip(WORDS) {
        let relay = FailingRelay::to(&url, failure, |head| head.starts_with("GET /api/v1/sites"));
        let relay = relay.await;
        linked.patient.set("NETLIFY_API_URL", relay.url());
        let examined = linked.examine(&[]).await;
        match words {
            // The site's name or the token is wrong.
            "401" | "403" | "404" => {
                examined.finding("site", "error", &[words]);
            }
            _ => examined.assert_not_checked("site", words),
        }
        for id in OF_SITE.into_iter().filter(|id| *id != "site") {
            examined.assert_not_checked(id, "the site was not read");
        }
        for id in OF_STAGES {
            examined.assert_sound(id);
        }
        let clocks = examined.of("clock");
        let unread = clocks.iter().filter(|of| of["result"] == "not_checked");
        assert_eq!(unread.count(), 1, "{clocks:?}");
    }
}

#[tokio::test]
async fn token_that_cannot_be_tried_is_not_called_narrow() {
    let mut linked = Linked::new().await;
    let token = linked.token("NARROW", &["shop-staging"]);
    let url = linked.heroku.url().to_owned();
    for (failure, words) in FAILURES.into_iter().zip(WORDS) {
        let token = token.clone();
        let relay = FailingRelay::to(&url, failure, move |head| {
            head.contains("/config-vars ") && head.contains(&token)
        });
        let relay = relay.await;
        linked.patient.set("STAGELINK_HEROKU_API_URL", relay.url());
        let examined = linked.examine(&["--token-for", "staging=NARROW"]).await;
        match words {
            // Heroku's answers to a token that may not read an app's config vars.
            "403" | "404" => examined.assert_sound("token-reach"),
            words => examined.assert_not_checked("token-reach", words),
        }
        for id in OF_SITE {
            if !["token-reach", "deploys-locked"].contains(&id) {
                examined.assert_sound(id);
            }
        }
        for id in OF_STAGES {
            examined.assert_sound(id);
        }
    }
}

/// The stages themselves are found by the pipeline, so they have findings then.
#[tokio::test]
async fn pipeline_that_cannot_be_read_leaves_the_site() {
    let mut linked = Linked::new().await;
    linked.token("NARROW", &["shop-staging"]);
    let url = linked.heroku.url().to_owned();
    for failure in FAILURES {
        let relay = FailingRelay::to(&url, failure, |head| head.starts_with("GET /pipelines/"));
        let relay = relay.await;
        linked.patient.set("STAGELINK_HEROKU_API_URL", relay.url());
        let words = [
            &["doctor", "--json", "--token-for", "staging=NARROW"][..],
            &FEW,
        ];
        let examined = linked.patient.examine_with(&words.concat()).await;
        assert_eq!(examined.code, 2, "{failure:?}");
        for id in ["connect", "mark", "server-version"] {
            examined.assert_not_checked(id, "was not reached");
        }
        examined.assert_not_checked("token-reach", "");
        for id in ["site", "linked", "variables-size", "deploys-by-api"] {
            examined.assert_sound(id);
        }
    }
}
