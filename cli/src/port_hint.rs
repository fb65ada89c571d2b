//! The hint to a port of `--local` that is written as an argument of its own.

/// Returns the end of a message about a stage of this name, where it is a number: that is meant for the
/// port of `--local`.
pub(crate) fn port_hint(named: &str) -> Option<String> {
    let port: u16 = named.trim().parse().ok()?;
    Some(format!(
        "; a port is written behind an equals sign: --local={port}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_port_is_hinted_at_and_no_other_name() {
        assert!(port_hint("9100").is_some_and(|hint| hint.ends_with("--local=9100")));
        assert_eq!(port_hint("99999"), None);
        assert_eq!(port_hint("qa"), None);
    }
}
