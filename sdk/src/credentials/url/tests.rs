use std::path::PathBuf;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use proptest::prelude::*;

use super::*;
use crate::credentials::Roots;

fn parse(url: &str) -> DatabaseUrl {
    DatabaseUrl::parse(url, "the test").unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn refusal(url: &str) -> String {
    let error = DatabaseUrl::parse(url, "the test").expect_err(url);
    assert_eq!(error.kind(), ErrorKind::DatabaseUrl);
    error.to_string()
}

#[test]
fn heroku_url_is_read() {
    let url = parse("postgres://u1:p2@ec2-1-2-3-4.compute-1.amazonaws.com:5432/d3\n");
    assert_eq!(url.host(), "ec2-1-2-3-4.compute-1.amazonaws.com");
    assert_eq!((url.port(), url.user(), url.database()), (5432, "u1", "d3"));
    assert_eq!(url.password.expose_secret(), b"p2");
    assert_eq!(url.tls, TlsPolicy::Auto);
}

#[test]
fn second_scheme_and_defaults_are_read() {
    let url = parse("postgresql://u:p@h");
    assert_eq!((url.port(), url.database()), (5432, "u"));
    assert!(url.tcp.keepalives);
}

#[test]
fn parameter_that_is_set_to_nothing_is_not_set() {
    let url = parse("postgres://u:p@h/d?dbname=&application_name=&hostaddr=");
    assert_eq!((url.host(), url.database()), ("h", "u"));
    assert_eq!(url.application_name, None);
    let error = DatabaseUrl::parse("postgres://u:p@h/d?host=", "a test").unwrap_err();
    assert!(error.to_string().contains("names no host"));
}

#[test]
fn every_part_is_percent_decoded() {
    let url = parse("postgres://u%40x:p%3A%2F%3F%23%25%ff@h/d%20b?application_name=a%26b");
    assert_eq!((url.user(), url.database()), ("u@x", "d b"));
    assert_eq!(url.password.expose_secret(), b"p:/?#%\xff");
    assert_eq!(url.application_name.as_deref(), Some("a&b"));
}

#[test]
fn read_only_sessions_are_wanted_beside_the_urls_own_options() {
    for (url, options) in [
        ("postgres://u:p@h/d", "-c default_transaction_read_only=on"),
        (
            "postgres://u:p@h/d?sslmode=require&options=-c%20search_path%3Da",
            "-c search_path=a -c default_transaction_read_only=on",
        ),
        (
            "postgres://u:p@h/d?options=--default-transaction-read-only%3Doff",
            "--default-transaction-read-only=off -c default_transaction_read_only=on",
        ),
    ] {
        let own = parse(url);
        assert!(!own.wants_read_only_sessions(), "{url}");
        let asked = own.with_read_only_sessions();
        // What another program reads in the text is what the SDK sends.
        for url in [&asked, &parse(asked.to_secret().expose_secret())] {
            assert_eq!(url.options.as_deref(), Some(options));
            assert!(url.wants_read_only_sessions());
            assert_eq!((url.host(), url.password.expose_secret()), ("h", &b"p"[..]));
        }
    }
    for text in [
        "-cdefault_transaction_read_only=TRUE",
        "--default-transaction-read-only=1",
    ] {
        assert!(is_read_only_option(text), "{text}");
    }
    for text in [
        "-c search_path=on",
        "-c default_transaction_read_only=on -c default_transaction_read_only=off",
    ] {
        assert!(!is_read_only_option(text), "{text}");
    }
}

#[test]
fn pasted_url_is_kept_without_what_surrounded_it() {
    for text in [
        "psql 'postgresql://u:p%40@h:6543/d?sslmode=require'",
        "DATABASE_URL: postgresql://u:p%40@h:6543/d?sslmode=require\n",
        "postgresql+asyncpg://u:p%40@h:6543/d?sslmode=require",
    ] {
        let url = parse(text);
        assert_eq!((url.host(), url.port(), url.user()), ("h", 6543, "u"));
        let kept = "postgresql://u:p%40@h:6543/d?sslmode=require";
        assert_eq!(url.expose_secret(), kept, "{text}");
    }
    let url = parse("jdbc:postgresql://h/d?user=u&password=p%26&ssl=true");
    assert_eq!((url.user(), url.database()), ("u", "d"));
    assert_eq!(url.password.expose_secret(), b"p&");
}

#[test]
fn password_that_only_resembles_a_placeholder_is_one() {
    for password in ["**", "*a*", "[x]", "password", "[password", "PASSWORD"] {
        parse(&format!("postgres://u:{password}@h/d"));
    }
}

#[test]
fn password_may_hold_a_colon() {
    assert_eq!(
        parse("postgres://u:a:b@h/d").password.expose_secret(),
        b"a:b"
    );
}

#[test]
fn address_of_version_six_is_read() {
    let url = parse("postgres://u:p@[::1]:6543/d");
    assert_eq!((url.host(), url.port()), ("::1", 6543));
    assert_eq!(parse("postgres://u:p@[::1]/d").port(), 5432);
}

#[test]
fn parameters_take_the_place_of_the_urls_parts() {
    let url = parse(
        "postgres://ignored/x?host=h&hostaddr=127.0.0.1&port=1&user=u&password=p%2B&dbname=d\
         &connect_timeout=7&options=-c%20a%3Db&keepalives=0&keepalives_idle=1\
         &keepalives_interval=2&keepalives_count=3&tcp_user_timeout=4",
    );
    assert_eq!(
        (url.host(), url.port(), url.user(), url.database()),
        ("h", 1, "u", "d")
    );
    assert_eq!(url.address, Some(IpAddr::from([127, 0, 0, 1])));
    assert_eq!(url.password.expose_secret(), b"p+");
    assert_eq!(url.connect_timeout, Some(Duration::from_secs(7)));
    assert_eq!(url.options.as_deref(), Some("-c a=b"));
    assert!(!url.tcp.keepalives);
    assert_eq!(url.tcp.keepalives_idle, Some(Duration::from_secs(1)));
    assert_eq!(url.tcp.keepalives_interval, Some(Duration::from_secs(2)));
    assert_eq!(url.tcp.keepalives_count, Some(3));
    assert_eq!(url.tcp.user_timeout, Some(Duration::from_millis(4)));
}

#[test]
fn tls_parameters_choose_the_policy() {
    use Binding::{Never, Required};
    let file = || Roots::File(PathBuf::from("/ca.pem"));
    let verify = |roots, hostname, binding| TlsPolicy::Verify {
        roots,
        hostname,
        binding,
    };
    for (query, policy) in [
        ("", TlsPolicy::Auto),
        ("sslmode=require", TlsPolicy::Auto),
        ("ssl=true", TlsPolicy::Auto),
        ("ssl=require", TlsPolicy::Auto),
        (
            "ssl=true&sslmode=verify-full",
            TlsPolicy::verify_full(Roots::Default),
        ),
        ("ssl=verify-full", TlsPolicy::verify_full(Roots::Default)),
        ("channel_binding=prefer", TlsPolicy::Auto),
        ("channel_binding=require", TlsPolicy::ChannelBinding),
        (
            "sslmode=verify-full",
            TlsPolicy::verify_full(Roots::Default),
        ),
        ("sslrootcert=system", TlsPolicy::verify_full(Roots::System)),
        ("sslmode=verify-ca", TlsPolicy::verify_ca(Roots::Default)),
        (
            "sslmode=verify-full&sslrootcert=/ca.pem",
            TlsPolicy::verify_full(file()),
        ),
        (
            "sslmode=require&sslrootcert=/ca.pem",
            TlsPolicy::verify_ca(file()),
        ),
        (
            "sslmode=verify-full&channel_binding=disable",
            verify(Roots::Default, true, Never),
        ),
        (
            "sslmode=verify-full&channel_binding=require",
            verify(Roots::Default, true, Required),
        ),
    ] {
        assert_eq!(
            parse(&format!("postgres://u:p@h/d?{query}")).tls,
            policy,
            "{query}"
        );
    }
}

#[test]
fn empty_parameter_that_says_what_proves_the_server_is_refused_as_by_libpq() {
    for name in ["sslmode", "channel_binding"] {
        let url = format!("postgres://u:p@h/d?sslmode=verify-full&{name}=");
        assert!(
            refusal(&url).contains(&format!("{name} is empty")),
            "{name}"
        );
    }
}

#[test]
fn negotiation_is_direct_or_not_or_left_open() {
    for (query, direct) in [
        ("", None),
        ("sslnegotiation=postgres", Some(false)),
        ("sslnegotiation=direct", Some(true)),
    ] {
        let url = parse(&format!("postgres://u:p@h/d?{query}"));
        assert_eq!(url.direct_tls, direct, "{query}");
    }
    assert!(refusal("postgres://u:p@h/d?sslnegotiation=now").contains("sslnegotiation"));
}

#[test]
fn pooler_is_known_by_its_name() {
    for (host, is_pooler, is_direct) in [
        ("ep-cool-1-pooler.us-east-2.aws.neon.tech", true, false),
        ("ep-cool-1.us-east-2.aws.neon.tech", false, true),
        ("EP-cool-1.us-east-2.aws.Neon.tech.", false, true),
        ("aws-0-eu.pooler.supabase.com", true, false),
        ("db.my-pooler.com", false, false),
        ("neon.tech.my-pooler.com", false, false),
    ] {
        let url = parse(&format!("postgres://u:p@{host}/d"));
        assert_eq!(url.names_pooler, is_pooler, "{host}");
        assert_eq!(url.names_direct, is_direct, "{host}");
    }
}

#[test]
fn weaker_tls_is_refused() {
    for query in [
        "sslmode=disable",
        "sslmode=allow",
        "sslmode=prefer",
        "sslmode=no",
        "sslmode=require&sslrootcert=system",
        "channel_binding=disable",
        "channel_binding=maybe",
    ] {
        refusal(&format!("postgres://u:p@h/d?{query}"));
    }
}

#[test]
fn unknown_or_unsupported_parameter_is_refused_by_name() {
    for name in [
        "sslkey",
        "pgbouncer",
        "service",
        "require_auth",
        "passfile",
        "x%20y",
    ] {
        let reason = refusal(&format!("postgres://u:p@h/d?{name}=c4n4ry"));
        assert!(reason.contains(&name.replace("%20", " ")), "{reason}");
        assert!(!reason.contains("c4n4ry"));
    }
    for pair in ["target_session_attrs=read-write", "gssencmode=require"] {
        assert!(refusal(&format!("postgres://u:p@h/d?{pair}")).contains("not supported"));
    }
    parse("postgres://u:p@h/d?target_session_attrs=any&client_encoding=UTF8&gssencmode=prefer");
}

#[test]
fn broken_url_is_refused_with_the_reason_and_without_the_password() {
    for (url, reason) in [
        ("", "does not start with"),
        ("mysql://u:c4n4ry@h/d", "does not start with"),
        ("host=h user=u password=c4n4ry", "keywords and values"),
        ("postgres://u:c4n4ry@::1/d", "brackets"),
        ("postgres://u:c4n4ry@2001:db8::1:5432/d", "brackets"),
        ("postgres://u:c4n4ry@h:1:2/d", "port"),
        ("postgres://u:[YOUR-PASSWORD]@h/d", "placeholder"),
        ("postgres://u:%3Cpassword%3E@h/d", "placeholder"),
        ("postgres://u:********@h/d", "placeholder"),
        ("postgres://u:c4n4ry@h/d?ssl=false", "sslmode=require"),
        ("postgres://u:c4n4ry@h/d?ssl=prefer", "sslmode=require"),
        ("jdbc:postgresql://h/d?user=u", "no password"),
        ("postgres://u:c4n4ry@/d", "no host"),
        ("postgres://:c4n4ry@h/d", "no user"),
        ("postgres://u@h/d", "no password"),
        ("postgres://u:@h/d", "no password"),
        ("postgres://u:c4n4ry@h:0/d", "port"),
        ("postgres://u:c4n4ry@h:port/d", "port"),
        ("postgres://u:c4n4ry@h:65536/d", "port"),
        ("postgres://u:c4n4ry%@h/d", "two hexadecimal digits"),
        ("postgres://u:c4n4ry%zz@h/d", "two hexadecimal digits"),
        ("postgres://u:c4n4ry%00@h/d", "%00"),
        ("postgres://u:c4n4ry@x@h/d", "%40"),
        ("postgres://u:c4n4ry#x@h/d", "%23"),
        ("postgres://u:?c4n4ry=1@h/d", "%3F"),
        ("postgres://u:1/c4n4ry@h/d", "%2F"),
        ("postgres://u:a@b?c4n4ry@h/d", "%40"),
        ("postgres://u:c4n4 ry@h/d", "white space"),
        ("postgres://u:c4n4ry@h1,h2/d", "several hosts"),
        ("postgres://u:c4n4ry@[::1/d", "without a ]"),
        ("postgres://u:c4n4ry@%2Ftmp/d", "Unix socket"),
        ("postgres://u:c4n4ry@h%0Ax/d", "control character"),
        ("postgres://u:c4n4ry@h/d?x", "no ="),
        (
            "postgres://u:c4n4ry@h/d?connect_timeout=soon",
            "connect_timeout",
        ),
        ("postgres://u:c4n4ry@h/d?keepalives=yes", "keepalives"),
        ("postgres://u:c4n4ry@h/%ff", "UTF-8"),
    ] {
        let told = refusal(url);
        assert!(told.contains(reason), "{url}: {told}");
        assert!(told.contains("the test"), "{told}");
        assert!(!told.contains("c4n4"), "{told}");
    }
}

#[test]
fn debug_holds_no_password() {
    assert!(!format!("{:?}", parse("postgres://u:c4n4ry@h/d")).contains("c4n4ry"));
}

proptest! {
    #[test]
    fn whatever_is_encoded_is_read_back(
        user in "[^\\x00]{1,20}",
        password in prop::collection::vec(1_u8.., 1..40),
        database in "[^\\x00]{1,20}",
        port in 1_u16..,
    ) {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let url = parse(&format!(
            "postgres://{}:{}@db.example.com:{port}/{}",
            encode(&user),
            percent_encode(&password, NON_ALPHANUMERIC),
            encode(&database),
        ));
        prop_assert_eq!(url.user(), user);
        prop_assert_eq!(url.password.expose_secret(), password);
        prop_assert_eq!(url.database(), database);
        prop_assert_eq!(url.port(), port);
    }

    #[test]
    fn no_text_is_too_odd_for_an_answer(text in ".*") {
        let _ = DatabaseUrl::parse(&text, "the test");
        let _ = DatabaseUrl::parse(&format!("postgres://{text}"), "the test");
        let _ = DatabaseUrl::parse(&format!("postgres://u:p@h/d?{text}"), "the test");
    }

    #[test]
    fn no_refusal_shows_the_password(before in "[a-z@:/?#%&=]{0,8}", after in "[a-z@:/?#%&=]{0,8}") {
        let url = format!("postgres://u:{before}c4n4ry{after}@h/d?sslmode=disable");
        let refused = DatabaseUrl::parse(&url, "the test").expect_err("sslmode=disable");
        prop_assert!(!format!("{refused:?} {refused}").contains("c4n4ry"), "{refused}");
    }
}
