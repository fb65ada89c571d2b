//! The variables by which the local functions find the remote stage's database: by the relay.

use std::collections::BTreeMap;

use stagelink::{Pooler, ServerSettings, Stage, TlsLibrary};

/// Returns the variables of the functions. `app` is the name that the relay takes.
pub(super) fn of_functions(
    stage: Stage,
    app: &str,
    relay: &str,
    token: &str,
    server: &[(&'static str, String)],
) -> BTreeMap<String, String> {
    let stage = stage.to_string();
    let found = [
        ("STAGELINK_STAGE", &*stage),
        ("STAGELINK_PROVIDER", "heroku"),
        ("STAGELINK_HEROKU_APP", app),
        ("STAGELINK_HEROKU_API_URL", relay),
        ("HEROKU_API_KEY", token),
        ("STAGELINK_REQUIRE_MARK", "true"),
        // The relay asks the provider, connects, and proves the credential.
        ("STAGELINK_RESOLVE_TIMEOUT_MS", "20000"),
    ];
    let server = server.iter().map(|(name, value)| (*name, value.as_str()));
    let all = found.into_iter().chain(server);
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Returns the variables that demand of the server what these settings demand.
pub(super) fn of_server(server: &ServerSettings) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    if !server.pins.is_empty() {
        let pins: Vec<_> = server.pins.iter().map(ToString::to_string).collect();
        variables.push(("STAGELINK_SERVER_PIN", pins.join(";")));
    }
    if let Some(roots) = &server.roots {
        variables.push(("STAGELINK_ROOT_CERTIFICATES", roots.clone()));
    }
    if server.danger_unauthenticated {
        variables.push(("STAGELINK_DANGER_UNAUTHENTICATED", "true".to_owned()));
    }
    if server.tls_library == TlsLibrary::Native {
        variables.push(("STAGELINK_TLS_LIBRARY", "native-tls".to_owned()));
    }
    if server.pooler == Pooler::Never {
        variables.push(("STAGELINK_POOLER", "never".to_owned()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_connect_by_the_library_that_the_operator_chose() {
        let mut server = ServerSettings::default();
        assert_eq!(of_server(&server), []);
        server.tls_library = TlsLibrary::Native;
        let expected = [("STAGELINK_TLS_LIBRARY", "native-tls".to_owned())];
        assert_eq!(of_server(&server), expected);
    }
}
