//! Findings about the connection: mark, mode, proof, pooler, read-only, and distance.

use std::time::Duration;

use stagelink_tests::{Auth, Identity, OwnServer, as_superuser, pooled, proxy, server, through};

use super::{FEW, Patient, bound};

#[tokio::test]
async fn missing_mark_and_that_of_another_stage_are_set_as_advised() {
    let (patient, staging, _) = Patient::new().await;
    patient
        .succeeds(&["mark", "remove", "--stage", "staging"])
        .await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("mark", "warning", &["has no stage mark", staging.name()]);
    assert_eq!(examined.code, 0);
    patient.follow(&advice).await;
    patient.examine("staging", &FEW).await.assert_sound("mark");

    let mark = |stage: &str| {
        format!(
            "ALTER DATABASE {} SET application_name = 'stagelink:{stage}'",
            staging.name()
        )
    };
    for other in ["production", "qa"] {
        as_superuser(&mark(other)).await;
        let examined = patient.examine("staging", &FEW).await;
        let advice = examined.finding("mark", "error", &[other, "refuse it"]);
        assert_eq!(examined.code, 2);
        // Nothing is asked of another stage's database.
        examined.assert_not_checked("invalid-indexes", "another stage's");
        patient.follow(&advice).await;
        patient.examine("staging", &FEW).await.assert_sound("mark");
    }
}

#[tokio::test]
async fn mark_that_cannot_be_read_is_readable_as_advised() {
    let own = OwnServer::start(&Identity::self_signed()).await;
    let database = own.database(Auth::Scram).await;
    let mut patient = of(&own, &database.url());
    let admin = own.server().connect_as_superuser_to(&database).await;
    let admin = admin.expect("a superuser");
    let run = async |sql: &str| admin.batch_execute(sql).await.expect(sql);
    run("REVOKE SELECT ON pg_catalog.pg_db_role_setting FROM PUBLIC").await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("mark", "error", &["could not read the stage mark"]);
    assert!(
        advice.contains("let the role read pg_catalog.pg_db_role_setting"),
        "{advice}"
    );
    run("GRANT SELECT ON pg_catalog.pg_db_role_setting TO scram").await;
    patient.set("STAGING_URL", &bound(&database.url()));
    let examined = patient.examine("staging", &FEW).await;
    examined.finding("mark", "warning", &["has no stage mark"]);
}

/// A project whose stage staging has its database at this server.
fn of(_: &OwnServer, url: &str) -> Patient {
    let mut patient = Patient::without_stages();
    patient.write(
        "stagelink.toml",
        "[stages.staging]\nurl = { variable = \"STAGING_URL\" }\n",
    );
    patient.set("STAGING_URL", url);
    patient
}

#[tokio::test]
async fn weaker_mode_than_the_server_has_passed_is_made_stronger_as_advised() {
    let (mut patient, staging, _) = Patient::new().await;
    for mode in ["", "?sslmode=require"] {
        let url = format!("{}{mode}", staging.url());
        patient.set("STAGING_URL", &url);
        let examined = patient.examine("staging", &FEW).await;
        let advice = examined.finding("sslmode", "warning", &["accept any server"]);
        assert!(advice.contains("add channel_binding=require"), "{advice}");
        patient.set("STAGING_URL", &bound(&url));
        patient
            .examine("staging", &FEW)
            .await
            .assert_sound("sslmode");
    }
    // A certificate that verifies.
    let folder = patient.path("root.pem");
    let certificate = server().await.certificate_pem().map(str::to_owned);
    if let Some(certificate) = certificate {
        std::fs::write(&folder, certificate).expect("a file");
        let verified = format!(
            "{}?sslmode=verify-full&sslrootcert={}",
            staging.url(),
            folder.display()
        );
        patient.set("STAGING_URL", &verified);
        patient
            .examine("staging", &FEW)
            .await
            .assert_sound("sslmode");
    }
}

#[tokio::test]
async fn server_without_proof_is_pinned_as_advised() {
    let own = OwnServer::start(&Identity::self_signed()).await;
    let database = own.database(Auth::Md5).await;
    let mut patient = of(&own, &database.url());
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("server-auth", "error", &[]);
    assert!(advice.contains("STAGELINK_SERVER_PIN"), "{advice}");
    examined.assert_not_checked("invalid-indexes", "was not reached");
    patient.set("STAGELINK_DANGER_UNAUTHENTICATED", "true");
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding(
        "server-auth",
        "error",
        &["STAGELINK_DANGER_UNAUTHENTICATED"],
    );
    assert!(
        advice.contains("unset STAGELINK_DANGER_UNAUTHENTICATED"),
        "{advice}"
    );
    patient.unset("STAGELINK_DANGER_UNAUTHENTICATED");
    patient.set("STAGELINK_SERVER_PIN", &own.identity().pin());
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("server-auth");
}

#[tokio::test]
async fn pooler_without_the_database_is_mended_by_either_advice() {
    let own = OwnServer::start(&Identity::self_signed()).await;
    let database = own.database(Auth::Scram).await;
    let bouncer = own.bouncer(&[&database], own.identity()).await;
    let mut patient = of(&own, &pooled(&bouncer, &database));
    patient.set("STAGELINK_SERVER_PIN", &own.identity().pin());
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("pooler", "warning", &["transaction pooler"]);
    // What a pooler's sessions tell is checked.
    for id in ["invalid-indexes", "clock", "connections"] {
        examined.assert_sound(id);
    }
    assert!(advice.contains("URL of the database itself"), "{advice}");
    assert!(advice.contains("STAGELINK_POOLER=never"), "{advice}");
    patient.set("STAGING_URL", &bound(&database.url()));
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("pooler");
    patient.set("STAGING_URL", &pooled(&bouncer, &database));
    patient.set("STAGELINK_POOLER", "never");
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("pooler");
}

#[tokio::test]
async fn database_that_takes_no_writes_takes_them_as_advised() {
    let (patient, staging, _) = Patient::new().await;
    let name = staging.name();
    as_superuser(&format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on"
    ))
    .await;
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("follower", "error", &["takes no writes"]);
    let sql = advice.split('`').nth(1).expect("a statement");
    as_superuser(sql).await;
    patient
        .examine("staging", &FEW)
        .await
        .assert_sound("follower");
}

#[tokio::test]
async fn distant_database_is_a_warning_until_it_is_near() {
    let (mut patient, staging, _) = Patient::new().await;
    let proxy = proxy().await;
    proxy.delay(Duration::from_millis(60));
    patient.set("STAGING_URL", &bound(&through(&proxy, &staging.url())));
    let examined = patient.examine("staging", &FEW).await;
    let advice = examined.finding("round-trips", "warning", &[" ms to a session"]);
    assert!(advice.contains("in the region of the database"), "{advice}");
    patient.set("STAGING_URL", &bound(&staging.url()));
    let examined = patient.examine("staging", &FEW).await;
    examined.assert_sound("round-trips");
}
