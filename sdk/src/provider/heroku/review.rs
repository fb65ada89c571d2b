//! The choice of a pull request's review app among those of a pipeline.

use serde::Deserialize;

/// A review app, as `/pipelines/{id}/review-apps` lists it.
#[derive(Deserialize)]
pub(super) struct ReviewApp {
    /// `None` before the app is created and after it is deleted.
    app: Option<App>,
    pr_number: Option<u64>,
    status: String,
}

#[derive(Deserialize)]
struct App {
    id: String,
}

/// The result of the search for a pull request's review app. Texts are reasons for messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReviewAppChoice {
    /// The id of the one app.
    App(String),
    /// The app is being created.
    Pending(String),
    /// The pull request has no app.
    None(String),
    /// The pull request has more than one app.
    Ambiguous(String),
}

/// Finds the review app of a pull request. Deleted apps do not count, so a pull request that was
/// closed and reopened has its new app alone.
pub(super) fn choose(apps: &[ReviewApp], pull_request: u64) -> ReviewAppChoice {
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
        [app] => ReviewAppChoice::App((*app).to_owned()),
        [_, _, ..] => ReviewAppChoice::Ambiguous(format!(
            "pull request {pull_request} has {} review apps on Heroku: delete all but one",
            ready.len()
        )),
        [] if has("pending") || has("creating") => ReviewAppChoice::Pending(format!(
            "the review app of pull request {pull_request} is still being created"
        )),
        [] if has("errored") => ReviewAppChoice::None(format!(
            "Heroku could not create the review app of pull request {pull_request}"
        )),
        [] => ReviewAppChoice::None(format!(
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
    fn review_app_belongs_to_the_pull_request() {
        let apps = apps(
            r#"[{"app":{"id":"a"},"pr_number":1,"status":"created","branch":"x"},
                {"app":{"id":"b"},"pr_number":2,"status":"created"},
                {"app":{"id":"c"},"pr_number":null,"status":"created"}]"#,
        );
        assert_eq!(choose(&apps, 2), ReviewAppChoice::App("b".into()));
        let ReviewAppChoice::None(why) = choose(&apps, 3) else {
            panic!("the app of another pull request");
        };
        assert!(why.contains("no review app of pull request 3"), "{why}");
    }

    #[test]
    fn deleted_review_app_is_replaced_by_the_new_one() {
        let one = |old: &str, new: &str, app: &str| {
            let json = format!(
                r#"[{{"app":{{"id":"a"}},"pr_number":1,"status":"{old}"}},
                    {{"app":{app},"pr_number":1,"status":"{new}"}}]"#
            );
            choose(&apps(&json), 1)
        };
        for old in ["deleted", "deleting", "errored"] {
            let new = one(old, "created", r#"{"id":"b"}"#);
            assert_eq!(new, ReviewAppChoice::App("b".into()), "{old}");
            for status in ["pending", "creating"] {
                let making = one(old, status, "null");
                assert!(matches!(making, ReviewAppChoice::Pending(_)), "{old}");
            }
        }
        let both = one("created", "created", r#"{"id":"b"}"#);
        assert!(matches!(both, ReviewAppChoice::Ambiguous(_)));
    }

    #[test]
    fn failed_review_app_is_none_with_the_reason() {
        let apps = apps(r#"[{"app":{"id":"a"},"pr_number":1,"status":"errored"}]"#);
        let ReviewAppChoice::None(why) = choose(&apps, 1) else {
            panic!("an app that failed");
        };
        assert!(why.contains("could not create"), "{why}");
    }
}
