//! The content of a promotion's new deploy: all of the artifact, variables of its own, and nothing of
//! production's anywhere else.

use percent_encoding::percent_decode_str;
use serde_json::Value;
use stagelink_local::netlify_api::{Context, EnvScope, UploadedDeploy};
use stagelink_tests::{CANARY, server};

use super::{NETLIFY_TOML, SITE, Shop};

/// The parts of a deploy besides its files and programs.
const MORE: &str = "\n[functions.health]\nschedule = \"@daily\"\n\n[functions.guestbook]\nmemory = 2048\n\n\
                    [[headers]]\nfor = \"/*\"\n[headers.values]\nx-shop = \"two\"\n";

fn newest(shop: &Shop, context: &Context) -> UploadedDeploy {
    let deploys = shop.project.netlify.deploys();
    let newest = deploys
        .into_iter()
        .rfind(|deploy| deploy.context == *context);
    newest.expect("a deploy")
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_settings_redirects_and_headers_are_those_of_the_source() {
    let shop = Shop::new().await;
    shop.project
        .write("netlify.toml", &format!("{NETLIFY_TOML}{MORE}"));
    shop.deploy_next("two", None).await;
    let plan = shop.run(&["promote", "--plan", "--json"]).await;
    plan.succeeds();
    // It answers no request, so no self-check can be asked.
    let notes = plan.json()["notes"].to_string();
    assert!(
        notes.contains("the functions health answer no request"),
        "{notes}"
    );
    shop.promote().await.succeeds();
    let staging = newest(&shop, &Context::Branch("staging".to_owned()));
    let live = shop.published();
    assert_eq!(live.schedules["health"], "@daily");
    assert_eq!(live.functions_config["guestbook"]["memory"], 2048);
    assert_eq!(
        (
            &live.schedules,
            &live.functions_config,
            &live.files,
            &live.functions
        ),
        (
            &staging.schedules,
            &staging.functions_config,
            &staging.files,
            &staging.functions
        )
    );
    assert_eq!(shop.visit("/").await.header("x-shop"), "two");
    assert_eq!(shop.visit("/api/guestbook").await.status, 200);
    // Of its own it has the key of the self-check alone; all else is that of the site's production.
    let own: Vec<_> = live
        .environment
        .iter()
        .map(|of| (of.key.as_str(), of.is_secret))
        .collect();
    assert_eq!(own, [("STAGELINK_SELF_CHECK_KEY", true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_of_production_is_in_no_request_for_another_context_and_in_no_file_or_output() {
    let shop = Shop::new().await;
    shop.project.netlify.set_forgets_functions(true);
    shop.deploy_next("two", None).await;
    shop.promote().await.succeeds();
    shop.run(&["rollback", "--yes"]).await.succeeds();
    for command in [["history", "production"], ["status", "--timeout=300"]] {
        shop.run(&command).await;
    }
    let netlify = &shop.project.netlify;
    let variables = netlify.environment(SITE, &Context::Production, EnvScope::Functions);
    let token = variables.expect("a site")["HEROKU_API_KEY"].clone();
    let mut secrets = vec![token];
    secrets.extend(passwords_of_production(&shop));
    secrets.extend(keys_of_production(&shop).await);
    assert!(secrets.len() > 4, "the keys of several deploys");

    let (mut places, requests) = (0, shop.project.netlify_requests.requests());
    for request in &requests {
        let is_of_production = || {
            let deploys = shop.production_deploys();
            deploys
                .iter()
                .any(|deploy| request.path.contains(&deploy.id))
        };
        for secret in &secrets {
            assert!(!request.path.contains(secret), "{}", request.path);
            for object in objects_with(&request.body, secret) {
                places += 1;
                let is_named = object["context"] == "production";
                assert!(
                    is_named || (object["is_secret"] == true && is_of_production()),
                    "{} {}: {}",
                    request.method,
                    request.path,
                    object.to_string().replace(secret.as_str(), "SECRET")
                );
            }
        }
    }
    assert!(places > 2, "the token and the keys were sent to production");
    for deploy in netlify.deploys() {
        let files = deploy.files.iter();
        let mut files: Vec<_> = files
            .map(|(name, bytes)| (name.clone(), bytes.to_vec()))
            .collect();
        for function in deploy.functions.values() {
            files.extend(function.unpack().expect("an archive"));
        }
        let environment = match deploy.context {
            Context::Production => String::new(),
            _ => format!("{:?}", netlify.function_environment(&deploy.id)),
        };
        for secret in &secrets {
            for (name, bytes) in &files {
                let is_there = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!is_there, "{name} of {}", deploy.id);
            }
            assert!(!environment.contains(secret.as_str()), "{}", deploy.id);
        }
    }
    // All that the commands have printed is held against these, too.
    for secret in secrets {
        shop.project.record.forbid(secret);
    }
    shop.project.record.text();
}

/// The password of production's database, as it is and as a URL has it.
fn passwords_of_production(shop: &Shop) -> [String; 2] {
    let url = shop.project.production.url();
    let (_, rest) = url.split_once("://").expect("a URL");
    let (user, _) = rest.split_once('@').expect("a user");
    let (_, password) = user.split_once(':').expect("a password");
    let plain = percent_decode_str(password).decode_utf8().expect("text");
    assert!(plain.contains(CANARY), "a password");
    [plain.into_owned(), password.to_owned()]
}

/// The keys of the self-checks of production's deploys.
async fn keys_of_production(shop: &Shop) -> Vec<String> {
    let client = server().await.connect(&shop.project.production).await;
    let rows = "SELECT self_check_key FROM stagelink_deploys WHERE self_check_key IS NOT NULL";
    let rows = client.expect("a session").query(rows, &[]).await;
    rows.expect("rows").iter().map(|row| row.get(0)).collect()
}

/// The innermost objects of a JSON that hold a text; a text that is in none is an object of its own.
fn objects_with<'a>(json: &'a Value, text: &str) -> Vec<&'a Value> {
    let inner: Vec<_> = match json {
        Value::Array(items) => items
            .iter()
            .flat_map(|item| objects_with(item, text))
            .collect(),
        Value::Object(fields) => {
            let of_fields = fields.values().flat_map(|field| objects_with(field, text));
            let found: Vec<_> = of_fields.filter(|found| !found.is_string()).collect();
            let is_here = fields
                .values()
                .any(|field| field.as_str().is_some_and(|own| own.contains(text)));
            match is_here {
                true => [found, vec![json]].concat(),
                false => found,
            }
        }
        Value::String(own) if own.contains(text) => vec![json],
        _ => Vec::new(),
    };
    inner
}

#[tokio::test(flavor = "multi_thread")]
async fn site_that_cannot_keep_an_untested_deploy_from_going_live_gets_none() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    let netlify = &shop.project.netlify;
    netlify
        .set_prevents_api_deploys(SITE, true)
        .expect("a site");
    let run = shop.promote().await;
    assert!(
        run.errors.contains("from its Git repository alone"),
        "{}",
        run.errors
    );
    netlify
        .set_prevents_api_deploys(SITE, false)
        .expect("a site");
    // A first promotion: no published deploy can be locked.
    let deploys = shop.production_deploys().len();
    assert!(netlify.unpublish(SITE));
    let run = shop.promote().await;
    assert_eq!(run.code, Some(1));
    assert!(
        run.errors
            .contains("make the first one by `stagelink deploy production`"),
        "{}",
        run.errors
    );
    assert_eq!(shop.production_deploys().len(), deploys);
    assert!(netlify.published_deploy(SITE).is_none());
}
