//! Tests of the decision, with certificates of their own.

use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::*;

const HOST: &str = "db.test";

/// A server's certificate, with its PEM as a root.
fn certificate() -> (Certificate, String) {
    let CertifiedKey { cert, .. } = generate_simple_self_signed([HOST.to_owned()]).unwrap();
    (Certificate::new(cert.der().clone(), Vec::new()), cert.pem())
}

/// Settings and facts, by default those of a server that nothing authenticates.
struct Case {
    url: &'static str,
    settings: ServerSettings,
    hints: ServerHints,
    is_verified: bool,
    is_pinned: bool,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            url: "postgres://u:p@db.test/d",
            settings: ServerSettings::default(),
            hints: ServerHints::default(),
            is_verified: false,
            is_pinned: false,
        }
    }
}

impl Case {
    /// Decides about a server without channel binding, and about one that asks for a SCRAM proof
    /// of few iterations. Both decisions are the same.
    fn decide(&self, certificate: &Certificate) -> Result<ServerAuth, StartupError> {
        let url = DatabaseUrl::parse(self.url, "a test").unwrap();
        let check = CertificateCheck {
            verifier: self.verifier(&url),
            certificate,
            is_verified: self.is_verified,
            is_pinned: self.is_pinned,
        };
        let decision = check.authenticate_without_binding(SaslMechanisms::default());
        match (&decision, &check.authenticate_before_proof(1)) {
            (Ok(auth), Ok(before_proof)) => assert_eq!(auth, before_proof),
            (_, before_proof) => {
                assert_eq!(refusal(&decision).kind(), refusal(before_proof).kind());
            }
        }
        decision
    }

    fn verifier<'a>(&'a self, url: &'a DatabaseUrl) -> ServerVerifier<'a> {
        ServerVerifier {
            url,
            server: "db.test:5432",
            settings: &self.settings,
            hints: &self.hints,
        }
    }
}

fn refusal(decision: &Result<ServerAuth, StartupError>) -> &Error {
    match decision {
        Err(StartupError::ServerNotAuthenticated(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn server_that_nothing_authenticates_is_refused() {
    let (shown, _) = certificate();
    let decision = Case::default().decide(&shown);
    let error = refusal(&decision);
    assert_eq!(error.kind(), ErrorKind::ServerNotAuthenticated);
    let text = error.report().to_string();
    assert!(text.contains("db.test:5432 is not authenticated"), "{text}");
    assert!(text.contains("STAGELINK_SERVER_PIN"), "{text}");
    assert!(text.contains("self-signed certificate"), "{text}");
}

#[test]
fn pin_a_verified_certificate_and_a_known_key_authenticate() {
    let (shown, pem) = certificate();
    let (other, _) = certificate();
    let pinned = Case {
        is_pinned: true,
        ..Case::default()
    };
    assert_eq!(pinned.decide(&shown).unwrap(), ServerAuth::Pin);
    let verified = Case {
        is_verified: true,
        ..Case::default()
    };
    assert_eq!(verified.decide(&shown).unwrap(), ServerAuth::Certificate);
    let mut rooted = Case::default();
    rooted.settings.roots = Some(pem);
    assert_eq!(rooted.decide(&shown).unwrap(), ServerAuth::Certificate);
    refusal(&rooted.decide(&other));

    let known = Case::default();
    known
        .hints
        .record_proved_key(HOST, 6432, &shown.key().unwrap());
    assert_eq!(known.decide(&shown).unwrap(), ServerAuth::Pin);
    refusal(&known.decide(&other));
}

#[test]
fn server_that_has_bound_once_has_to_bind_again() {
    let [(shown, _), (other, _)] = [certificate(), certificate()];
    let [key, other_key] = [&shown, &other].map(|shown| shown.key().unwrap());
    let case = Case::default();
    case.hints.record_proved_key(HOST, 5432, &key);
    refusal(&case.decide(&shown));
    let pooler = Case {
        url: "postgres://u:p@db.test:6432/d",
        hints: case.hints.clone(),
        ..Case::default()
    };
    assert_eq!(pooler.decide(&shown).unwrap(), ServerAuth::Pin);
    // Another port with the same key, or another key of its own, changes nothing.
    case.hints.record_proved_key(HOST, 7432, &key);
    refusal(&case.decide(&shown));
    assert_eq!(pooler.decide(&shown).unwrap(), ServerAuth::Pin);
    case.hints.record_proved_key(HOST, 6432, &other_key);
    refusal(&pooler.decide(&shown));
}

#[test]
fn certificate_and_key_of_another_host_authenticate_nothing() {
    let (shown, pem) = certificate();
    let mut case = Case {
        url: "postgres://u:p@other.test/d",
        ..Case::default()
    };
    case.hints
        .record_proved_key(HOST, 6432, &shown.key().unwrap());
    case.settings.roots = Some(pem);
    let decision = case.decide(&shown);
    let text = refusal(&decision).report().to_string();
    assert!(text.contains("hostname mismatch"), "{text}");
}

#[test]
fn danger_setting_accepts_what_nothing_authenticates_and_changes_no_other_decision() {
    let (shown, pem) = certificate();
    let mut case = Case::default();
    case.settings.danger_unauthenticated = true;
    assert_eq!(case.decide(&shown).unwrap(), ServerAuth::Unauthenticated);
    case.settings.roots = Some(pem);
    assert_eq!(case.decide(&shown).unwrap(), ServerAuth::Certificate);
}

#[test]
fn roots_that_cannot_be_read_are_an_error_of_the_settings() {
    let (shown, _) = certificate();
    let mut case = Case::default();
    case.settings.roots = Some("no PEM".to_owned());
    assert_eq!(refusal(&case.decide(&shown)).kind(), ErrorKind::Settings);
}

#[test]
fn url_that_requires_channel_binding_is_content_with_nothing_less() {
    let (shown, _) = certificate();
    let mut case = Case::default();
    case.settings.danger_unauthenticated = true;
    let url = "postgres://u:p@db.test/d?channel_binding=require";
    let url = DatabaseUrl::parse(url, "a test").unwrap();
    let check = CertificateCheck {
        verifier: case.verifier(&url),
        certificate: &shown,
        is_verified: true,
        is_pinned: true,
    };
    let decision = check.authenticate_without_binding(SaslMechanisms::default());
    let text = refusal(&decision).to_string();
    assert!(text.contains("requires SCRAM channel binding"), "{text}");
}

#[test]
fn pinned_key_is_demanded_where_there_are_pins() {
    let [key, other] = [(); 2].map(|()| certificate().0.key().unwrap());
    let (own_pin, other_pin) = (key.pin(), other.pin());
    for (pins, key, expected) in [
        (vec![], Some(&key), Some(false)),
        (vec![], None, Some(false)),
        (vec![own_pin], Some(&key), Some(true)),
        (vec![other_pin, own_pin], Some(&key), Some(true)),
        (vec![other_pin], Some(&key), None),
        (vec![own_pin], None, None),
    ] {
        let mut case = Case::default();
        case.settings.pins = pins;
        let url = DatabaseUrl::parse(case.url, "a test").unwrap();
        match (case.verifier(&url).is_pinned(key), expected) {
            (Ok(is_pinned), Some(expected)) => assert_eq!(is_pinned, expected),
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::ServerNotAuthenticated);
                assert!(error.to_string().contains("not in STAGELINK_SERVER_PIN"));
            }
            other => panic!("{other:?}"),
        }
    }
}
