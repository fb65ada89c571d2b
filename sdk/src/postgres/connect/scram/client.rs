//! SCRAM-SHA-256, the client's side (RFC 5802 and RFC 7677), as Postgres speaks it.
//!
//! The driver's implementation hashes twice as much as needed in each of its thousands of rounds,
//! and derives the keys anew for every connection.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key_cache::ScramKeyCache;
use crate::credentials::ScramKeys;

/// The channel binding of an exchange.
pub(in crate::postgres) enum Binding {
    /// Bound to the connection by the hash of the certificate (`tls-server-end-point`).
    EndPoint(Vec<u8>),
    /// Not bound: the client could, but the server does not offer it.
    NotOffered,
    /// Not bound.
    None,
}

impl Binding {
    /// Returns the GS2 header, which both sides authenticate.
    fn header(&self) -> &'static str {
        match self {
            Self::EndPoint(_) => "p=tls-server-end-point,,",
            Self::NotOffered => "y,,",
            Self::None => "n,,",
        }
    }
}

/// The state after the client's first message.
pub(in crate::postgres) struct ClientFirst {
    binding: Binding,
    nonce: String,
}

impl ClientFirst {
    /// Begins an exchange with a random nonce, which prevents replays.
    pub(in crate::postgres) fn new(binding: Binding) -> io::Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let nonce = STANDARD.encode(nonce);
        Ok(Self { binding, nonce })
    }

    /// Returns the client's first message. It depends on the password in no way.
    pub(in crate::postgres) fn message(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare())
    }

    /// Returns the message without its header. The user is empty: Postgres takes the one of the
    /// StartupMessage.
    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Processes the server's first message.
    ///
    /// # Errors
    ///
    /// When the message is malformed or belongs to another exchange.
    pub(in crate::postgres) fn respond(
        self,
        challenge: &[u8],
        password: &[u8],
        key_cache: &ScramKeyCache,
    ) -> io::Result<ClientFinal> {
        let text = std::str::from_utf8(challenge).map_err(|_| invalid("is not UTF-8"))?;
        let Challenge {
            nonce,
            salt,
            rounds,
        } = Challenge::parse(text)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(invalid(
                "has a nonce that does not match (SCRAM nonce mismatch)",
            ));
        }
        let mut bound = self.binding.header().as_bytes().to_vec();
        if let Binding::EndPoint(hash) = &self.binding {
            bound.extend_from_slice(hash);
        }
        let last = format!("c={},r={nonce}", STANDARD.encode(bound));
        let exchanged = format!("{},{text},{last}", self.bare()).into_bytes();
        let keys = key_cache.get_or_derive(password, &salt, rounds);
        let proof = STANDARD.encode(keys.proof(&exchanged));
        Ok(ClientFinal {
            message: format!("{last},p={proof}"),
            keys,
            exchanged,
        })
    }
}

/// The state after the client's last message.
pub(in crate::postgres) struct ClientFinal {
    message: String,
    keys: ScramKeys,
    exchanged: Vec<u8>,
}

impl ClientFinal {
    /// Returns the client's last message.
    pub(in crate::postgres) fn message(&self) -> &str {
        &self.message
    }

    /// Verifies the server's last message.
    ///
    /// # Errors
    ///
    /// When the signature is missing or wrong: the server does not know the password's verifier.
    pub(in crate::postgres) fn verify(&self, last: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(last).map_err(|_| invalid("is not UTF-8"))?;
        let signature = text
            .split(',')
            .next()
            .and_then(|first| first.strip_prefix("v="))
            .and_then(|signature| STANDARD.decode(signature).ok())
            .ok_or_else(|| invalid("has no signature"))?;
        if self.keys.is_valid_signature(&signature, &self.exchanged) {
            Ok(())
        } else {
            Err(invalid(
                "has a wrong signature: the server does not know the password",
            ))
        }
    }
}

/// The attributes of the server's first message.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: u32,
}

impl<'a> Challenge<'a> {
    fn parse(text: &'a str) -> io::Result<Self> {
        let mut attributes = text.split(',');
        // Extensions may follow these attributes. A mandatory extension (`m=`) would precede them,
        // and is refused.
        let mut next = |name| {
            let found = attributes.next().and_then(|one| one.strip_prefix(name));
            found.ok_or_else(|| invalid("lacks an attribute"))
        };
        let nonce = next("r=")?;
        let salt = next("s=")?;
        let rounds = next("i=")?;
        let salt = STANDARD.decode(salt);
        let salt = salt.map_err(|_| invalid("has a salt that is not Base64"))?;
        let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0);
        let rounds = rounds.ok_or_else(|| invalid("has no iteration count"))?;
        if rounds > MAX_ITERATIONS {
            return Err(invalid(&format!(
                "asks for {rounds} iterations, more than the limit of {MAX_ITERATIONS}: lower \
                 scram_iterations and set the password again"
            )));
        }
        Ok(Self {
            nonce,
            salt,
            rounds,
        })
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the server's SCRAM message {what}"),
    )
}

/// Length of the nonce, as libpq's (`SCRAM_RAW_NONCE_LEN` of postgresql.org's scram-common.h).
const NONCE_BYTES: usize = 18;

/// Highest accepted iteration count. Postgres defaults to 4,096 (`scram_iterations`), which takes
/// 0.7 ms; this limit takes about 170 ms. An attacker could request billions.
const MAX_ITERATIONS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the last message of a server that knows the password.
    fn prove(first: &str, challenge: &str, last: &str, password: &[u8]) -> String {
        let bare = first.splitn(3, ',').nth(2).unwrap();
        let without_proof = last.rsplit_once(",p=").unwrap().0;
        let exchanged = format!("{bare},{challenge},{without_proof}");
        let keys = ScramKeyCache::default().get_or_derive(password, b"salt", 3);
        format!(
            "v={},x=more",
            STANDARD.encode(keys.signature(exchanged.as_bytes()))
        )
    }

    #[test]
    fn exchange_authenticates_both_sides_and_all_messages() {
        for (binding, header, bound) in [
            (
                Binding::EndPoint(vec![7; 32]),
                "p=tls-server-end-point,,n=,r=",
                "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=,",
            ),
            (Binding::NotOffered, "y,,n=,r=", "c=eSws,"),
            (Binding::None, "n,,n=,r=", "c=biws,"),
        ] {
            let begun = ClientFirst::new(binding).unwrap();
            let first = begun.message();
            let nonce = first.strip_prefix(header).unwrap();
            let challenge = format!("r={nonce}abc,s=c2FsdA==,i=3,x=more");
            let answered = begun.respond(challenge.as_bytes(), b"pw", &ScramKeyCache::default());
            let answered = answered.unwrap();
            assert!(answered.message().starts_with(bound), "{header}");
            let of = |password| prove(&first, &challenge, answered.message(), password);
            answered.verify(of(b"pw").as_bytes()).unwrap();
            answered.verify(of(b"other").as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn malformed_challenges_are_refused() {
        let answer = |rest: &str| {
            let begun = ClientFirst::new(Binding::None).unwrap();
            let challenge = rest.replace('$', &begun.nonce);
            let answered = begun.respond(challenge.as_bytes(), b"pw", &ScramKeyCache::default());
            answered.err().map(|error| error.to_string())
        };
        assert_eq!(answer("r=$a,s=AAAA,i=1"), None);
        for wrong in [
            "",
            "r=$,s=AAAA,i=1",
            "r=other,s=AAAA,i=1",
            "r=$a,s=*,i=1",
            "r=$a,s=AAAA,i=0",
            "r=$a,s=AAAA,i=-1",
            "r=$a,s=AAAA",
            "m=new,r=$a,s=AAAA,i=1",
            "e=other-error",
        ] {
            assert!(answer(wrong).is_some(), "{wrong}");
        }
        let told = answer("r=$a,s=AAAA,i=2000000000").unwrap();
        assert!(told.contains("scram_iterations"), "{told}");
    }

    #[test]
    fn last_messages_without_a_valid_signature_are_refused() {
        let begun = ClientFirst::new(Binding::None).unwrap();
        let challenge = format!("r={}a,s=AAAA,i=1", begun.nonce);
        let answered = begun.respond(challenge.as_bytes(), b"pw", &ScramKeyCache::default());
        let answered = answered.unwrap();
        for wrong in [&b""[..], b"v=", b"v", b"v=*", b"e=invalid-proof", b"\xff"] {
            answered.verify(wrong).unwrap_err();
        }
    }
}
