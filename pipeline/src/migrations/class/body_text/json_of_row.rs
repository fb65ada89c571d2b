//! Rows that a body turns into JSON or hstore and keeps as such: audit logs, notifications, responses.
//!
//! One more key is what such code is written for. Code that takes the JSON apart is another matter.

use super::BodyText;

/// Functions that turn a row into one value with its columns by name.
const OF_ROW: [&str; 4] = ["hstore", "row_to_json", "to_json", "to_jsonb"];

/// Functions that take such a value, and keep it as it is.
const KEEP: [&str; 7] = [
    "coalesce",
    "json_agg",
    "json_build_object",
    "jsonb_agg",
    "jsonb_build_object",
    "jsonb_strip_nulls",
    "to_jsonb",
];

impl BodyText {
    /// Returns whether the row at this place is turned into such a value, which is stored, sent or returned.
    pub(super) fn is_kept_as_json(&self, at: usize) -> bool {
        let Some(function) = at.checked_sub(2) else {
            return false;
        };
        if !self.is_word(function, &OF_ROW) || !self.is_symbol(at - 1, "(") {
            return false;
        }
        let mut next = at + 1;
        if self.is_symbol(next, ",") && self.is_word(next + 1, &["false", "true"]) {
            next += 2;
        }
        if !self.is_symbol(next, ")") {
            return false;
        }
        next += 1;
        let is_cast = self.is_symbol(next, ":") && self.is_symbol(next + 1, ":");
        if is_cast && self.is_word(next + 2, &["json", "jsonb", "text"]) {
            next += 3;
        }
        self.is_end_of_value(next) && self.is_kept(function)
    }

    /// Returns whether a value ends before this place, or loses a key (`-`) or gets others (`||`) there. What
    /// takes it apart, such as `->>`, is none of these.
    fn is_end_of_value(&self, at: usize) -> bool {
        let ends = [",", ")", ";"].iter().any(|one| self.is_symbol(at, one));
        let loses = self.is_symbol(at, "-") && !self.is_symbol(at + 1, ">");
        let gets = self.is_symbol(at, "|") && self.is_symbol(at + 1, "|");
        let is_last = at >= self.words.len() || self.is_word(at, &["as", "from", "into"]);
        ends || loses || gets || is_last
    }

    /// Returns whether what is around a value keeps it: a row of `VALUES`, a notification, the result, or calls
    /// that keep it in turn.
    fn is_kept(&self, at: usize) -> bool {
        let mut depth = 0_usize;
        for at in (0..at).rev() {
            if self.is_symbol(at, ";") {
                return true;
            } else if self.is_symbol(at, ")") {
                depth += 1;
            } else if self.is_symbol(at, "(") {
                let Some(outer) = depth.checked_sub(1) else {
                    let is_last_place = self.is_before(at, &["pg_notify", "return", "values"]);
                    return is_last_place || (self.is_before(at, &KEEP) && self.is_kept(at - 1));
                };
                depth = outer;
            }
        }
        true
    }
}
