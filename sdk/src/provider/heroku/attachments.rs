//! The advice for an app without the config var of its database: the attachments that it has.

/// Returns the message for an app that lacks the config var, where `others` are its config vars
/// that hold database URLs.
pub(super) fn missing(app: &str, config_var: &str, others: &[String]) -> String {
    let problem = format!("app {app} on Heroku has no config var {config_var}");
    let others: Vec<_> = others
        .iter()
        .map(String::as_str)
        .filter(|name| !name.ends_with("_CONNECTION_POOL_URL"))
        .take(MOST_SHOWN)
        .collect();
    if others.is_empty() {
        return format!(
            "{problem}: attach a database with `heroku addons:create heroku-postgresql`, or name \
             the right var in STAGELINK_CONFIG_VAR"
        );
    }
    let attachment = others
        .iter()
        .filter(|name| name.starts_with("HEROKU_POSTGRESQL_"))
        .find_map(|name| name.strip_suffix("_URL"))
        .filter(|_| config_var == "DATABASE_URL");
    let promote = attachment.map(|attachment| {
        format!(
            "make one the app's DATABASE_URL with `heroku pg:promote {attachment} --app {app}`, or "
        )
    });
    format!(
        "{problem}, but {}: {}name it in STAGELINK_CONFIG_VAR",
        others.join(", "),
        promote.unwrap_or_default()
    )
}

const MOST_SHOWN: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config_var: &str, others: &[&str]) -> String {
        let others: Vec<_> = others.iter().map(|&name| name.to_owned()).collect();
        missing("shop", config_var, &others)
    }

    #[test]
    fn attachments_that_are_there_are_named_before_a_new_database_is_bought() {
        let text = of("DATABASE_URL", &["HEROKU_POSTGRESQL_GREEN_URL"]);
        assert!(text.contains("but HEROKU_POSTGRESQL_GREEN_URL"), "{text}");
        let promote = "`heroku pg:promote HEROKU_POSTGRESQL_GREEN --app shop`";
        assert!(text.contains(promote), "{text}");
        assert!(text.contains("STAGELINK_CONFIG_VAR"), "{text}");
        assert!(!text.contains("addons:create"), "{text}");
    }

    #[test]
    fn config_var_that_is_no_attachment_is_only_named() {
        let text = of("DATABASE_URL", &["SHOP_URL"]);
        assert!(
            text.contains("but SHOP_URL") && !text.contains("promote"),
            "{text}"
        );
        let text = of("SHOP_URL", &["DATABASE_URL", "HEROKU_POSTGRESQL_GREEN_URL"]);
        assert!(!text.contains("promote"), "{text}");
    }

    #[test]
    fn app_without_any_database_is_told_how_to_attach_one() {
        for others in [&[][..], &["HEROKU_POSTGRESQL_GREEN_CONNECTION_POOL_URL"]] {
            let text = of("DATABASE_URL", others);
            assert!(text.contains("addons:create"), "{text}");
        }
    }
}
