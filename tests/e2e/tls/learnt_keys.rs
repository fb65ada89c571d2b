//! The keys that a process has learnt by channel binding: they stand for a pooler that shows its
//! server's key, and change nothing else about which servers are accepted.

use stagelink_tests::{Auth, Authority, Identity, OwnServer, pooled};

use super::{accepted, refused, roots, verify, with};

/// Returns the same server by another name, of which this process knows no key.
fn unknown(url: &str) -> String {
    assert!(url.contains("@127.0.0.1:"), "{url}");
    url.replacen("@127.0.0.1:", "@localhost:", 1)
}

/// Checks that a server is accepted, or that it is refused, with a key that was learnt and without.
async fn expect(what: &str, url: &str, is_accepted: bool) {
    for url in [url.to_owned(), unknown(url)] {
        if is_accepted {
            accepted(what, &url, &[]).await;
        } else {
            refused(what, &url, &[]).await;
        }
    }
}

/// Returns what makes a URL trust an identity's certificate, or an authority's.
fn demand(mode: &str, pem: &str) -> (tempfile::NamedTempFile, String) {
    let file = roots(pem);
    let parameters = verify(mode, file.path());
    (file, parameters)
}

#[tokio::test]
async fn learnt_key_decides_for_a_pooler_of_its_server_alone() {
    let ours = Authority::new("ours");
    let (first, other) = (ours.certify(), Identity::self_signed());
    let mut server = OwnServer::start(&first).await;
    let scram = server.database(Auth::Scram).await;
    let (bound, unbound) = (scram.url(), server.database(Auth::Md5).await.url());
    let own_key = server.bouncer(&[&scram], &first).await;
    let other_key = server.bouncer(&[&scram], &other).await;

    let (own_key, other_key) = (pooled(&own_key, &scram), pooled(&other_key, &scram));
    expect("a pooler before anything was learnt", &own_key, false).await;
    accepted("the server, whose key is learnt", &bound, &[]).await;
    expect("the server without binding", &unbound, false).await;
    accepted("a pooler of the server", &own_key, &[]).await;
    refused("a pooler by another name", &unknown(&own_key), &[]).await;
    expect("a pooler with another key", &other_key, false).await;

    // What the URL demands is demanded of a server with a learnt key, too.
    let (_ours, by_ours) = demand("verify-full", &ours.pem());
    let (_theirs, by_theirs) = demand("verify-full", &Authority::new("theirs").pem());
    for (parameters, url, is_accepted) in [
        (by_ours.as_str(), &unbound, true),
        (&by_theirs, &unbound, false),
        (&by_theirs, &bound, false),
        ("channel_binding=require", &unbound, false),
        ("channel_binding=require", &bound, true),
    ] {
        expect(parameters, &with(url, parameters), is_accepted).await;
    }

    // The key is renewed, or another server takes over behind the same URL.
    server.set_identity(&other).await;
    expect("a renewed key without binding", &unbound, false).await;
    expect("a renewed key with binding", &bound, true).await;
    let (_other, by_other) = demand("verify-full", &other.certificate_pem);
    for (parameters, is_accepted) in [(&by_ours, false), (&by_other, true)] {
        for url in [&bound, &unbound] {
            expect("a renewed key", &with(url, parameters), is_accepted).await;
        }
    }
}
