//! The TLS library of a run of the tests, by `STAGELINK_TLS_LIBRARY` of its environment.

/// Name of the variable, for the tests and for the functions that they start.
pub const TLS_LIBRARY: &str = "STAGELINK_TLS_LIBRARY";

/// Returns the library by which this run's functions and the SDK in its own process connect:
/// `rustls` unless the environment names the other, `native-tls`.
pub fn tls_library() -> String {
    std::env::var(TLS_LIBRARY).unwrap_or_else(|_| "rustls".to_owned())
}

/// Returns whether functions have to be built with the SDK's feature `native-tls`.
pub(crate) fn is_native() -> bool {
    tls_library() == "native-tls"
}
