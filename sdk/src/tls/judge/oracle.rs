//! The judge agrees with OpenSSL about certificates of all kinds.

use std::sync::OnceLock;

use openssl::asn1::{Asn1Integer, Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{
    X509, X509Extension, X509Name, X509PurposeId, X509StoreContext, X509VerifyResult,
};
use proptest::prelude::*;

use super::*;
use crate::tls::x509::tests::check_fields;

/// A certificate to make.
#[derive(Clone, Copy, Debug)]
struct Kind {
    version: i32,
    /// `None` leaves the extension out.
    is_ca: Option<bool>,
    path_length: Option<u32>,
    /// The bits of the key usage: may sign, may sign certificates.
    usage: Option<(bool, bool)>,
    extended: Option<Extended>,
    days: (i32, i32),
    hash: Hash,
    key: Key,
    has_unknown_critical: bool,
    constraints: Option<Constraints>,
}

/// Name constraints on DNS names.
#[derive(Clone, Copy, Debug)]
enum Constraints {
    Permitted(&'static str),
    Excluded(&'static str),
}

/// The names of the server's certificate. The host is always its common name.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    /// Beside the common name an alternative name, which is the host too.
    Dns,
    /// Beside the common name an alternative name of another kind.
    Email,
    CommonName,
    /// As the one before, without a dot.
    SingleLabel,
}

impl Names {
    fn host(self) -> &'static str {
        match self {
            Self::SingleLabel => "db",
            _ => "db.test",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Extended {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Hash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    P256,
    P384,
    Rsa,
    /// Too short.
    Rsa1024,
}

/// The certificates that are given as roots, and those that the server sends along.
#[derive(Clone, Copy, Debug)]
struct Given {
    root: bool,
    between: bool,
    own: bool,
    sends_between: bool,
    sends_root: bool,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    root: Kind,
    /// A certificate between the root and the server's.
    between: Option<Kind>,
    /// `None` makes the server's own certificate sign itself.
    is_issued: bool,
    own: Kind,
    names: Names,
    given: Given,
}

/// Mostly `usual`, so that most chains are wrong in few points.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    usual: T,
    rare: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<T> {
    prop_oneof![6 => Just(usual), 1 => rare].boxed()
}

fn constraints() -> impl Strategy<Value = Option<Constraints>> {
    let rare = prop_oneof![
        Just(Constraints::Permitted("example.com")),
        Just(Constraints::Permitted("test")),
        Just(Constraints::Excluded("db.test")),
        Just(Constraints::Excluded("example.com")),
    ];
    prop_oneof![2 => Just(None), 1 => rare.prop_map(Some)]
}

fn all_names() -> impl Strategy<Value = Names> {
    prop_oneof![
        3 => Just(Names::Dns),
        1 => Just(Names::Email),
        1 => Just(Names::CommonName),
        1 => Just(Names::SingleLabel),
    ]
}

fn kinds(is_ca: bool) -> impl Strategy<Value = Kind> {
    let days = prop_oneof![Just((-20, -10)), Just((10, 20))];
    (
        mostly(2, Just(0)),
        mostly(is_ca.then_some(true), any::<Option<bool>>()),
        mostly(None, proptest::option::of(0..2_u32)),
        mostly(None, any::<Option<(bool, bool)>>()),
        mostly(
            None,
            prop_oneof![Just(Some(Extended::Server)), Just(Some(Extended::Client))],
        ),
        mostly((-1, 10), days),
        mostly(
            Hash::Sha256,
            prop_oneof![Just(Hash::Sha1), Just(Hash::Sha224), Just(Hash::Sha384)],
        ),
        mostly(
            Key::P256,
            prop_oneof![Just(Key::P384), Just(Key::Rsa), Just(Key::Rsa1024)],
        ),
        (mostly(false, Just(true)), constraints()),
    )
        .prop_map(
            |(version, is_ca, path_length, usage, extended, days, hash, key, rest)| Kind {
                version,
                is_ca,
                path_length,
                usage,
                extended,
                days,
                hash,
                key,
                has_unknown_critical: rest.0,
                constraints: rest.1,
            },
        )
}

fn chains() -> impl Strategy<Value = Chain> {
    let given = (
        mostly(true, Just(false)),
        any::<bool>(),
        mostly(false, Just(true)),
        mostly(true, Just(false)),
        any::<bool>(),
    );
    let given = given.prop_map(|(root, between, own, sends_between, sends_root)| Given {
        root,
        between,
        own,
        sends_between,
        sends_root,
    });
    (
        kinds(true),
        proptest::option::of(kinds(true)),
        prop_oneof![3 => Just(true), 1 => Just(false)],
        kinds(false),
        all_names(),
        given,
    )
        .prop_map(|(root, between, is_issued, own, names, given)| Chain {
            root,
            between,
            is_issued,
            own,
            names,
            given,
        })
}

/// Returns a key of a kind; each place in a chain has its own.
fn key(kind: Key, place: usize) -> PKey<Private> {
    static KEYS: OnceLock<Vec<[PKey<Private>; 4]>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let ec = |curve| {
            let group = EcGroup::from_curve_name(curve).unwrap();
            PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
        };
        let rsa = |bits| PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
        let make = |_| {
            [
                ec(Nid::X9_62_PRIME256V1),
                ec(Nid::SECP384R1),
                rsa(2048),
                rsa(1024),
            ]
        };
        (0..3).map(make).collect()
    });
    keys[place][kind as usize].clone()
}

fn name(place: usize, names: Names) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    let text = ["the root", "between", names.host()][place];
    name.append_entry_by_text("CN", text).unwrap();
    name.build()
}

/// Makes the extension of name constraints (RFC 5280, section 4.2.1.10).
fn name_constraints(constraints: Constraints) -> Result<X509Extension, ErrorStack> {
    let (subtrees, domain) = match constraints {
        Constraints::Permitted(domain) => (0xa0, domain),
        Constraints::Excluded(domain) => (0xa1, domain),
    };
    let tagged = |tag: u8, value: &[u8]| {
        let length = u8::try_from(value.len()).unwrap();
        [&[tag, length], value].concat()
    };
    let subtree = tagged(0x30, &tagged(0x82, domain.as_bytes()));
    let value = tagged(0x30, &tagged(subtrees, &subtree));
    let oid = Asn1Object::from_str("2.5.29.30")?;
    let value = Asn1OctetString::new_from_bytes(&value)?;
    X509Extension::new_from_der(&oid, true, &value)
}

/// Makes the certificate of a place, signed by another place's key.
fn make(
    kind: Kind,
    place: usize,
    names: Names,
    issuer: usize,
    issuer_key: Key,
) -> Result<X509, ErrorStack> {
    let own_key = key(kind.key, place);
    let mut builder = X509::builder()?;
    builder.set_version(kind.version)?;
    let serial = BigNum::from_u32(u32::try_from(place).unwrap() + 1)?;
    let serial = Asn1Integer::from_bn(&serial)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name(place, names))?;
    builder.set_issuer_name(&name(issuer, names))?;
    builder.set_pubkey(&own_key)?;
    let now = i64::try_from(UnixTime::now().as_secs()).unwrap();
    let day = |day: i32| Asn1Time::from_unix(now + i64::from(day) * 86_400);
    let (from, until) = (day(kind.days.0)?, day(kind.days.1)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    if kind.version == 2 {
        if let Some(is_ca) = kind.is_ca {
            let mut extension = BasicConstraints::new();
            extension.critical();
            if is_ca {
                extension.ca();
                if let Some(length) = kind.path_length {
                    extension.pathlen(length);
                }
            }
            builder.append_extension(extension.build()?)?;
        }
        if let Some((signs, signs_certificates)) = kind.usage {
            let mut extension = KeyUsage::new();
            extension.crl_sign();
            if signs {
                extension.digital_signature();
            }
            if signs_certificates {
                extension.key_cert_sign();
            }
            builder.append_extension(extension.build()?)?;
        }
        if let Some(extended) = kind.extended {
            let mut extension = ExtendedKeyUsage::new();
            match extended {
                Extended::Server => extension.server_auth(),
                Extended::Client => extension.client_auth(),
            };
            builder.append_extension(extension.build()?)?;
        }
        if kind.has_unknown_critical {
            let oid = Asn1Object::from_str("1.3.6.1.4.1.99999.1")?;
            let value = Asn1OctetString::new_from_bytes(&[5, 0])?;
            builder.append_extension(X509Extension::new_from_der(&oid, true, &value)?)?;
        }
        if let Some(constraints) = kind.constraints {
            builder.append_extension(name_constraints(constraints)?)?;
        }
        let mut alternative = SubjectAlternativeName::new();
        match names {
            Names::Dns => alternative.dns(names.host()),
            _ => alternative.email("someone@db.test"),
        };
        if place == 2 && matches!(names, Names::Dns | Names::Email) {
            let alternative = alternative.build(&builder.x509v3_context(None, None))?;
            builder.append_extension(alternative)?;
        }
    }
    let hash = match kind.hash {
        Hash::Sha1 => MessageDigest::sha1(),
        Hash::Sha224 => MessageDigest::sha224(),
        Hash::Sha256 => MessageDigest::sha256(),
        Hash::Sha384 => MessageDigest::sha384(),
    };
    builder.sign(&key(issuer_key, issuer), hash)?;
    Ok(builder.build())
}

/// The server's certificate, what it sends along, and the roots.
struct Made {
    own: X509,
    sent: Vec<X509>,
    roots: Vec<X509>,
}

impl Made {
    fn new(chain: &Chain) -> Self {
        let names = chain.names;
        let root = make(chain.root, 0, names, 0, chain.root.key).unwrap();
        let between = chain
            .between
            .map(|kind| make(kind, 1, names, 0, chain.root.key).unwrap());
        let (issuer, issuer_key) = match (chain.is_issued, chain.between) {
            (false, _) => (2, chain.own.key),
            (true, Some(between)) => (1, between.key),
            (true, None) => (0, chain.root.key),
        };
        let own = make(chain.own, 2, names, issuer, issuer_key).unwrap();
        let Given {
            root: gives_root,
            between: gives_between,
            own: gives_own,
            sends_between,
            sends_root,
        } = chain.given;
        let choose = |choices: [(bool, Option<&X509>); 3]| -> Vec<X509> {
            let chosen = choices.into_iter().filter(|(is_chosen, _)| *is_chosen);
            chosen.filter_map(|(_, one)| one.cloned()).collect()
        };
        Self {
            sent: choose([
                (sends_between, between.as_ref()),
                (sends_root, Some(&root)),
                (false, None),
            ]),
            roots: choose([
                (gives_root, Some(&root)),
                (gives_between, between.as_ref()),
                (gives_own, Some(&own)),
            ]),
            own,
        }
    }

    fn judge(&self, host: Option<&str>) -> Result<(), Distrust> {
        let der = |one: &X509| CertificateDer::from(one.to_der().unwrap());
        let own = der(&self.own);
        let chain: Vec<_> = self.sent.iter().map(der).collect();
        let roots: Vec<_> = self.roots.iter().map(der).collect();
        let shown = Shown {
            own: &own,
            chain: &chain,
        };
        verify(shown, &roots, host, UnixTime::now())
    }

    /// Returns the verdict of `openssl verify -purpose sslserver -auth_level 2`.
    fn ask_openssl(&self) -> X509VerifyResult {
        let mut store = X509StoreBuilder::new().unwrap();
        let mut param = X509VerifyParam::new().unwrap();
        param.set_purpose(X509PurposeId::SSL_SERVER).unwrap();
        param.set_auth_level(2);
        store.set_param(&param).unwrap();
        for root in &self.roots {
            store.add_cert(root.clone()).unwrap();
        }
        let mut sent = Stack::new().unwrap();
        for one in &self.sent {
            sent.push(one.clone()).unwrap();
        }
        let mut context = X509StoreContext::new().unwrap();
        context
            .init(&store.build(), &self.own, &sent, |context| {
                context.verify_cert()?;
                Ok(context.error())
            })
            .unwrap()
    }
}

/// Returns whether the host is found in the common name only.
fn falls_back(chain: &Chain) -> bool {
    chain.own.version != 2 || chain.names != Names::Dns
}

/// Returns whether the judge may refuse what OpenSSL accepts: ring has no signatures with SHA-224,
/// and webpki no path through certificates of X.509 v1 or keys that may not sign certificates. Below
/// name constraints the judge takes no common name, nor a certificate that webpki takes for none of a
/// server.
fn may_be_stricter(chain: &Chain) -> bool {
    let is_webpkis = chain.own.version == 2 && chain.own.is_ca != Some(true);
    let constrains = |kind: Kind| kind.version == 2 && kind.constraints.is_some();
    let is_constrained =
        chain.is_issued && (constrains(chain.root) || chain.between.is_some_and(constrains));
    let issued = chain.is_issued.then_some(chain.own);
    let has_sha224 = |kind: Kind| kind.hash == Hash::Sha224;
    issued.is_some_and(has_sha224)
        || chain.between.is_some_and(has_sha224)
        // Such a certificate of the server's is known by its direct issuer alone.
        || (chain.between.is_some() && !is_webpkis)
        || (is_constrained && (falls_back(chain) || !is_webpkis))
        || chain.between.is_some_and(|between| between.is_ca != Some(true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn judge_agrees_with_openssl(chain in chains()) {
        let made = Made::new(&chain);
        for one in [&made.own].into_iter().chain(&made.sent).chain(&made.roots) {
            check_fields(&one.to_der().unwrap());
        }
        let (ours, theirs) = (made.judge(Some(chain.names.host())), made.ask_openssl());
        // Without a host the common name does not matter.
        let by_chain = made.judge(None);
        prop_assert!(ours == by_chain || (ours == Err(Distrust::CommonName) && falls_back(&chain)));
        if theirs == X509VerifyResult::OK {
            prop_assert!(ours.is_ok() || may_be_stricter(&chain), "{ours:?} is too strict");
        } else {
            prop_assert!(ours.is_err(), "OpenSSL: {}", theirs.error_string());
        }
    }
}
