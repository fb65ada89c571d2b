//! Passwords of all kinds of characters: the SDK logs in with each, as the server has hashed it.
//!
//! The server prepares a password with its own SASLprep when a role gets it, and a client has to
//! prepare it in the same way.

use std::fmt::Write as _;

use futures_util::{StreamExt as _, stream};
use stagelink::{Database, Settings};
use stagelink_local_postgres::Database as TestDatabase;
use stagelink_tests::{PATIENT, as_superuser, database, server};

#[tokio::test]
async fn passwords_of_all_characters_log_in() {
    let database = database().await;
    let passwords = passwords();
    let count = passwords.len();
    assert!(count > 600, "{count}");
    let roles = format!("{}_password", database.role());
    let mut sql = String::new();
    for (number, password) in passwords.iter().enumerate() {
        let password = password.replace('\'', "''");
        write!(
            sql,
            "CREATE ROLE {roles}_{number} LOGIN PASSWORD '{password}';"
        )
        .expect("text");
    }
    let name = database.name();
    write!(sql, "GRANT CONNECT ON DATABASE {name} TO PUBLIC").expect("text");
    as_superuser(&sql).await;
    let refused: Vec<String> = stream::iter(passwords.iter().enumerate())
        .map(async |(number, password)| {
            let role = format!("{roles}_{number}");
            let result = log_in(&database, &role, password.as_bytes()).await;
            result.err().map(|error| format!("{password:?}: {error}"))
        })
        .buffer_unordered(8)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(
        refused.is_empty(),
        "{} of {count}: {refused:#?}",
        refused.len()
    );
    println!("{count} passwords");
    let names: Vec<String> = (0..count)
        .map(|number| format!("{roles}_{number}"))
        .collect();
    as_superuser(&format!("DROP ROLE {}", names.join(", "))).await;
}

#[tokio::test]
async fn passwords_that_are_not_utf_8_log_in() {
    let database = database().await;
    let name = database.name();
    // Only such a database takes the bytes.
    for sql in [
        format!("DROP DATABASE {name}"),
        format!(
            "CREATE DATABASE {name} OWNER {name} ENCODING 'SQL_ASCII' TEMPLATE template0 \
             LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
        ),
    ] {
        as_superuser(&sql).await;
    }
    let admin = server().await.connect_as_superuser_to(&database).await;
    let admin = admin.expect("a superuser");
    for password in [
        &b"\xff"[..],
        b"p\xe9",
        b"\xc2\xad\xff",
        b"\xed\xa0\x80\xe2\x85\xa8",
        b"\xc0\xaf",
        b"\xe2\x85",
        b"\xf4\x90\x80\x80",
    ] {
        let bytes = password.iter().fold(String::new(), |mut text, byte| {
            write!(text, "\\x{byte:02x}").expect("text");
            text
        });
        let sql = format!("ALTER ROLE {name} PASSWORD E'{bytes}'");
        admin.batch_execute(&sql).await.expect("a password");
        let result = log_in(&database, name, password).await;
        assert!(result.is_ok(), "{bytes}: {result:?}");
    }
}

/// Logs in as a role of the database's server.
async fn log_in(database: &TestDatabase, role: &str, password: &[u8]) -> Result<(), String> {
    let url = database.url();
    let (_, address) = url.split_once('@').expect("a role");
    let password = password.iter().fold(String::new(), |mut text, byte| {
        write!(text, "%{byte:02X}").expect("text");
        text
    });
    let url = format!("postgres://{role}:{password}@{address}");
    let needed = [("STAGELINK_STAGE", "staging"), ("DATABASE_URL", &url)];
    let settings = Settings::from_vars(needed.into_iter().chain(PATIENT));
    let client = Database::new(settings).client().await;
    client.map(drop).map_err(|error| error.report().to_string())
}

/// Returns passwords with characters of all tables of RFC 3454, alone and among others.
fn passwords() -> Vec<String> {
    let mut all: Vec<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    for range in CHARACTERS {
        for c in range.chars() {
            all.extend([
                c.to_string(),
                format!("x{c}y"),
                format!("\u{5d0}{c}\u{5d1}"),
            ]);
        }
    }
    all.sort();
    all.dedup();
    all
}

/// Characters, by the tables of RFC 3454 and by what normalisation does to them.
const CHARACTERS: [&str; 17] = [
    // B.1, mapped to nothing.
    "\u{ad}\u{34f}\u{1806}\u{180b}\u{180c}\u{180d}\u{200b}\u{200c}\u{200d}\u{2060}\u{fe00}\u{fe0f}\
     \u{feff}",
    // C.1.2, spaces.
    "\u{a0}\u{1680}\u{2000}\u{2001}\u{2002}\u{2007}\u{200a}\u{202f}\u{205f}\u{3000}",
    // C.2.1 and C.2.2, control characters.
    "\u{1}\u{7}\t\n\r\u{1b}\u{1f}\u{7f}\u{80}\u{85}\u{9f}\u{6dd}\u{70f}\u{180e}\u{2028}\u{2029}\
     \u{2061}\u{2063}\u{206a}\u{206f}\u{fff9}\u{fffc}\u{1d173}\u{1d17a}",
    // C.3, private use.
    "\u{e000}\u{f8ff}\u{f0000}\u{ffffd}\u{100000}\u{10fffd}",
    // C.4, no characters; beside the surrogates.
    "\u{fdd0}\u{fdef}\u{fffe}\u{ffff}\u{1fffe}\u{10ffff}\u{d7ff}\u{d7a3}",
    // C.6, C.7, C.8 and C.9.
    "\u{fffd}\u{2ff0}\u{2ffb}\u{340}\u{341}\u{200e}\u{200f}\u{202a}\u{202e}\u{e0001}\u{e0020}\u{e007f}",
    // A.1, unassigned in Unicode 3.2 and assigned since.
    "\u{221}\u{234}\u{370}\u{61c}\u{11a7}\u{1dbf}\u{1e9e}\u{2093}\u{20b9}\u{2c7c}\u{2adc}\u{a7f8}\
     \u{1d7ca}\u{1f600}\u{1f100}\u{32ff}\u{fa70}\u{2b740}\u{ab5c}",
    // D.1, right to left; some become several characters.
    "\u{5be}\u{5d0}\u{627}\u{661}\u{6f1}\u{7b1}\u{fb1d}\u{fb4f}\u{fdfa}\u{fe70}\u{fefb}",
    // D.2, left to right; the last became so later, or are no more.
    "A\u{e9}\u{3b1}\u{434}\u{905}\u{4e00}\u{ac00}\u{cbf}\u{cc6}\u{1734}\u{17b4}\u{1885}\u{2132}\
     \u{2800}\u{28ff}\u{302e}\u{1d6db}\u{1d7c3}",
    // Neither.
    "1!'\"\\%@:/?# \u{b1}\u{20ac}\u{2212}",
    // Combining marks.
    "\u{300}\u{301}\u{308}\u{323}\u{345}\u{5b0}\u{64b}\u{93c}\u{e31}\u{f71}\u{302a}\u{3099}\u{20dd}",
    // Compatibility forms: ligatures, widths, circles, fractions, indices, letters of mathematics.
    "\u{fb00}\u{fb03}\u{fb06}\u{132}\u{1c4}\u{17f}\u{149}\u{ff21}\u{ff76}\u{ff9e}\u{ffe5}\u{ffa1}\
     \u{2460}\u{24b6}\u{32a3}\u{3392}\u{33a5}\u{2153}\u{b2}\u{2075}\u{208c}\u{2122}\u{2160}\u{2168}\
     \u{1d400}\u{1d7ce}\u{210b}\u{2026}\u{3380}\u{a8}\u{b4}\u{2dc}\u{384}\u{1fbd}\u{2017}\u{fe4c}",
    // Characters that have another canonical form.
    "\u{212b}\u{2126}\u{212a}\u{c5}\u{1e69}\u{1fed}\u{340}\u{343}\u{344}\u{374}\u{37e}\u{387}\u{2000}\
     \u{2329}\u{226e}\u{304c}\u{958}\u{9dc}\u{fb1f}\u{fb2c}\u{f73}\u{f76}\u{1d15e}",
    // Ideographs of compatibility, of which Unicode 4 corrected five.
    "\u{f900}\u{fa0e}\u{fa2d}\u{2f800}\u{2f868}\u{2f874}\u{2f91f}\u{2f95f}\u{2f9bf}\u{2fa1d}",
    // Hangul.
    "\u{1100}\u{1161}\u{11a8}\u{115f}\u{1160}\u{3131}\u{3164}\u{ac01}\u{d7a3}",
    // Beyond the basic plane.
    "\u{10300}\u{10400}\u{1d100}\u{20000}\u{2a6d6}",
    // Emoji of Unicode 3.2, and their variation.
    "\u{263a}\u{2764}\u{2600}",
];

/// Sequences whose characters change together.
const TEXTS: [&str; 36] = [
    "a\u{308}\u{301}",
    "a\u{301}\u{308}",
    "q\u{307}\u{323}",
    "q\u{323}\u{307}",
    "s\u{323}\u{307}",
    "\u{1e63}\u{307}",
    "\u{1100}\u{1161}",
    "\u{1100}\u{1161}\u{11a8}",
    "\u{ac00}\u{11a8}",
    "\u{ac00}\u{11a7}",
    "\u{1100}\u{34f}\u{1161}",
    "\u{ff76}\u{ff9e}",
    "\u{30ab}\u{3099}",
    "e\u{ad}\u{301}",
    "e\u{200d}\u{301}",
    "e\u{340}",
    "\u{915}\u{93c}",
    "\u{f71}\u{f72}",
    "\u{3b1}\u{345}\u{301}",
    "\u{5d0}\u{5bc}\u{5b0}\u{5d1}",
    "\u{5d0}1",
    "1\u{5d0}",
    "\u{5d0}1\u{5d0}",
    "\u{5d0}\u{2800}\u{5d0}",
    "\u{5d0}a\u{5d0}",
    "\u{5d0}\u{301}",
    "\u{627} \u{627}",
    "\u{627}\u{a0}\u{627}",
    "\u{5d0}\u{2463}\u{5d0}",
    "\u{5d0}\u{24b6}\u{5d0}",
    "\u{ad}\u{5d0}\u{200b}",
    "\u{ad}\u{200d}\u{feff}",
    "pass\u{2011}word",
    "\u{1f468}\u{200d}\u{1f469}",
    "\u{263a}\u{fe0f}",
    "\u{ad}",
];
