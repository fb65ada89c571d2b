//! `scripts/deploy-lambda` with the real AWS CLI.

use serde_json::Value;
use stagelink_tests::CANARY;

use crate::moto::{Moto, ScriptOutput};

fn assert_succeeded(output: &ScriptOutput) {
    assert!(output.succeeded, "{}", output.text);
    assert!(!output.text.contains(CANARY), "{}", output.text);
}

fn assert_refused(output: &ScriptOutput, why: &str) {
    assert!(!output.succeeded, "{}", output.text);
    assert!(
        output.text.contains(why),
        "{why:?} is not in: {}",
        output.text
    );
    assert!(!output.text.contains(CANARY), "{}", output.text);
}

#[tokio::test]
async fn production_gets_the_version_that_staging_has() {
    let moto = Moto::start().await;
    let first = moto.artifact("first.zip", "one").await;
    let second = moto.artifact("second.zip", "two").await;
    let secret = format!("staging=postgres://{CANARY}:\"\\@h/d production=postgres://{CANARY}@h/p");
    let variables = format!(
        "# of all stages\n\nSTAGELINK_CREDENTIALS={secret}\nSTAGELINK_HEROKU_PIPELINE=shop"
    );
    let variables = moto.file("variables", &variables);

    let new = [
        "--role",
        Moto::ROLE,
        "--env-file",
        &variables,
        "--url",
        "public",
    ];
    let deploy = ["deploy", "guestbook", "--artifact", &first];
    assert_succeeded(&moto.script(&[&deploy[..], &new].concat()).await);
    let staging = moto.function("guestbook", "staging").await;
    assert_eq!(staging["Version"], "1");
    assert_eq!(staging["Runtime"], "provided.al2023");
    assert_eq!(staging["Architectures"][0], "arm64");
    assert_eq!(
        staging["Environment"]["Variables"]["STAGELINK_CREDENTIALS"],
        secret
    );
    assert_eq!(
        allowed(&moto, "staging").await,
        ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
    );

    assert_succeeded(
        &moto
            .script(&["promote", "guestbook", "--url", "public"])
            .await,
    );
    let production = moto.function("guestbook", "production").await;
    assert_eq!(production["CodeSha256"], staging["CodeSha256"]);
    assert_eq!(
        allowed(&moto, "production").await,
        ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"]
    );

    // A new version in staging leaves production unchanged until it is promoted.
    let deploy = [
        "deploy",
        "guestbook",
        "--artifact",
        &second,
        "--url",
        "public",
    ];
    assert_succeeded(&moto.script(&deploy).await);
    assert_eq!(moto.function("guestbook", "staging").await["Version"], "2");
    assert_eq!(
        moto.function("guestbook", "production").await["Version"],
        "1"
    );
    assert_succeeded(&moto.script(&["promote", "guestbook"]).await);
    let staging = moto.function("guestbook", "staging").await;
    let production = moto.function("guestbook", "production").await;
    assert_eq!(production["Version"], "2");
    assert_eq!(production["CodeSha256"], staging["CodeSha256"]);
    assert_ne!(production["CodeSha256"], Value::Null);
    // The variables are unchanged, since none were given.
    assert_eq!(
        production["Environment"]["Variables"]["STAGELINK_CREDENTIALS"],
        secret
    );

    let back = ["promote", "guestbook", "--version", "1"];
    assert_succeeded(&moto.script(&back).await);
    assert_eq!(
        moto.function("guestbook", "production").await["Version"],
        "1"
    );
    let shown = moto.script(&["show", "guestbook"]).await;
    assert_succeeded(&shown);
    assert!(
        shown.text.contains("production: version 1"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("staging: version 2"), "{}", shown.text);

    // For staging the variables were passed in a file, which has been deleted.
    assert!(moto.arguments().contains("create-function"));
    assert!(!moto.arguments().contains(CANARY), "{}", moto.arguments());
    assert!(
        moto.temporary_files().is_empty(),
        "{:?}",
        moto.temporary_files()
    );
}

/// Returns the statements of an alias's policy that apply to the principal `*`.
async fn allowed(moto: &Moto, alias: &str) -> Vec<String> {
    let ask = [
        "lambda",
        "get-policy",
        "--function-name",
        "guestbook",
        "--qualifier",
        alias,
    ];
    let policy = moto.aws(&ask).await;
    let policy = policy["Policy"].as_str().expect("a policy");
    let policy: Value = serde_json::from_str(policy).expect("it is JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let end = format!(":{alias}");
    let mut actions: Vec<_> = statements
        .iter()
        .filter(|statement| {
            statement["Resource"]
                .as_str()
                .is_some_and(|arn| arn.ends_with(&end))
        })
        .filter_map(|statement| statement["Action"].as_str())
        .map(str::to_owned)
        .collect();
    actions.sort();
    // moto accepts a second statement with the same id; Lambda refuses it.
    actions.dedup();
    actions
}

#[tokio::test]
async fn separate_production_function_gets_only_the_artifact_of_staging() {
    let moto = Moto::start().await;
    let artifact = moto.artifact("one.zip", "one").await;
    let other = moto.artifact("other.zip", "other").await;
    let staging = moto.file("staging", "STAGELINK_STAGE=staging\n");
    let production = moto.file("production", "STAGELINK_STAGE=production\n");
    let deploy = |function, artifact, variables| {
        [
            "deploy",
            function,
            "--role",
            Moto::ROLE,
            "--arch",
            "x86_64",
            "--artifact",
            artifact,
            "--env-file",
            variables,
        ]
    };
    assert_succeeded(
        &moto
            .script(&deploy("shop-staging", &*artifact, &*staging))
            .await,
    );
    let of = ["--alias", "production", "--same-as", "shop-staging:staging"];

    let output = moto
        .script(&[&deploy("shop", &*other, &*production)[..], &of].concat())
        .await;
    assert_refused(&output, "is not the one that shop-staging:staging has");
    let output = moto
        .script(&[&deploy("shop", &*artifact, &*staging)[..], &of].concat())
        .await;
    assert_refused(
        &output,
        "sets STAGELINK_STAGE to another stage than the alias production",
    );
    assert_succeeded(
        &moto
            .script(&[&deploy("shop", &*artifact, &*production)[..], &of].concat())
            .await,
    );

    let staging = moto.function("shop-staging", "staging").await;
    let production = moto.function("shop", "production").await;
    assert_eq!(production["CodeSha256"], staging["CodeSha256"]);
    assert_eq!(production["Architectures"][0], "x86_64");

    // A function with this variable would be staging behind any alias.
    let output = moto.script(&["promote", "shop-staging"]).await;
    assert_refused(&output, "serves staging whatever its alias");
}

#[tokio::test]
async fn stage_with_its_own_name_is_deployed_to_the_alias_of_that_name() {
    let moto = Moto::start().await;
    let artifact = moto.artifact("one.zip", "one").await;
    let qa = moto.file("qa", "STAGELINK_STAGE=staging/qa\n");
    let live = moto.file("live", "STAGELINK_STAGE=production/live\n");
    let deploy = |function, options: &[&str]| {
        let artifact = artifact.clone();
        let words = [
            "deploy",
            function,
            "--role",
            Moto::ROLE,
            "--artifact",
            &artifact,
        ];
        let words = words.iter().chain(options).map(|word| (*word).to_owned());
        words.collect::<Vec<_>>()
    };
    let run = async |words: Vec<String>| {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        moto.script(&words).await
    };
    let of_qa = ["--alias", "qa", "--env-file", &qa];
    assert_succeeded(&run(deploy("shop-qa", &of_qa)).await);
    let output = run(deploy(
        "shop-qa",
        &["--alias", "staging", "--env-file", &qa],
    ))
    .await;
    assert_refused(&output, "another stage than the alias staging");

    // Production's guard is that of the kind.
    let of_live = ["--alias", "live", "--env-file", &live];
    let output = run(deploy("shop-live", &of_live)).await;
    assert_refused(&output, "production gets what another stage has");
    let same = ["--same-as", "shop-qa:qa"];
    assert_succeeded(&run(deploy("shop-live", &[&of_live[..], &same].concat())).await);
    // Also where the variables stay as they are.
    let output = run(deploy("shop-live", &["--alias", "live"])).await;
    assert_refused(&output, "production gets what another stage has");
}

#[tokio::test]
async fn missing_input_is_reported_before_any_change() {
    let moto = Moto::start().await;
    let artifact = moto.artifact("one.zip", "one").await;
    let deploy = ["deploy", "guestbook", "--artifact", &artifact];

    let nobody = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];
    assert_refused(
        &moto.script_with(&deploy, &nobody).await,
        "could not log in to AWS",
    );
    let nowhere = [("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "")];
    assert_refused(&moto.script_with(&deploy, &nowhere).await, "set AWS_REGION");
    assert_refused(
        &moto
            .script(&["deploy", "guestbook", "--artifact", "no.zip"])
            .await,
        "there is no artifact no.zip",
    );
    let empty = moto.file("empty.zip", "");
    assert_refused(
        &moto
            .script(&["deploy", "guestbook", "--artifact", &empty])
            .await,
        "holds no bootstrap",
    );
    assert_refused(&moto.script(&deploy).await, "name it by --role");
    let role = ["--role", "arn:aws:iam::123456789012:role/missing"];
    assert_refused(
        &moto.script(&[&deploy[..], &role].concat()).await,
        "cannot be assumed",
    );
    assert_refused(
        &moto
            .script(&[&deploy[..], &["--alias", "production"]].concat())
            .await,
        "production gets what another stage has",
    );
    assert_refused(
        &moto.script(&["promote", "guestbook"]).await,
        "could not ask for the alias staging of guestbook",
    );
    assert_refused(
        &moto.script(&["deploy", "guest book"]).await,
        "the name of a function",
    );
    assert_refused(
        &moto
            .script(&[&deploy[..], &["--colour", "red"]].concat())
            .await,
        "no option --colour",
    );

    for (variables, why) in [
        (format!("A=b\n{CANARY}\n"), "line 2"),
        (format!("A=b\n{CANARY} x=1\n"), "line 2"),
        (format!("A={CANARY}\u{7}\n"), "the value of A"),
        (format!("A={}\n", CANARY.repeat(800)), "4 KB"),
    ] {
        let variables = moto.file("variables", &variables);
        let output = moto
            .script(&[&deploy[..], &["--env-file", &variables]].concat())
            .await;
        assert_refused(&output, why);
    }
    let functions = moto.aws(&["lambda", "list-functions"]).await;
    assert_eq!(functions["Functions"].as_array().map(Vec::len), Some(0));
    assert!(
        moto.temporary_files().is_empty(),
        "{:?}",
        moto.temporary_files()
    );
}
