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

    /// Reads the server's first message.
    ///
    /// # Errors
    ///
    /// When the message is malformed or belongs to another exchange.
    pub(in crate::postgres) fn receive(self, challenge: &[u8]) -> io::Result<ServerFirst> {
        let text = std::str::from_utf8(challenge).map_err(|_| invalid("is not UTF-8"))?;
        let Challenge {
            nonce,
            salt,
            iterations,
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
        Ok(ServerFirst {
            exchanged: format!("{},{text},{last}", self.bare()).into_bytes(),
            last,
            salt,
            iterations,
        })
    }
}

/// The state after the server's first message.
pub(in crate::postgres) struct ServerFirst {
    salt: Vec<u8>,
    iterations: u32,
    /// The client's last message without its proof.
    last: String,
    exchanged: Vec<u8>,
}

impl ServerFirst {
    /// Returns the number of iterations that the server asks for. An attacker who has seen the
    /// client's last message needs as many hashes for each password that he tries.
    pub(in crate::postgres) fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Computes the client's last message. It holds a proof of the password.
    pub(in crate::postgres) fn respond(
        self,
        password: &[u8],
        key_cache: &ScramKeyCache,
    ) -> ClientFinal {
        let keys = key_cache.get_or_derive(password, &self.salt, self.iterations);
        let proof = STANDARD.encode(keys.proof(&self.exchanged));
        ClientFinal {
            message: format!("{},p={proof}", self.last),
            keys,
            exchanged: self.exchanged,
        }
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

    /// Verifies the server's last message. Returns the keys, which are the password's own: a
    /// server that knows no verifier of the password cannot make the client keep others.
    ///
    /// # Errors
    ///
    /// When the signature is missing or wrong: the server does not know the password's verifier.
    pub(in crate::postgres) fn verify(self, last: &[u8]) -> io::Result<ScramKeys> {
        let text = std::str::from_utf8(last).map_err(|_| invalid("is not UTF-8"))?;
        let signature = text
            .split(',')
            .next()
            .and_then(|first| first.strip_prefix("v="))
            .and_then(|signature| STANDARD.decode(signature).ok())
            .ok_or_else(|| invalid("has no signature"))?;
        if self.keys.is_valid_signature(&signature, &self.exchanged) {
            Ok(self.keys)
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
    iterations: u32,
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
        let iterations = next("i=")?;
        // Of any length: an attacker would choose a salt that serves him, and no long one stops him.
        let salt = STANDARD.decode(salt);
        let salt = salt.map_err(|_| invalid("has a salt that is not Base64"))?;
        let iterations = iterations.parse().ok().filter(|count| *count > 0);
        let iterations = iterations.ok_or_else(|| invalid("has no iteration count"))?;
        if iterations > MAX_ITERATIONS {
            return Err(invalid(&format!(
                "asks for {iterations} iterations, more than the limit of {MAX_ITERATIONS}: lower \
                 scram_iterations and set the password again"
            )));
        }
        Ok(Self {
            nonce,
            salt,
            iterations,
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

/// Highest accepted iteration count, which takes about 170 ms. libpq has no limit, and an attacker
/// could request two billion: six minutes of the function's time.
const MAX_ITERATIONS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the last message of a server that knows the password.
    fn prove(first: &str, challenge: &str, last: &str, password: &[u8]) -> String {
        let bare = first.splitn(3, ',').nth(2).unwrap();
        let without_proof = last.rsplit_once(",p=").unwrap().0;
        let exchanged = format!("{bare},{challenge},{without_proof}");
        let keys = ScramKeys::derive(password, b"salt", 3);
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
            let received = begun.receive(challenge.as_bytes()).unwrap();
            assert_eq!(received.iterations(), 3);
            let answered = received.respond(b"pw", &ScramKeyCache::default());
            assert!(answered.message().starts_with(bound), "{header}");
            let of = |password| prove(&first, &challenge, answered.message(), password);
            let (right, wrong) = (of(b"pw"), of(b"other"));
            let again = ClientFinal {
                message: answered.message.clone(),
                keys: answered.keys.clone(),
                exchanged: answered.exchanged.clone(),
            };
            assert!(answered.verify(right.as_bytes()).unwrap() == again.keys);
            assert!(again.verify(wrong.as_bytes()).is_err());
        }
    }

    #[test]
    fn malformed_challenges_are_refused() {
        let answer = |rest: &str| {
            let begun = ClientFirst::new(Binding::None).unwrap();
            let challenge = rest.replace('$', &begun.nonce);
            let received = begun.receive(challenge.as_bytes());
            received.err().map(|error| error.to_string())
        };
        for right in ["r=$a,s=AAAA,i=1", "r=$a,s=,i=4096", "r=$a,s=AAAA,i=1000000"] {
            assert_eq!(answer(right), None, "{right}");
        }
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
        for count in ["1000001", "2147483647", "4294967295"] {
            let told = answer(&format!("r=$a,s=AAAA,i={count}")).unwrap();
            assert!(told.contains("scram_iterations"), "{told}");
        }
        assert!(answer("r=$a,s=AAAA,i=4294967296").is_some());
    }

    #[test]
    fn last_messages_without_a_valid_signature_are_refused() {
        for wrong in [&b""[..], b"v=", b"v", b"v=*", b"e=invalid-proof", b"\xff"] {
            let begun = ClientFirst::new(Binding::None).unwrap();
            let challenge = format!("r={}a,s=AAAA,i=1", begun.nonce);
            let received = begun.receive(challenge.as_bytes()).unwrap();
            let answered = received.respond(b"pw", &ScramKeyCache::default());
            assert!(answered.verify(wrong).is_err());
        }
    }
}
