//! The rules of netlify.toml: its arrays of tables, each with the line where it begins.

use toml::de::DeTable;

use super::{Placed, SiteConfig, TOML};
use crate::netlify::rules::{
    HeaderBlock, RedirectRule, parse_header_table, parse_redirect_table, unknown_keys,
};

pub(super) fn parse_redirect_tables(
    text: &str,
    tables: Option<&toml::Value>,
    config: &mut SiteConfig,
) -> Vec<Placed<RedirectRule>> {
    let mut rules = Vec::new();
    for (place, table) in tables_of(text, "redirects", tables, config) {
        for key in unknown_keys(table) {
            config.warn(
                &place,
                format_args!("{key} is ignored: the local site does not support it"),
            );
        }
        match parse_redirect_table(table) {
            Ok(rule) => rules.push(Placed { place, rule }),
            Err(reason) => {
                config.warn(&place, format_args!("the redirect is ignored: {reason}"));
            }
        }
    }
    rules
}

pub(super) fn parse_header_tables(
    text: &str,
    tables: Option<&toml::Value>,
    config: &mut SiteConfig,
) -> Vec<Placed<HeaderBlock>> {
    let mut blocks = Vec::new();
    for (place, table) in tables_of(text, "headers", tables, config) {
        match parse_header_table(table) {
            Ok(block) => blocks.extend(block.map(|rule| Placed { place, rule })),
            Err(reason) => config.warn(
                &place,
                format_args!("the headers rule is ignored: {reason}"),
            ),
        }
    }
    blocks
}

/// Returns the tables of an array with their places.
fn tables_of<'a>(
    text: &str,
    key: &str,
    value: Option<&'a toml::Value>,
    config: &mut SiteConfig,
) -> Vec<(String, &'a toml::Value)> {
    let Some(value) = value else {
        return Vec::new();
    };
    let Some(tables) = value.as_array() else {
        config.warn(
            TOML,
            format_args!("{key} is ignored: it must be an array of tables, [[{key}]]"),
        );
        return Vec::new();
    };
    let lines = lines_of(text, key);
    let place = |index: usize| match lines.get(index) {
        Some(line) => format!("{TOML} line {line}"),
        None => TOML.to_owned(),
    };
    tables
        .iter()
        .enumerate()
        .map(|(index, table)| (place(index), table))
        .collect()
}

/// Returns the line of each element of an array.
fn lines_of(text: &str, key: &str) -> Vec<usize> {
    let Ok(table) = DeTable::parse(text) else {
        return Vec::new();
    };
    let array = table.get_ref().get(key);
    let elements = array.and_then(|array| array.get_ref().as_array());
    elements
        .into_iter()
        .flatten()
        .map(|element| line_at(text, element.span().start))
        .collect()
}

pub(super) fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
