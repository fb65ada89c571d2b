//! HTTPS to a provider with a company's roots, by both libraries.

use std::net::Ipv4Addr;
use std::pin::Pin;

use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{Ssl, SslContext, SslMethod};
use openssl::x509::X509;
use openssl::x509::extension::SubjectAlternativeName;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_openssl::SslStream;

use super::*;
use crate::config::TlsLibrary;
use crate::provider::http::api::API;
use crate::provider::http::client::ApiClient;

/// Makes a certificate for 127.0.0.1 that signs itself.
fn certificate(curve: Nid) -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(curve).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(&key).unwrap();
    let from = Asn1Time::days_from_now(0).unwrap();
    builder.set_not_before(&from).unwrap();
    let until = Asn1Time::days_from_now(1).unwrap();
    builder.set_not_after(&until).unwrap();
    let names = SubjectAlternativeName::new()
        .ip("127.0.0.1")
        .build(&builder.x509v3_context(None, None))
        .unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// Starts a provider that answers each request with an empty object. Returns its address.
async fn serve(certificate: &X509, key: &PKey<Private>) -> String {
    let mut context = SslContext::builder(SslMethod::tls_server()).unwrap();
    context.set_certificate(certificate).unwrap();
    context.set_private_key(key).unwrap();
    let context = context.build();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let mut stream = SslStream::new(Ssl::new(&context).unwrap(), tcp).unwrap();
            if Pin::new(&mut stream).accept().await.is_err() {
                continue;
            }
            let mut head = [0; 4096];
            assert_ne!(stream.read(&mut head).await.unwrap(), 0);
            let response = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                            content-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.write_all(response.as_bytes()).await.unwrap();
            stream.shutdown().await.ok();
        }
    });
    format!("https://127.0.0.1:{port}")
}

async fn ask(base: &str, library: TlsLibrary, roots: Option<&X509>) -> Result<Value, Error> {
    let https = HttpsSettings {
        library,
        roots: roots.map(|root| String::from_utf8(root.to_pem().unwrap()).unwrap()),
    };
    let client = ApiClient::new(&API, base, &"c4n4ry".into(), &https)?;
    client.get_json("/path", "app shop").await
}

#[tokio::test]
async fn provider_is_trusted_by_the_given_roots_alone() {
    let (own, key) = certificate(Nid::X9_62_PRIME256V1);
    let (other, _) = certificate(Nid::X9_62_PRIME256V1);
    let base = serve(&own, &key).await;
    for library in [
        TlsLibrary::Rustls,
        #[cfg(feature = "native-tls")]
        TlsLibrary::Native,
    ] {
        ask(&base, library, Some(&own)).await.unwrap();
        for roots in [None, Some(&other)] {
            let error = ask(&base, library, roots).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ProviderUnavailable, "{library:?}");
            let text = error.report().to_string();
            let is_named = text.contains("STAGELINK_PROVIDER_ROOT_CERTIFICATES");
            assert_eq!(is_named, library == TlsLibrary::Rustls, "{text}");
        }
    }
}

type Change = fn(&mut rcgen::CertificateParams);

/// Makes a root by `change`, and a certificate for 127.0.0.1 that it has issued.
fn issued(change: Change) -> (X509, X509, PKey<Private>) {
    let [root_key, key] = [(); 2].map(|()| rcgen::KeyPair::generate().unwrap());
    let mut root = rcgen::CertificateParams::default();
    root.distinguished_name
        .push(rcgen::DnType::CommonName, "the root");
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    change(&mut root);
    let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
    let issuer = rcgen::Issuer::new(root, root_key);
    let own = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &issuer).unwrap();
    (
        X509::from_der(&root_der).unwrap(),
        X509::from_der(own.der()).unwrap(),
        PKey::private_key_from_der(&key.serialize_der()).unwrap(),
    )
}

#[tokio::test]
async fn given_root_counts_as_far_as_it_may_issue_certificates_of_servers() {
    let (root, own, key) = issued(|_| ());
    let base = serve(&own, &key).await;
    ask(&base, TlsLibrary::Rustls, Some(&root)).await.unwrap();
    let changes: [(Change, &str); 3] = [
        (
            |root| root.not_after = rcgen::date_time_ymd(2001, 1, 1),
            "has expired",
        ),
        (
            |root| root.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign],
            "STAGELINK_PROVIDER_ROOT_CERTIFICATES",
        ),
        (
            |root| root.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth],
            "STAGELINK_PROVIDER_ROOT_CERTIFICATES",
        ),
    ];
    for (change, reason) in changes {
        let (root, own, key) = issued(change);
        let base = serve(&own, &key).await;
        let asked = ask(&base, TlsLibrary::Rustls, Some(&root)).await;
        let text = asked.unwrap_err().report().to_string();
        assert!(text.contains(reason), "{text}");
    }
}

/// Only the platform's library verifies such a key, so this shows that the setting decides.
#[cfg(feature = "native-tls")]
#[tokio::test]
async fn setting_decides_which_library_meets_the_provider() {
    let (own, key) = certificate(Nid::SECP521R1);
    let base = serve(&own, &key).await;
    ask(&base, TlsLibrary::Native, Some(&own)).await.unwrap();
    let error = ask(&base, TlsLibrary::Rustls, Some(&own))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
}
