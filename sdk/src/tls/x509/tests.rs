//! The fields are those that x509-parser reads, a crate that reads all of X.509.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, KeyUsage, X509Extension};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Version};

use super::*;

/// Checks that the fields of a certificate are those that x509-parser reads.
pub(crate) fn check_fields(der: &[u8]) {
    assert!(check_fields_but_names(der), "it is not read");
    let der = CertificateDer::from(der);
    let ours = X509::read(&der).unwrap();
    let (_, theirs) = X509Certificate::from_der(&der).unwrap();
    assert!(theirs.issuer().as_raw().ends_with(ours.issuer));
    assert!(theirs.subject().as_raw().ends_with(ours.subject));
    let common_name = theirs.subject().iter_common_name().next();
    assert_eq!(
        ours.common_name(),
        common_name.map(AttributeTypeAndValue::as_slice)
    );
}

/// Checks the fields where both can read the certificate, and returns whether they can.
/// x509-parser leaves out the end of a malformed name.
fn check_fields_but_names(der: &[u8]) -> bool {
    let der = CertificateDer::from(der);
    let (Some(ours), Ok(([], theirs))) = (X509::read(&der), X509Certificate::from_der(&der)) else {
        return false;
    };
    assert_eq!(ours.signed, theirs.tbs_certificate.as_ref());
    let version = match theirs.version() {
        X509Version::V1 => Version::V1,
        X509Version::V2 => Version::V2,
        _ => Version::V3,
    };
    assert_eq!(ours.version, version);
    assert_eq!(ours.not_before, theirs.validity().not_before.timestamp());
    assert_eq!(ours.not_after, theirs.validity().not_after.timestamp());
    assert_eq!(ours.key.whole, theirs.public_key().raw);
    let algorithm = theirs.public_key().algorithm.oid();
    assert_eq!(ours.key.algorithm.oid, algorithm.as_bytes());
    let signed_by = theirs.signature_algorithm.oid();
    assert_eq!(ours.signature_algorithm.oid, signed_by.as_bytes());
    assert_eq!(ours.signature, &*theirs.signature_value.data);

    if let Some(ours) = &ours.extensions {
        check_extensions(ours, &theirs);
    }
    true
}

fn check_extensions(ours: &Extensions<'_>, theirs: &X509Certificate<'_>) {
    if let Ok(usage) = theirs.key_usage() {
        let usage = usage.map(|usage| usage.value);
        let signs = usage.map(KeyUsage::key_cert_sign);
        assert_eq!(ours.key_usage.map(|usage| usage.signs_certificates), signs);
        let is_for_handshakes = usage.map(|usage| {
            usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
        });
        let own = ours.key_usage.map(|usage| usage.is_for_handshakes);
        assert_eq!(own, is_for_handshakes);
    }
    if let Ok(usage) = theirs.extended_key_usage() {
        assert_eq!(
            ours.names_servers,
            usage.map(|usage| usage.value.server_auth)
        );
    }
    if let Ok(Some(constraints)) = theirs.basic_constraints() {
        let own = ours.basic_constraints.expect("they are there");
        assert_eq!(own.is_ca, constraints.value.ca);
        let length = constraints.value.path_len_constraint;
        assert_eq!(own.path_length, length.map(u64::from));
    }
    if let Ok(constraints) = theirs.name_constraints() {
        assert_eq!(ours.name_constraints.is_some(), constraints.is_some());
    }
    if let Ok(Some(names)) = theirs.subject_alternative_name() {
        let names = names
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(Name::Dns(name.as_bytes())),
                GeneralName::IPAddress(bytes) => Some(Name::Address(bytes)),
                GeneralName::Invalid(tag, bytes) if tag.0 == 2 => Some(Name::Dns(bytes)),
                _ => None,
            });
        let names: Vec<Name<'_>> = names.collect();
        let own = ours.alternative_names.as_deref().expect("they are there");
        // The oracle takes a name that is marked as made of parts, which DER has not, and ours leaves it out.
        let is_marked = |extension: &X509Extension<'_>| {
            extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME
                && [0xa2, 0xa7].iter().any(|tag| extension.value.contains(tag))
        };
        match theirs.extensions().iter().any(is_marked) {
            true => assert!(own.iter().all(|name| names.contains(name))),
            false => assert_eq!(own, &names[..]),
        }
    }
}

/// Makes a certificate with all extensions that are understood, and another.
fn with_everything() -> Vec<u8> {
    let mut params = CertificateParams::default();
    let names = &mut params.distinguished_name;
    names.push(DnType::OrganizationName, "stagelink");
    names.push(DnType::CommonName, "db.test");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(3));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    params.subject_alt_names = vec![
        SanType::Rfc822Name("a@db.test".try_into().unwrap()),
        SanType::DnsName("*.db.test".try_into().unwrap()),
        SanType::IpAddress("127.0.0.1".parse().unwrap()),
        SanType::IpAddress("::1".parse().unwrap()),
    ];
    params.use_authority_key_identifier_extension = true;
    let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    own.der().to_vec()
}

#[test]
fn fields_are_those_of_x509_parser() {
    let made = with_everything();
    check_fields(&made);
    let der = CertificateDer::from(made);
    let read = X509::read(&der).unwrap();
    assert!(read.is_ca());
    assert_eq!(read.common_name(), Some(&b"db.test"[..]));
    let extensions = read.extensions.unwrap();
    assert_eq!(extensions.names_servers, Some(true));
    assert_eq!(extensions.basic_constraints.unwrap().path_length, Some(3));
    assert!(extensions.key_usage.unwrap().signs_certificates);
    assert_eq!(extensions.alternative_names.unwrap().len(), 3);
    assert_eq!(extensions.unknown_critical, None);
}

#[test]
fn identifiers_are_written_as_numbers() {
    for (oid, text) in [
        (&[0x55, 0x04, 0x03][..], "2.5.4.3"),
        (
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
            "1.2.840.10045.2.1",
        ),
        (&[0x88, 0x37, 0x03], "2.999.3"),
        (&[0x09], "0.9"),
        (&[], ""),
        (&[0xff; 30], ""),
    ] {
        assert_eq!(dotted(oid), text);
    }
}

proptest! {
    #[test]
    fn changed_certificates_are_read_alike_or_not_at_all(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut made = with_everything();
        for (place, byte) in changes {
            let place = place.index(made.len());
            made[place] = byte;
        }
        check_fields_but_names(&made);
    }
}
