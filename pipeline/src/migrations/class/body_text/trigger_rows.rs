//! `NEW` and `OLD` in the body of a trigger: columns by their names, or the rows as wholes.

use super::{BodyText, RowUse};

impl BodyText {
    /// Returns the strongest use of `NEW` and `OLD` as wholes, but to return one of them.
    pub(in super::super) fn use_of_trigger_rows(&self) -> Option<RowUse> {
        let mut is_compared = false;
        let mut at = 0;
        while at < self.words.len() {
            if let Some(end) = self.comparison(at) {
                is_compared = true;
                at = end;
            } else if let Some(end) = self.returned(at) {
                at = end;
            } else if self.is_trigger_row(at) {
                let is_column = self.is_symbol(at + 1, ".") && self.name_at(at + 2).is_some();
                if self.is_kept_as_json(at) {
                    at += 1;
                    continue;
                }
                if !is_column {
                    return Some(RowUse::Whole(self.part(at)));
                }
                at += 3;
            } else {
                at += 1;
            }
        }
        is_compared.then_some(RowUse::Compared)
    }

    /// Returns the end of `RETURN NEW;` or `RETURN COALESCE(NEW, OLD);`.
    fn returned(&self, at: usize) -> Option<usize> {
        if !self.is_word(at, &["return"]) {
            return None;
        }
        let is_row = |at: usize| self.is_trigger_row(at);
        if is_row(at + 1) && self.is_symbol(at + 2, ";") {
            return Some(at + 3);
        }
        let is_either = self.is_word(at + 1, &["coalesce"])
            && self.is_symbol(at + 2, "(")
            && is_row(at + 3)
            && self.is_symbol(at + 4, ",")
            && is_row(at + 5)
            && self.is_symbol(at + 6, ")")
            && self.is_symbol(at + 7, ";");
        is_either.then_some(at + 8)
    }

    /// Returns the end of a comparison of two rows: `NEW IS DISTINCT FROM OLD`, `ROW(NEW.*) IS …`.
    fn comparison(&self, at: usize) -> Option<usize> {
        let mut at = self.row(at)?;
        if !self.is_word(at, &["is"]) {
            return None;
        }
        at += 1 + usize::from(self.is_word(at + 1, &["not"]));
        if !self.is_word(at, &["distinct"]) || !self.is_word(at + 1, &["from"]) {
            return None;
        }
        self.row(at + 2)
    }

    /// Returns the end of `NEW`, `NEW.*` or `ROW(NEW.*)`.
    fn row(&self, at: usize) -> Option<usize> {
        let is_constructor = self.is_word(at, &["row"]) && self.is_symbol(at + 1, "(");
        if is_constructor || self.is_symbol(at, "(") {
            let inner = self.row(at + 1 + usize::from(is_constructor))?;
            return self.is_symbol(inner, ")").then_some(inner + 1);
        }
        if !self.is_trigger_row(at) {
            return None;
        }
        if !self.is_symbol(at + 1, ".") {
            return Some(at + 1);
        }
        self.is_symbol(at + 2, "*").then_some(at + 3)
    }

    fn is_trigger_row(&self, at: usize) -> bool {
        self.is_word(at, &["new", "old"]) && self.qualifier(at).is_none()
    }
}
