//! `stagelink deploy` to AWS Lambda, with the real AWS CLI.

use serde_json::{Value, json};
use stagelink_tests::CANARY;

use crate::front::Effect;
use crate::moto::Moto;
use crate::shop::{ARCH, Shop};

#[tokio::test]
async fn production_gets_the_version_that_staging_has_tested() {
    let shop = Shop::new(&["guestbook"]).await;
    let new = [
        "--role",
        Moto::ROLE,
        "--env-file",
        "all.env",
        "--url",
        "public",
    ];
    let first = shop.deploy("staging", &new).await.succeeds().json();
    let function = &first["functions"][0];
    assert_eq!(function["version"], "1");
    assert_eq!(function["previous"], Value::Null);
    assert!(
        function["url"]
            .as_str()
            .is_some_and(|url| url.contains("://"))
    );
    let staging = shop.moto.function("shop-guestbook", "staging").await;
    assert_eq!(staging["Runtime"], "provided.al2023");
    assert_eq!(staging["Architectures"][0], ARCH);
    assert_eq!(
        (&staging["MemorySize"], &staging["Timeout"]),
        (&json!(256), &json!(15))
    );
    let secret = &staging["Environment"]["Variables"]["SHOP_SECRET"];
    assert_eq!(*secret, format!("{CANARY}:\"\\@x"));
    assert_eq!(
        allowed(&shop.moto, "staging").await,
        ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
    );

    let plan = shop.run(&["promote", "--plan"]).await;
    let plan = &plan.succeeds().output;
    assert!(plan.contains("staging → production"), "{plan}");
    assert!(
        plan.contains("shop-guestbook: version 1, a new alias"),
        "{plan}"
    );
    assert!(plan.contains("V1__guestbook"), "{plan}");
    assert!(
        plan.contains("aliases of one function") && plan.contains("SHOP_SECRET"),
        "{plan}"
    );
    assert_eq!(
        shop.version("shop-guestbook", "production").await,
        Value::Null
    );

    let report = shop.promote(&[]).await.succeeds().json();
    assert_eq!(report["artifact"], first["artifact"]);
    assert_eq!(report["migrations"], json!(["V1__guestbook"]));
    assert_eq!(shop.version("shop-guestbook", "production").await, "1");

    // A new version in staging leaves production unchanged until it is promoted.
    shop.migration("V2__mail.sql", "ALTER TABLE guestbook ADD mail text;\n");
    shop.build().await;
    let second = shop.deploy("staging", &[]).await.succeeds().json();
    assert_eq!(second["functions"][0]["version"], "2");
    assert_eq!(second["migrations"], json!(["V2__mail"]));
    assert_eq!(shop.version("shop-guestbook", "production").await, "1");
    let report = shop.promote(&[]).await.succeeds().json();
    assert_eq!(report["functions"][0]["previous"], "1");
    assert_eq!(shop.version("shop-guestbook", "production").await, "2");
    shop.promote(&[])
        .await
        .fails(&["runs this artifact already"]);

    let board = shop
        .run(&["status", "production", "--json", "--timeout", "300"])
        .await
        .json();
    let lambda = &board["stages"][0]["lambda"]["value"];
    assert_eq!(lambda["functions"][0]["version"], "2", "{board}");
    assert_eq!(lambda["artifact"]["value"], second["artifact"]);
    assert!(
        lambda["since"]
            .as_str()
            .is_some_and(|since| since.ends_with('Z'))
    );
    let table = shop
        .run(&["status", "production", "--timeout", "300"])
        .await
        .output;
    assert!(
        table.contains("shop-guestbook: version 2, SHA-256"),
        "{table}"
    );

    // The schema of the second carries the first.
    let back = shop.run(&["rollback", "--yes", "--json"]).await;
    let back = back.succeeds().json();
    assert_eq!(back["artifact"], first["artifact"]);
    assert_eq!(shop.version("shop-guestbook", "production").await, "1");
    assert_eq!(shop.version("shop-guestbook", "staging").await, "2");
    shop.assert_private();
}

/// Returns the actions that an alias's policy allows to all callers.
async fn allowed(moto: &Moto, alias: &str) -> Vec<String> {
    let ask = [
        "lambda",
        "get-policy",
        "--function-name",
        "shop-guestbook",
        "--qualifier",
        alias,
    ];
    let policy = match moto.ask(&ask).await {
        Ok(policy) => policy,
        Err(errors) if errors.contains("ResourceNotFoundException") => return Vec::new(),
        Err(errors) => panic!("{errors}"),
    };
    let policy = policy["Policy"].as_str().expect("a policy");
    let policy: Value = serde_json::from_str(policy).expect("it is JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let end = format!(":{alias}");
    let of_alias = |statement: &&Value| {
        let resource = statement["Resource"].as_str();
        resource.is_some_and(|arn| arn.ends_with(&end))
    };
    let actions = statements.iter().filter(of_alias);
    let mut actions: Vec<_> = actions
        .filter_map(|statement| statement["Action"].as_str())
        .map(str::to_owned)
        .collect();
    actions.sort();
    // moto accepts a second statement with the same id; Lambda refuses it.
    actions.dedup();
    actions
}

#[tokio::test]
async fn url_for_signed_calls_takes_the_permissions_of_a_public_one_away() {
    let shop = Shop::new(&["guestbook"]).await;
    let new = [
        "--role",
        Moto::ROLE,
        "--env-file",
        "all.env",
        "--url",
        "public",
    ];
    shop.deploy("staging", &new).await.succeeds();
    assert_eq!(allowed(&shop.moto, "staging").await.len(), 2);
    shop.deploy("staging", &["--url", "iam"]).await.succeeds();
    assert_eq!(allowed(&shop.moto, "staging").await, [""; 0]);
    let ask = [
        "lambda",
        "get-function-url-config",
        "--function-name",
        "shop-guestbook",
    ];
    let url = shop
        .moto
        .aws(&[&ask[..], &["--qualifier", "staging"]].concat())
        .await;
    assert_eq!(url["AuthType"], "AWS_IAM");
    let promoted = shop.promote(&["--url", "iam"]).await.succeeds().json();
    let url = promoted["functions"][0]["url"].as_str();
    assert!(url.is_some_and(|url| url.contains("://")), "{promoted}");
    // Options of Netlify are not ignored.
    let ignored = shop
        .deploy("staging", &["--no-test", "--ready-limit", "9"])
        .await;
    ignored.fails(&["about AWS Lambda, and Netlify alone has: --no-test, --ready-limit"]);
}

#[tokio::test]
async fn settings_of_a_deploy_that_failed_are_told_by_it_and_by_the_plan_of_the_next() {
    let shop = Shop::new(&["guestbook"]).await;
    shop.first_deploy().await;
    let token = shop.clouds.heroku.api_key();
    let variables = shop.variables(None).replace(token, "of-no-account");
    shop.write("bad.env", &variables);
    let failed = ["--env-file", "bad.env", "--test-limit", "5"];
    shop.deploy("staging", &failed).await.fails(&[
        "cannot use the database of stage staging",
        "stay in $LATEST of shop-guestbook",
    ]);
    assert_eq!(shop.version("shop-guestbook", "staging").await, "1");
    let words = ["deploy", "staging", "--no-build", "--plan", "--arch", ARCH];
    let told = "may be in $LATEST: this one publishes them";
    let plan = shop.run(&words).await;
    assert!(plan.succeeds().output.contains(told), "{}", plan.output);
    let plan = shop
        .run(&[&words[..], &["--env-file", "all.env"]].concat())
        .await;
    assert!(!plan.succeeds().output.contains(told), "{}", plan.output);
}

#[tokio::test]
async fn function_of_productions_own_gets_the_archive_that_staging_has() {
    let shop = Shop::new(&["guestbook"]).await;
    shop.settings(
        "[lambda]\nfunctions = { guestbook = \"shop-guestbook\" }\n\n[stages.production.lambda]\n\
         guestbook = \"shop-guestbook-prod\"\n",
    );
    shop.write("staging.env", &shop.variables(Some("staging")));
    shop.write("production.env", &shop.variables(Some("production")));
    let new = |env| ["--role", Moto::ROLE, "--env-file", env];
    shop.deploy("staging", &new("staging.env")).await.succeeds();
    shop.promote(&[])
        .await
        .fails(&["there is no function shop-guestbook-prod"]);
    let wrong = shop.deploy("production", &new("staging.env")).await;
    wrong.fails(&["STAGELINK_STAGE set to staging", "not production"]);
    // Staging has it, by its deploy record.
    shop.deploy("production", &new("production.env"))
        .await
        .succeeds();

    shop.build().await;
    let untested = shop.deploy("production", &[]).await;
    untested.fails(&[
        "no other one has this artifact",
        "staging has no deploy record of it",
    ]);
    shop.deploy("staging", &[]).await.succeeds();
    shop.promote(&[]).await.succeeds();
    let staging = shop.moto.function("shop-guestbook", "staging").await;
    let production = shop
        .moto
        .function("shop-guestbook-prod", "production")
        .await;
    assert_eq!(production["CodeSha256"], staging["CodeSha256"]);
    assert_eq!(production["Version"], "2");
    let stage = &production["Environment"]["Variables"]["STAGELINK_STAGE"];
    assert_eq!(stage, "production");
    shop.assert_private();
}

#[tokio::test]
async fn version_that_serves_staging_whatever_its_alias_is_not_promoted() {
    let shop = Shop::new(&["guestbook"]).await;
    shop.write("staging.env", &shop.variables(Some("staging")));
    let new = ["--role", Moto::ROLE, "--env-file", "staging.env"];
    shop.deploy("staging", &new).await.succeeds();
    shop.promote(&[])
        .await
        .fails(&["STAGELINK_STAGE set to staging"]);
    assert_eq!(
        shop.version("shop-guestbook", "production").await,
        Value::Null
    );
}

#[tokio::test]
async fn missing_input_is_reported_before_any_change() {
    let shop = Shop::new(&["guestbook"]).await;
    let words = ["deploy", "staging", "--no-build", "--yes", "--arch", ARCH];
    let with = async |variables: &[(&str, &str)]| {
        let mut command = shop.command(&words).await;
        for (name, value) in variables {
            match *value {
                "" => command.env_remove(name),
                value => command.env(name, value),
            };
        }
        let output = command.output().await.expect("the command runs");
        shop.finished(&output)
    };
    let nobody = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    with(&nobody)
        .await
        .fails(&["could not log in to AWS", "set AWS_PROFILE"]);
    let nowhere = [("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "")];
    with(&nowhere).await.fails(&["set AWS_REGION"]);
    let without = [("PATH", "/nowhere")];
    with(&without)
        .await
        .fails(&["no command aws", "install the AWS CLI"]);
    shop.run(&words)
        .await
        .fails(&["there is no function shop-guestbook", "--role"]);
    shop.front.fault(
        "GET",
        "/aliases/staging",
        Effect::Refuse(403, "AccessDeniedException"),
    );
    shop.run(&words)
        .await
        .fails(&["could not read the alias staging", "allow lambda:GetAlias"]);
    shop.run(&["promote", "--plan"])
        .await
        .fails(&["no function has an alias staging"]);
    shop.run(&["rollback", "--plan"])
        .await
        .fails(&["has no deploy on Lambda"]);
    shop.write("bad.env", &format!("A=b\n{CANARY} x=1\n"));
    let bad = shop.deploy("staging", &["--env-file", "bad.env"]).await;
    bad.fails(&["line 2 is not NAME=VALUE"]);
    let other = if ARCH == "arm64" { "x86_64" } else { "arm64" };
    let missing = shop.deploy("staging", &["--arch", other]).await;
    assert!(missing.code != Some(0), "{missing:?}");
    shop.settings("[netlify]\nsite = \"shop\"\n\n[lambda]\nfunctions = { guestbook = \"g\" }\n");
    shop.run(&["promote", "--plan"])
        .await
        .fails(&["--on netlify or --on lambda"]);
    let functions = shop.moto.aws(&["lambda", "list-functions"]).await;
    assert_eq!(functions["Functions"].as_array().map(Vec::len), Some(0));
}
