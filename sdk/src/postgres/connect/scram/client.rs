//! SCRAM-SHA-256, the client's side (RFC 5802 and RFC 7677), as Postgres speaks it.
//!
//! The driver's own makes each of the thousands of rounds that turn a password into keys twice
//! as long as it has to be, in the middle of a function's start, and anew for every connection.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key_cache::ScramKeyCache;
use crate::credentials::ScramKeys;

/// What the exchange is bound to.
pub(in crate::postgres) enum Binding {
    /// The connection, by the hash of the server's certificate (`tls-server-end-point`).
    EndPoint(Vec<u8>),
    /// Nothing, though the client could: the server does not seem to offer it.
    NotOffered,
    /// Nothing.
    None,
}

impl Binding {
    /// Says the same to the server. It is part of what both sides prove.
    fn header(&self) -> &'static str {
        match self {
            Self::EndPoint(_) => "p=tls-server-end-point,,",
            Self::NotOffered => "y,,",
            Self::None => "n,,",
        }
    }
}

/// An exchange that has begun.
pub(in crate::postgres) struct ClientFirst {
    binding: Binding,
    nonce: String,
}

impl ClientFirst {
    /// With a nonce of its own, which keeps an answer from being used again.
    pub(in crate::postgres) fn new(binding: Binding) -> io::Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(io::Error::other)?;
        let nonce = STANDARD.encode(nonce);
        Ok(Self { binding, nonce })
    }

    /// The client's first message. It holds nothing of the password.
    pub(in crate::postgres) fn message(&self) -> String {
        format!("{}{}", self.binding.header(), self.bare())
    }

    /// Without a user: Postgres takes the one of the start-up message.
    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Takes the server's first message.
    ///
    /// # Errors
    ///
    /// When it is none, or is no answer to this exchange.
    pub(in crate::postgres) fn answer(
        self,
        challenge: &[u8],
        password: &[u8],
        key_cache: &ScramKeyCache,
    ) -> io::Result<ClientFinal> {
        let text = std::str::from_utf8(challenge).map_err(|_| nonsense("is no text"))?;
        let Challenge {
            nonce,
            salt,
            rounds,
        } = Challenge::parse(text)?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(nonsense("answers somebody else"));
        }
        let mut bound = self.binding.header().as_bytes().to_vec();
        if let Binding::EndPoint(hash) = &self.binding {
            bound.extend_from_slice(hash);
        }
        let last = format!("c={},r={nonce}", STANDARD.encode(bound));
        let exchanged = format!("{},{text},{last}", self.bare()).into_bytes();
        let keys = key_cache.keys(password, &salt, rounds);
        let proof = STANDARD.encode(keys.proof(&exchanged));
        Ok(ClientFinal {
            message: format!("{last},p={proof}"),
            keys,
            exchanged,
        })
    }
}

/// An exchange in which the client has shown that it knows the password.
pub(in crate::postgres) struct ClientFinal {
    message: String,
    keys: ScramKeys,
    exchanged: Vec<u8>,
}

impl ClientFinal {
    /// The client's last message.
    pub(in crate::postgres) fn message(&self) -> &str {
        &self.message
    }

    /// Takes the server's last message.
    ///
    /// # Errors
    ///
    /// When the server does not prove itself.
    pub(in crate::postgres) fn check(&self, last: &[u8]) -> io::Result<()> {
        let text = std::str::from_utf8(last).map_err(|_| nonsense("is no text"))?;
        let signature = text
            .split(',')
            .next()
            .and_then(|first| first.strip_prefix("v="))
            .and_then(|signature| STANDARD.decode(signature).ok())
            .ok_or_else(|| nonsense("has no signature"))?;
        if self.keys.is_proved_by(&signature, &self.exchanged) {
            Ok(())
        } else {
            Err(nonsense("does not show that it knows the password"))
        }
    }
}

/// A server's first message.
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    rounds: u32,
}

impl<'a> Challenge<'a> {
    fn parse(text: &'a str) -> io::Result<Self> {
        let mut attributes = text.split(',');
        // Extensions of the protocol may come behind these, and nothing before them: what is
        // mandatory and not known (`m=`) would.
        let mut next = |name| {
            let found = attributes.next().and_then(|one| one.strip_prefix(name));
            found.ok_or_else(|| nonsense("has not what it should"))
        };
        let nonce = next("r=")?;
        let salt = next("s=")?;
        let rounds = next("i=")?;
        let salt = STANDARD.decode(salt);
        let salt = salt.map_err(|_| nonsense("has no salt in Base64"))?;
        let rounds = rounds.parse().ok().filter(|rounds| *rounds > 0);
        let rounds = rounds.ok_or_else(|| nonsense("has no number of rounds"))?;
        if rounds > MOST_ROUNDS {
            return Err(nonsense(&format!(
                "asks for {rounds} rounds, and at most {MOST_ROUNDS} are made: set a lower \
                 scram_iterations and the password anew"
            )));
        }
        Ok(Self {
            nonce,
            salt,
            rounds,
        })
    }
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the server's message of SCRAM {what}"),
    )
}

/// As many as libpq's (`SCRAM_RAW_NONCE_LEN` of postgresql.org's scram-common.h).
const NONCE_BYTES: usize = 18;

/// The default of Postgres is 4,096 (`scram_iterations`). These take about 170 ms on a
/// processor of its own (0.7 ms for the default); whoever is in between could ask for billions.
const MOST_ROUNDS: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server says at the end that knows the password.
    fn prove(first: &str, challenge: &str, last: &str, password: &[u8]) -> String {
        let bare = first.splitn(3, ',').nth(2).unwrap();
        let without_proof = last.rsplit_once(",p=").unwrap().0;
        let exchanged = format!("{bare},{challenge},{without_proof}");
        let keys = ScramKeyCache::default().keys(password, b"salt", 3);
        format!(
            "v={},x=more",
            STANDARD.encode(keys.signature(exchanged.as_bytes()))
        )
    }

    #[test]
    fn exchange_proves_both_and_is_bound_to_what_was_said() {
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
            let answered = begun.answer(challenge.as_bytes(), b"pw", &ScramKeyCache::default());
            let answered = answered.unwrap();
            assert!(answered.message().starts_with(bound), "{header}");
            let of = |password| prove(&first, &challenge, answered.message(), password);
            answered.check(of(b"pw").as_bytes()).unwrap();
            answered.check(of(b"other").as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn challenges_that_are_none_are_refused() {
        let answer = |rest: &str| {
            let begun = ClientFirst::new(Binding::None).unwrap();
            let challenge = rest.replace('$', &begun.nonce);
            let answered = begun.answer(challenge.as_bytes(), b"pw", &ScramKeyCache::default());
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
    fn last_messages_that_prove_nothing_are_refused() {
        let begun = ClientFirst::new(Binding::None).unwrap();
        let challenge = format!("r={}a,s=AAAA,i=1", begun.nonce);
        let answered = begun.answer(challenge.as_bytes(), b"pw", &ScramKeyCache::default());
        let answered = answered.unwrap();
        for wrong in [&b""[..], b"v=", b"v", b"v=*", b"e=invalid-proof", b"\xff"] {
            answered.check(wrong).unwrap_err();
        }
    }
}
