//! Tests of review apps, from creation to deletion.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::{Heroku, ReviewStatus};
use super::{get, guestbook, send};
use crate::ErrorKind;

/// Returns the path of the pipeline's review apps.
async fn list_path(heroku: &Heroku) -> String {
    let pipeline = get(heroku, "/pipelines/guestbook").await.json();
    let id = pipeline["id"].as_str().expect("an id");
    format!("/pipelines/{id}/review-apps")
}

#[tokio::test]
async fn review_app_has_the_fields_of_the_schema() {
    let heroku = guestbook().await;
    let id = heroku
        .create_review_app("guestbook", 24)
        .expect("a review app");
    let listed = get(&heroku, &list_path(&heroku).await).await.json()[0].clone();
    for field in "app app_setup branch created_at creator error_status fork_repo id message \
                  pipeline pr_number status updated_at wait_for_ci"
        .split_whitespace()
    {
        assert!(listed.get(field).is_some(), "no {field}: {listed}");
    }
    assert_eq!(listed["pr_number"], 24);
    assert_eq!(listed["status"], "pending");
    assert_eq!(listed["app"], Value::Null);
    let alone = get(&heroku, &format!("/review-apps/{id}")).await.json();
    assert_eq!(alone, listed);
}

#[tokio::test]
async fn review_app_gets_an_app_in_the_review_stage_until_it_is_deleted() {
    let heroku = guestbook().await;
    let id = heroku
        .create_review_app("guestbook", 24)
        .expect("a review app");
    let app = heroku
        .create_app_for_review_app(id, "guestbook-pr-24")
        .expect("an app");
    let of_app = "/apps/guestbook-pr-24/review-app";
    let json = get(&heroku, of_app).await.json();
    assert_eq!(json["status"], "creating");
    assert_eq!(json["app"], json!({"id": app}));
    let coupling = get(&heroku, "/apps/guestbook-pr-24/pipeline-couplings").await;
    assert_eq!(coupling.json()["stage"], "review");
    heroku
        .set_review_status(id, ReviewStatus::Created)
        .expect("a review app");
    assert_eq!(get(&heroku, of_app).await.json()["status"], "created");

    heroku
        .set_review_status(id, ReviewStatus::Deleted)
        .expect("a review app");
    let error = get(&heroku, of_app).await.error();
    assert_eq!(error, (404, "not_found".to_owned()));
    let listed = get(&heroku, &list_path(&heroku).await).await.json();
    assert_eq!(listed[0]["status"], "deleted");
    assert_eq!(listed[0]["app"], Value::Null);
}

#[tokio::test]
async fn review_apps_are_listed_in_pages() {
    let heroku = guestbook().await;
    for number in 1..=3 {
        heroku
            .create_review_app("guestbook", number)
            .expect("a review app");
    }
    heroku.set_page_size(2);
    let range = [("range", "id ..")];
    let response = send(&heroku, "GET", &list_path(&heroku).await, &range, "").await;
    let response = response.expect("a response");
    assert_eq!(response.status, 206);
    assert_eq!(response.json().as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn unknown_review_apps_are_refused() {
    let heroku = guestbook().await;
    for path in [
        "/pipelines/guestbook/review-apps",
        "/apps/guestbook-staging/review-app",
        &format!("/review-apps/{}", Uuid::new_v4()),
    ] {
        let error = get(&heroku, path).await.error();
        assert_eq!(error, (404, "not_found".to_owned()), "{path}");
    }
    let error = heroku.create_review_app("nope", 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let error = heroku.create_app_for_review_app(Uuid::new_v4(), "some-app");
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Input);
}
