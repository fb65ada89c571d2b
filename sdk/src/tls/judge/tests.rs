//! Names, dates and single kinds of certificates.

use rcgen::{
    CertificateParams, CustomExtension, DnType, GeneralSubtree, KeyPair, NameConstraints, SanType,
};

use super::*;

/// Judges a certificate that is itself a root.
fn judge(params: CertificateParams, host: Option<&str>) -> Result<(), Distrust> {
    let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    judge_der(own.der(), host)
}

fn judge_der(own: &CertificateDer<'_>, host: Option<&str>) -> Result<(), Distrust> {
    let shown = Shown { own, chain: &[] };
    verify(shown, std::slice::from_ref(own), host, UnixTime::now())
}

/// A certificate with these names: `cn:` is the common name, others are DNS names or addresses.
fn named(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for name in names {
        match name.strip_prefix("cn:") {
            Some(name) => params.distinguished_name.push(DnType::CommonName, name),
            None => params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName((*name).try_into().unwrap()),
            }),
        }
    }
    params
}

/// libpq compares the final dot too, and so refuses each host that is written with one.
#[test]
fn final_dot_of_the_host_is_no_part_of_its_name() {
    assert_eq!(judge(named(&["db.test"]), Some("db.test.")), Ok(()));
}

/// A test of the end-to-end suite asks libpq the same.
#[test]
fn names_are_read_as_libpq_reads_them() {
    for (names, host, is_for) in [
        (&["db.test"][..], "db.test", true),
        (&["db.test"], "DB.Test", true),
        (&["db.test"], "a.db.test", false),
        (&["other.test", "db.test"], "db.test", true),
        (&["*.db.test"], "a.db.test", true),
        (&["*.db.test"], "a.b.db.test", false),
        (&["*.db.test"], "db.test", false),
        (&["*.test"], "db.test", true),
        (&["a*.db.test"], "ab.db.test", false),
        (&["*"], "test", false),
        (&["a.*.test"], "a.b.test", false),
        (&["cn:db.test"], "db.test", true),
        (&["cn:*.db.test"], "a.db.test", true),
        (&["cn:db.test", "other.test"], "db.test", false),
        (&["cn:db.test", "127.0.0.1"], "db.test", true),
        (&["127.0.0.1"], "127.0.0.1", true),
        (&["127.0.0.1"], "127.0.0.2", false),
        (&["cn:127.0.0.1"], "127.0.0.1", true),
        (&["cn:127.0.0.1", "db.test"], "127.0.0.1", true),
        (&["cn:127.0.0.1", "127.0.0.2"], "127.0.0.1", false),
        (&["::1"], "::1", true),
        (&["::1"], "0:0:0:0:0:0:0:1", true),
        (&["::1"], "::2", false),
        (&[], "db.test", false),
    ] {
        let judged = judge(named(names), Some(host));
        match is_for {
            true => assert_eq!(judged, Ok(()), "{names:?} for {host}"),
            false => assert!(
                matches!(judged, Err(Distrust::HostName | Distrust::Address)),
                "{names:?} for {host}: {judged:?}"
            ),
        }
        assert_eq!(judge(named(names), None), Ok(()));
    }
}

#[test]
fn root_of_any_kind_is_trusted_as_a_servers_own_certificate() {
    let mut ca = named(&["db.test"]);
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert_eq!(judge(ca, Some("db.test")), Ok(()));
    let mut unknown = named(&["db.test"]);
    let mut critical = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 9], vec![5, 0]);
    critical.set_criticality(true);
    unknown.custom_extensions.push(critical);
    assert_eq!(
        judge(unknown, None),
        Err(Distrust::CriticalExtension("1.3.6.1.4.1.9".to_owned()))
    );
}

/// Judges a server's certificate for db.localhost: a root has issued a certificate between, and this
/// one the server's.
fn judge_below(
    root: Option<NameConstraints>,
    between: Option<NameConstraints>,
    own: CertificateParams,
    host: Option<&str>,
) -> Result<(), Distrust> {
    let ca = |name, constraints| {
        let mut params = named(&[name]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.name_constraints = constraints;
        (params, KeyPair::generate().unwrap())
    };
    let (root, root_key) = ca("cn:the root", root);
    let anchor = root.self_signed(&root_key).unwrap();
    let root = rcgen::Issuer::new(root, root_key);
    let (between, between_key) = ca("cn:between", between);
    let link = between.signed_by(&between_key, &root).unwrap();
    let between = rcgen::Issuer::new(between, between_key);
    let key = KeyPair::generate().unwrap();
    let own = own.signed_by(&key, &between).unwrap();
    let shown = Shown {
        own: own.der(),
        chain: &[link.der().clone()],
    };
    verify(shown, &[anchor.der().clone()], host, UnixTime::now())
}

fn permitted(domain: &str) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
        excluded_subtrees: Vec::new(),
    }
}

fn excluded(domain: &str) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: Vec::new(),
        excluded_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
    }
}

#[test]
fn common_name_below_name_constraints_does_not_count() {
    let host = "db.localhost";
    let common_name = || named(&["cn:db.localhost"]);
    let with_email = || {
        let mut params = named(&["cn:db.localhost"]);
        let email = "someone@example.com".try_into().unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(email));
        params
    };
    for constraints in [permitted("example.com"), excluded(host), permitted(host)] {
        for own in [common_name, with_email as fn() -> CertificateParams] {
            let by = |root, between, host| judge_below(root, between, own(), host);
            let some = || Some(constraints.clone());
            let refused = Err(Distrust::CommonName);
            assert_eq!(by(None, some(), Some(host)), refused, "{constraints:?}");
            assert_eq!(by(some(), None, Some(host)), refused, "{constraints:?}");
            assert_eq!(by(None, some(), Some("other")), Err(Distrust::HostName));
            assert_eq!(by(None, some(), None), Ok(()), "no name was asked for");
        }
    }
    let below = |names: &[&str], host| {
        judge_below(
            None,
            Some(permitted("example.com")),
            named(names),
            Some(host),
        )
    };
    assert_eq!(below(&["cn:db"], "db"), Err(Distrust::CommonName));
    assert_eq!(
        below(&["cn:127.0.0.1"], "127.0.0.1"),
        Err(Distrust::CommonName)
    );
    assert_eq!(
        below(&["cn:127.0.0.1", "db.example.com"], "127.0.0.1"),
        Err(Distrust::CommonName)
    );
    assert_eq!(below(&["db.example.com"], "db.example.com"), Ok(()));
    assert_eq!(judge_below(None, None, common_name(), Some(host)), Ok(()));
    assert_eq!(judge_below(None, None, with_email(), Some(host)), Ok(()));
}

#[test]
fn dates_of_the_certificate_and_of_its_root_count() {
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let mut old = named(&["db.test"]);
    old.not_after = year(2001);
    assert_eq!(judge(old, None), Err(Distrust::Expired));
    let mut new = named(&["db.test"]);
    new.not_before = year(4001);
    assert_eq!(judge(new, None), Err(Distrust::NotYetValid));

    let key = KeyPair::generate().unwrap();
    let mut root = named(&["cn:the root"]);
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    root.not_after = year(2001);
    let expired = root.self_signed(&key).unwrap();
    root.not_after = year(4001);
    let renewed = root.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(root, key);
    let own_key = KeyPair::generate().unwrap();
    let own = named(&["db.test"]).signed_by(&own_key, &issuer).unwrap();
    let shown = Shown {
        own: own.der(),
        chain: &[],
    };
    let by = |roots: &[CertificateDer<'_>]| verify(shown, roots, None, UnixTime::now());
    assert_eq!(by(&[expired.der().clone()]), Err(Distrust::RootExpired));
    assert_eq!(by(&[renewed.der().clone()]), Ok(()));
    assert_eq!(
        by(&[expired.der().clone(), renewed.der().clone()]),
        Ok(()),
        "one that has expired does not hide its successor"
    );
    assert_eq!(by(&[]), Err(Distrust::UnknownIssuer));
}

#[test]
fn no_bytes_beside_a_certificate_are_one() {
    let own = named(&["db.test"])
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap();
    let mut longer = own.der().to_vec();
    longer.push(0);
    for bytes in [Vec::new(), vec![0x30], longer] {
        let judged = judge_der(&CertificateDer::from(bytes), None);
        assert_eq!(judged, Err(Distrust::Malformed));
    }
}
