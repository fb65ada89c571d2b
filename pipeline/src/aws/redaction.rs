//! Texts of AWS's without the secrets that they may repeat.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// Secrets that no message may show, in each form in which the AWS CLI may repeat them.
#[derive(Clone, Default)]
pub(super) struct Redaction {
    /// The longest first, so that no part of one is left.
    forms: Vec<SecretString>,
}

impl Redaction {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let mut redaction = Self::default();
        redaction.add(secrets);
        redaction
    }

    /// Adds secrets. One of fewer than four characters would remove too much of a text, and is none.
    pub(super) fn add<'a>(&mut self, secrets: impl IntoIterator<Item = &'a SecretString>) {
        for secret in secrets {
            let value = secret.expose_secret();
            if value.chars().count() < SHORTEST {
                continue;
            }
            let json = serde_json::Value::from(value).to_string();
            let json = json.trim_matches('"').to_owned();
            // As Python writes a text.
            let doubled = value.replace('\\', "\\\\");
            let quoted = doubled.replace('\'', "\\'");
            let forms = [value.to_owned(), json, doubled, quoted];
            self.forms.extend(forms.map(SecretString::from));
        }
        self.forms
            .sort_by_key(|form| std::cmp::Reverse(form.expose_secret().len()));
    }

    /// Returns a text as one short line, without the secrets and without the queries of URLs, which
    /// hold signatures.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            text = text.replace(form.expose_secret(), "…");
        }
        let words = text
            .split_whitespace()
            .map(|word| match word.contains("://") {
                true => word.split('?').next().unwrap_or_default(),
                false => word,
            });
        let line = words.collect::<Vec<_>>().join(" ");
        let mut signs = line.chars().filter(|c| !c.is_control());
        let mut shown: String = signs.by_ref().take(LONGEST).collect();
        if signs.next().is_some() {
            shown.push('…');
        }
        shown
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

const SHORTEST: usize = 4;
const LONGEST: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_removed_in_each_form_in_which_it_may_be_repeated() {
        let secret = "c4n4ry:\"\\@'h\"\npart";
        let redaction = Redaction::new([&SecretString::from(secret), &"abc".into()]);
        let json = serde_json::to_string(secret).unwrap();
        for text in [
            format!("value {secret} is wrong"),
            format!("{{\"A\":{json}}}"),
            format!(
                "value: {}",
                secret.replace('\\', "\\\\").replace('\'', "\\'")
            ),
        ] {
            let shown = redaction.apply(&text);
            assert!(!shown.contains("c4n4ry") && shown.contains('…'), "{shown}");
        }
        assert_eq!(redaction.apply("abc\n  d\u{7}"), "abc d");
        let url = "see https://h/p?X-Amz-Signature=c4n4ry now";
        assert_eq!(redaction.apply(url), "see https://h/p now");
        assert!(!format!("{redaction:?}").contains("c4n4ry"));
        assert!(redaction.apply(&"x".repeat(2_000)).chars().count() <= LONGEST + 1);
    }
}
