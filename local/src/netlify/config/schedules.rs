//! The blocks `[functions."name"]` of netlify.toml, of which the local site reads the schedule.

use toml::Value;

use super::{SiteConfig, TOML};
use crate::netlify::schedule::Schedule;

/// Reads the schedules into the configuration, and puts the other keys of these blocks into the list of
/// those that are ignored.
pub(super) fn parse_schedules(text: &str, config: &mut SiteConfig, ignored: &mut Vec<String>) {
    let Ok(mut file) = text.parse::<toml::Table>() else {
        return;
    };
    let Some(Value::Table(functions)) = file.remove("functions") else {
        return;
    };
    for (name, block) in functions {
        let Value::Table(block) = block else {
            continue;
        };
        let block_key = format!("functions.{name}");
        ignored.retain(|key| *key != block_key);
        for (key, value) in block {
            let key = format!("{block_key}.{key}");
            match value {
                Value::String(expression) if key.ends_with(".schedule") => {
                    match Schedule::parse(&expression) {
                        Ok(schedule) => {
                            config.schedules.insert(name.clone(), schedule);
                        }
                        Err(reason) => {
                            config.warn(TOML, format_args!("{key} is ignored: {reason}"));
                        }
                    }
                }
                _ => ignored.push(key),
            }
        }
    }
}
