//! How OpenSSL is built for an artifact: with the parts that a client of TLS has use for.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

/// Writes the program that configures OpenSSL into a folder. `None` where one is chosen.
///
/// The crate that has OpenSSL's source passes no options of others on, but lets them choose
/// the perl that configures it (`OPENSSL_SRC_PERL`, openssl-src 300). So that is a script that
/// adds options. Who has chosen one already gets OpenSSL whole.
pub(super) fn perl_wrapper(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    if env::var_os(PERL).is_some() {
        return Ok(None);
    }
    let script = folder.join("stagelink-perl");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&script, perl_script(&DISABLED_FEATURES, &COMPILER_FLAGS)))
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("could not write {}", script.display()))?;
    Ok(Some(script))
}

/// What is compiled beside it. It says how OpenSSL is built, so that both are made anew when
/// that changes.
pub(super) fn extra_source() -> String {
    let options = perl_script(&DISABLED_FEATURES, &COMPILER_FLAGS);
    let option = options.lines().last().unwrap_or_default();
    format!("/* {option} */\n{}", include_str!("openssl.c"))
}

/// The functions that are called by way of those in `openssl.c`.
pub(super) const WRAPPED_FUNCTIONS: [&str; 3] = [
    "ERR_lib_error_string",
    "ERR_reason_error_string",
    "ossl_fnv1a_hash",
];

/// Has cargo build OpenSSL in that way, and the same everywhere.
pub(super) fn configure(cargo: &mut Command, perl_wrapper: Option<&Path>) {
    // It would undo that.
    cargo.env_remove("OPENSSL_NO_VENDOR");
    // OpenSSL holds the folders of its modules, of which there are none, and says when it was
    // built.
    cargo.env(
        "GNUMAKEFLAGS",
        "ENGINESDIR=/nonexistent MODULESDIR=/nonexistent",
    );
    if env::var_os("SOURCE_DATE_EPOCH").is_none() {
        cargo.env("SOURCE_DATE_EPOCH", "0");
    }
    if let Some(script) = perl_wrapper {
        cargo.env(PERL, script);
    }
}

fn perl_script(disabled: &[&str], flags: &[&str]) -> String {
    let options = disabled.iter().map(|part| format!(" no-{part}"));
    let flags = flags.iter().map(|flag| format!(" {flag}"));
    let all: String = options.chain(flags).collect();
    format!("#!/bin/sh\nexec \"${{PERL:-perl}}\" \"$@\"{all}\n")
}

const PERL: &str = "OPENSSL_SRC_PERL";

/// What is not used by TLS 1.2 and 1.3 as a client speaks them over TCP, nor in certificates
/// that public authorities or databases have. Names are those of OpenSSL's `INSTALL.md`.
const DISABLED_FEATURES: [&str; 62] = [
    // Other protocols, and what is left of older ones in TLS.
    "cmp",
    "cms",
    "ct",
    "dgram",
    "dtls",
    "nextprotoneg",
    "ocsp",
    "psk",
    "quic",
    "rfc3779",
    "srp",
    "srtp",
    "ssl-trace",
    "http",
    "tls-deprecated-ec",
    "tls1",
    "tls1_1",
    "ts",
    // Post-quantum keys, which no Postgres offers yet (18 has X25519 and P-256).
    "lms",
    "ml-dsa",
    "ml-kem",
    "slh-dsa",
    // Algorithms of other times and places.
    "argon2",
    "aria",
    "bf",
    "blake2",
    "cast",
    "cmac",
    "des",
    "dh",
    "dsa",
    "ec2m",
    "gost",
    "md4",
    "mdc2",
    "ocb",
    "rc2",
    "rc4",
    "rmd160",
    "scrypt",
    "siphash",
    "siv",
    "sm2",
    "sm3",
    "sm4",
    "whirlpool",
    // What is loaded at run time, or hardware's.
    "afalgeng",
    "engine",
    "dso",
    "padlockeng",
    "uplink",
    // What is done ahead of time (see `openssl.c`), and what is read from the image.
    "autoalginit",
    "autoload-config",
    // What is beside the library, or around it.
    "apps",
    "docs",
    "async",
    "default-thread-pool",
    "filenames",
    "multiblock",
    "sslkeylog",
    "thread-pool",
    "ui-console",
];

/// Fast, but not at any price: for size, a start took 0.4 million instructions more and the zip
/// of a function 0.1 MB less. Nothing unwinds through it, so the tables for that go.
const COMPILER_FLAGS: [&str; 3] = [
    "-O2",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_adds_its_options_behind_those_of_others() {
        assert_eq!(
            perl_script(&["quic", "sm2"], &["-Os"]),
            "#!/bin/sh\nexec \"${PERL:-perl}\" \"$@\" no-quic no-sm2 -Os\n"
        );
    }
}
