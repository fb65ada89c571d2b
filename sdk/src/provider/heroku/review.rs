//! Which of a pipeline's review apps is that of a pull request: pure.

use serde::Deserialize;

/// A review app, as `/pipelines/{id}/review-apps` lists it.
#[derive(Deserialize)]
pub(super) struct ReviewApp {
    /// There is none before it has been made, and none any more after it was deleted.
    app: Option<App>,
    pr_number: Option<u64>,
    status: String,
}

#[derive(Deserialize)]
struct App {
    id: String,
}

/// What became of the search for a pull request's review app.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The app, by its id.
    App(String),
    /// There is none yet, and why.
    InTheMaking(String),
    /// There is none, and why.
    None(String),
    /// It is not clear which, and why.
    Several(String),
}

/// The review app of a pull request. One that was deleted counts as none, so that a pull
/// request that was closed and opened again has its new one alone.
pub(super) fn choose(apps: &[ReviewApp], pull_request: u64) -> Choice {
    let own: Vec<_> = apps
        .iter()
        .filter(|app| app.pr_number == Some(pull_request))
        .collect();
    let mut ready: Vec<_> = own
        .iter()
        .filter(|app| app.status == "created")
        .filter_map(|app| app.app.as_ref())
        .map(|app| app.id.as_str())
        .collect();
    ready.sort_unstable();
    ready.dedup();
    let has = |status| own.iter().any(|app| app.status == status);
    match ready.as_slice() {
        [app] => Choice::App((*app).to_owned()),
        [_, _, ..] => Choice::Several(format!(
            "pull request {pull_request} has {} review apps on Heroku: delete all but one",
            ready.len()
        )),
        [] if has("pending") || has("creating") => Choice::InTheMaking(format!(
            "the review app of pull request {pull_request} is still being made"
        )),
        [] if has("errored") => Choice::None(format!(
            "the making of the review app of pull request {pull_request} failed"
        )),
        [] => Choice::None(format!(
            "there is no review app of pull request {pull_request}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(json: &str) -> Vec<ReviewApp> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn review_app_is_that_of_the_pull_request_alone() {
        let apps = apps(
            r#"[{"app":{"id":"a"},"pr_number":1,"status":"created","branch":"x"},
                {"app":{"id":"b"},"pr_number":2,"status":"created"},
                {"app":{"id":"c"},"pr_number":null,"status":"created"}]"#,
        );
        assert_eq!(choose(&apps, 2), Choice::App("b".into()));
        let Choice::None(why) = choose(&apps, 3) else {
            panic!("somebody else's");
        };
        assert!(why.contains("no review app of pull request 3"), "{why}");
    }

    #[test]
    fn review_app_of_before_gives_way_to_the_new_one() {
        let one = |old: &str, new: &str, app: &str| {
            let json = format!(
                r#"[{{"app":{{"id":"a"}},"pr_number":1,"status":"{old}"}},
                    {{"app":{app},"pr_number":1,"status":"{new}"}}]"#
            );
            choose(&apps(&json), 1)
        };
        for old in ["deleted", "deleting", "errored"] {
            let new = one(old, "created", r#"{"id":"b"}"#);
            assert_eq!(new, Choice::App("b".into()), "{old}");
            for status in ["pending", "creating"] {
                let making = one(old, status, "null");
                assert!(matches!(making, Choice::InTheMaking(_)), "{old}");
            }
        }
        let both = one("created", "created", r#"{"id":"b"}"#);
        assert!(matches!(both, Choice::Several(_)));
    }

    #[test]
    fn review_app_that_failed_is_none_and_says_so() {
        let apps = apps(r#"[{"app":{"id":"a"},"pr_number":1,"status":"errored"}]"#);
        let Choice::None(why) = choose(&apps, 1) else {
            panic!("an app that failed");
        };
        assert!(why.contains("failed"), "{why}");
    }
}
