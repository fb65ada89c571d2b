//! SCRAM keys, derived from a password (RFC 5802, section 3).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

use crate::credentials::saslprep;

/// The SCRAM keys of a password, for one salt and iteration count of a server.
///
/// The client key proves to the server that the client knows the password; the server key
/// verifies the server. Deriving them takes thousands of hashes, and a role's salt stays the same
/// until its password is set again. So deploy-time credentials include them; a function derives
/// them again only when the server uses another salt. The keys suffice to log in: they are as
/// secret as the password.
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(crate) struct ScramKeys {
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
    client: Key,
    server: Key,
}

impl ScramKeys {
    /// Derives the keys of a password.
    pub(crate) fn derive(password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let salted = salted(&saslprep::prepare(password), salt, iterations);
        Self {
            salt: salt.to_vec(),
            iterations,
            client: authenticate(&salted, b"Client Key"),
            server: authenticate(&salted, b"Server Key"),
        }
    }

    /// Computes the client proof of one exchange.
    pub(crate) fn proof(&self, exchanged: &[u8]) -> Key {
        let stored = Sha256::digest(self.client);
        let mut proof = authenticate(&stored, exchanged);
        for (byte, key) in proof.iter_mut().zip(self.client) {
            *byte ^= key;
        }
        proof
    }

    /// Computes the server signature of one exchange.
    #[cfg(test)]
    pub(crate) fn signature(&self, exchanged: &[u8]) -> Key {
        authenticate(&self.server, exchanged)
    }

    /// Returns whether a server signature is valid, in constant time.
    pub(crate) fn is_valid_signature(&self, signature: &[u8], exchanged: &[u8]) -> bool {
        hmac(&self.server)
            .chain_update(exchanged)
            .verify_slice(signature)
            .is_ok()
    }

    /// Parses the form of [`text`](Self::text). `None` where it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (iterations, rest) = text.split_once(':')?;
        let mut parts = rest.split(':').map(|part| STANDARD.decode(part).ok());
        let mut next = || parts.next().flatten();
        let keys = Self {
            iterations: iterations
                .parse()
                .ok()
                .filter(|iterations| *iterations > 0)?,
            salt: next()?,
            client: next()?.try_into().ok()?,
            server: next()?.try_into().ok()?,
        };
        parts.next().is_none().then_some(keys)
    }

    /// Formats the keys as `ITERATIONS:SALT:CLIENT:SERVER`, all but the first in Base64.
    pub(crate) fn text(&self) -> SecretString {
        let [salt, client, server] =
            [&self.salt[..], &self.client, &self.server].map(|part| STANDARD.encode(part));
        format!("{}:{salt}:{client}:{server}", self.iterations).into()
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKeys").finish_non_exhaustive()
    }
}

/// Salts a password: PBKDF2 with HMAC-SHA-256 and one block of output (RFC 8018, section 5.2).
///
/// Each iteration hashes 32 bytes under the same key. The two blocks of an HMAC that depend on the
/// key alone are hashed once, and the others have a fixed layout. A general library is as fast
/// only in a build that optimises all of it for speed, not in a debug build or one for size.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    let mut key = [0; BLOCK_BYTES];
    match password.len() {
        0..=BLOCK_BYTES => key[..password.len()].copy_from_slice(password),
        _ => key[..KEY_BYTES].copy_from_slice(&Sha256::digest(password)),
    }
    let inner = compress(&INITIAL, &key.map(|byte| byte ^ 0x36));
    let outer = compress(&INITIAL, &key.map(|byte| byte ^ 0x5c));
    // The first iteration hashes the salt, which has any length.
    let first = hmac(password).chain_update(salt).chain_update([0, 0, 0, 1]);
    let mut round: Key = first.finalize().into_bytes().into();
    let mut all = round;
    let mut block = [0; BLOCK_BYTES];
    block[KEY_BYTES] = 0x80;
    let bits = (BLOCK_BYTES + KEY_BYTES) as u64 * 8;
    block[BLOCK_BYTES - 8..].copy_from_slice(&bits.to_be_bytes());
    for _ in 1..iterations {
        for state in [&inner, &outer] {
            block[..KEY_BYTES].copy_from_slice(&round);
            round = bytes(&compress(state, &block));
        }
        all.iter_mut().zip(round).for_each(|(all, one)| *all ^= one);
    }
    all
}

/// Applies the compression function of SHA-256 to a state and the next block.
fn compress(state: &[u32; 8], block: &[u8; BLOCK_BYTES]) -> [u32; 8] {
    let mut state = *state;
    compress256(&mut state, std::slice::from_ref(block));
    state
}

fn bytes(state: &[u32; 8]) -> Key {
    let mut bytes = Key::default();
    let words = bytes.as_chunks_mut::<4>().0.iter_mut();
    words
        .zip(state)
        .for_each(|(bytes, word)| *bytes = word.to_be_bytes());
    bytes
}

fn authenticate(key: &[u8], message: &[u8]) -> Key {
    hmac(key)
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

type Key = [u8; KEY_BYTES];

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;

/// Initial state of SHA-256 (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use secrecy::ExposeSecret as _;

    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn proofs_are_those_of_the_rfc() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::derive(b"pencil", &salt, 4096);
        let exchanged = b"n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        assert_eq!(
            STANDARD.encode(keys.proof(exchanged)),
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let signature = STANDARD.decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let mut signature = signature.unwrap();
        assert!(keys.is_valid_signature(&signature, exchanged));
        assert!(!keys.is_valid_signature(&signature[..31], exchanged));
        signature[0] ^= 1;
        assert!(!keys.is_valid_signature(&signature, exchanged));
    }

    /// PBKDF2 as RFC 8018 writes it, HMAC by HMAC.
    fn plainly_salted(password: &[u8], salt: &[u8], iterations: u32) -> Key {
        let mut message = [salt, &[0, 0, 0, 1]].concat();
        let mut all = Key::default();
        for _ in 0..iterations {
            let round = authenticate(password, &message);
            all.iter_mut().zip(round).for_each(|(all, one)| *all ^= one);
            message = round.to_vec();
        }
        all
    }

    proptest::proptest! {
        #[test]
        fn iterations_are_those_of_pbkdf2(password in vec(0_u8.., 0..200), salt: Vec<u8>, iterations in 1_u32..9) {
            let expected = plainly_salted(&password, &salt, iterations);
            assert_eq!(salted(&password, &salt, iterations), expected);
        }
    }

    #[test]
    fn keys_survive_the_round_trip_through_text_and_are_not_shown() {
        let keys = ScramKeys::derive(b"pw", b"salt", 3);
        let text = keys.text();
        let text = text.expose_secret();
        assert!(text.starts_with("3:c2FsdA==:"));
        assert!(ScramKeys::parse(text) == Some(keys.clone()));
        assert_eq!(format!("{keys:?}"), "ScramKeys { .. }");
        let (iterations, rest) = text.split_once(':').unwrap();
        for wrong in [
            "",
            "3",
            rest,
            &text[..text.len() - 1],
            &format!("0:{rest}"),
            &format!("-{iterations}:{rest}"),
            &format!("{text}:"),
            &format!("{iterations}:{}", rest.replace("c2FsdA", "*")),
            &text[..text.rfind(':').unwrap()],
        ] {
            assert!(ScramKeys::parse(wrong).is_none(), "{wrong}");
        }
    }
}
