//! The build of OpenSSL for an artifact: only the parts that a TLS client uses.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

/// Writes a wrapper of perl that adds options to OpenSSL's `Configure`, and returns its path.
///
/// The crate `openssl-src` has no way to pass options on, but it starts the perl that
/// `OPENSSL_SRC_PERL` names (openssl-src 300). Returns `None` where that is set already: OpenSSL
/// is then built with all its parts.
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

/// Returns the C source that is linked in with OpenSSL. Its first line contains OpenSSL's options,
/// so that cargo builds both again when an option changes.
pub(super) fn extra_source() -> String {
    let options = perl_script(&DISABLED_FEATURES, &COMPILER_FLAGS);
    let option = options.lines().last().unwrap_or_default();
    format!("/* {option} */\n{}", include_str!("openssl.c"))
}

/// The functions of OpenSSL that `openssl.c` wraps (the linker's option `--wrap`).
pub(super) const WRAPPED_FUNCTIONS: [&str; 11] = [
    "ERR_lib_error_string",
    "ERR_reason_error_string",
    "ossl_fnv1a_hash",
    // AES-GCM for processors with AVX-512, which is left out.
    "ossl_vaes_vpclmulqdq_capable",
    "ossl_aes_gcm_init_avx512",
    "ossl_aes_gcm_setiv_avx512",
    "ossl_aes_gcm_update_aad_avx512",
    "ossl_aes_gcm_encrypt_avx512",
    "ossl_aes_gcm_decrypt_avx512",
    "ossl_aes_gcm_finalize_avx512",
    "ossl_gcm_gmult_avx512",
];

/// Adds the variables to a run of cargo by which it builds OpenSSL with these options, and with
/// the same bytes on all machines.
pub(super) fn configure(cargo: &mut Command, perl_wrapper: Option<&Path>) {
    // It would link the machine's own OpenSSL.
    cargo.env_remove("OPENSSL_NO_VENDOR");
    // OpenSSL contains the paths of its module folders, which an artifact does not have, and the
    // time of its build.
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

/// The features of OpenSSL that a client of TLS 1.2 and 1.3 over TCP does not use, and that the
/// certificates of public authorities and databases do not need. Names as in its `INSTALL.md`.
const DISABLED_FEATURES: [&str; 62] = [
    // Other protocols, and older versions and extensions of TLS.
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
    // Post-quantum keys, which no version of Postgres offers yet (18 has X25519 and P-256).
    "lms",
    "ml-dsa",
    "ml-kem",
    "slh-dsa",
    // Outdated and regional algorithms.
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
    // Modules loaded at run time, and hardware engines.
    "afalgeng",
    "engine",
    "dso",
    "padlockeng",
    "uplink",
    // Initialisation that `openssl.c` replaces, and configuration files of the image.
    "autoalginit",
    "autoload-config",
    // Programs, documentation, threads and user interfaces.
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

/// The C compiler's options. With `-Os` a start took 0.4 million instructions more, and the zip
/// was 0.1 MB smaller. No unwinding passes through OpenSSL, so it needs no unwind tables.
const COMPILER_FLAGS: [&str; 3] = [
    "-O2",
    "-fno-asynchronous-unwind-tables",
    "-fno-unwind-tables",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_appends_its_options() {
        assert_eq!(
            perl_script(&["quic", "sm2"], &["-Os"]),
            "#!/bin/sh\nexec \"${PERL:-perl}\" \"$@\" no-quic no-sm2 -Os\n"
        );
    }
}
