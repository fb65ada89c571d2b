//! Iterations of SCRAM: a server that has shown only a certificate of its own gets no proof from
//! which a password could be guessed quickly.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use stagelink_tests::{Auth, Authority, CANARY, Mitm, MitmBehavior, OwnServer};

use super::{accepted, open, refused, roots, verify, with};

const PIN: &str = "STAGELINK_SERVER_PIN";

/// Returns the verifier that a server stores for a password.
fn verifier(password: &str, iterations: usize, salt: &[u8]) -> String {
    let hmac = |key: &[u8], message: &[u8]| {
        let key = PKey::hmac(key).expect("a key");
        let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("HMAC");
        signer.sign_oneshot_to_vec(message).expect("HMAC")
    };
    let mut salted = [0; 32];
    let hash = MessageDigest::sha256();
    pbkdf2_hmac(password.as_bytes(), salt, iterations, hash, &mut salted).expect("PBKDF2");
    let stored = STANDARD.encode(sha256(&hmac(&salted, b"Client Key")));
    let server = STANDARD.encode(hmac(&salted, b"Server Key"));
    let salt = STANDARD.encode(salt);
    format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
}

#[tokio::test]
async fn few_iterations_need_a_server_that_is_known() {
    let ours = Authority::new("ours");
    let file = roots(&ours.pem());
    let mut server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let required = with(&url, "channel_binding=require");
    for (iterations, salt, suffices) in [
        (1, &b"sixteen bytes..."[..], false),
        (1000, b"sixteen bytes...", false),
        (4095, b"sixteen bytes...", false),
        (4096, b"sixteen bytes...", true),
        (4096, b"s", true),
        (4097, &[7; 300], true),
        (100_000, b"sixteen bytes...", true),
    ] {
        let verifier = verifier(&format!("{CANARY}-scram"), iterations, salt);
        server
            .run(&format!("ALTER ROLE scram PASSWORD '{verifier}'"))
            .await;
        // A key that no connection of this process has met.
        server.set_identity(&ours.certify()).await;
        let pin = server.identity().pin();
        let what = format!("{iterations} iterations, a salt of {} bytes", salt.len());
        if !suffices {
            let danger = [("STAGELINK_DANGER_UNAUTHENTICATED", "true")];
            accepted(&what, &url, &danger).await;
            let behavior = MitmBehavior::Relay;
            let mitm = Mitm::start(server.address(), server.identity(), behavior).await;
            for url in [&url, &required, &mitm.url(&url)] {
                for early in ["true", "false"] {
                    let error = refused(&what, url, &[("STAGELINK_EARLY_SCRAM", early)]).await;
                    let report = error.report().to_string();
                    assert!(report.contains("scram_iterations"), "{report}");
                    assert!(report.contains(&iterations.to_string()), "{report}");
                }
            }
            assert!(mitm.capture().connections() > 0);
            assert!(!mitm.capture().has_sensitive_data());
        }
        let pem = ours.pem();
        let known: [(String, &[(&str, &str)]); 4] = [
            (with(&url, &verify("verify-full", file.path())), &[]),
            (with(&url, &verify("verify-ca", file.path())), &[]),
            (url.clone(), &[("STAGELINK_ROOT_CERTIFICATES", &pem)]),
            (url.clone(), &[(PIN, &pin)]),
        ];
        for (url, variables) in known {
            accepted(&what, &url, variables).await;
        }
        if !suffices {
            // Its key has been proved by now, which says nothing of who asks this time.
            refused(&what, &required, &[]).await;
        }
    }
}

#[tokio::test]
async fn too_many_iterations_are_refused() {
    let ours = Authority::new("ours");
    let server = OwnServer::start(&ours.certify()).await;
    let url = server.database(Auth::Scram).await.url();
    let right = verifier(&format!("{CANARY}-scram"), 4096, b"sixteen bytes...");
    // The server itself computes them when a role gets the verifier, so they are not more.
    let verifier = right.replace("$4096:", "$1000001:");
    server
        .run(&format!("ALTER ROLE scram PASSWORD '{verifier}'"))
        .await;
    let error = open(&url, &[]).await.expect_err("too many");
    let report = error.report().to_string();
    assert!(report.contains("asks for 1000001 iterations"), "{report}");
}
