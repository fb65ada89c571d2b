//! A statement that the driver has prepared, as the client's side keeps it.

use std::io;
use std::sync::Arc;

use super::messages::{malformed, text};
use crate::postgres::protocol::session_change::without_literals;

/// The driver's name of a statement.
pub(super) type Name = Arc<[u8]>;

/// A statement that the driver has prepared.
#[derive(Debug)]
pub(super) struct Statement {
    /// The text, with the zero byte at its end.
    text: Box<[u8]>,
    /// The types of the parameters, as Parse and ParameterDescription have them: a number, and so
    /// many oids. At first those of the driver's Parse, then those that the server described.
    parameters: Box<[u8]>,
    /// The columns of the result, once the server has described them.
    columns: Option<Arc<Columns>>,
    is_copy: bool,
    /// True if this is a COPY from the client, as far as its text tells.
    is_copy_in: bool,
}

/// The columns of a result: what the driver's decoding of rows relies on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) count: u16,
    /// The name and type of each, one after the other.
    names_and_types: Box<[u8]>,
}

impl Statement {
    /// Reads the body of a Parse behind the name.
    pub(super) fn read(body: &[u8]) -> io::Result<Self> {
        let mut parameters = body;
        let length = text(&mut parameters)
            .ok_or_else(|| malformed("a Parse"))?
            .len();
        let sql = without_literals(&String::from_utf8_lossy(&body[..length]));
        let sql = sql.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        let after = sql.strip_prefix("copy");
        let after = after.filter(|after| !after.starts_with(is_part_of_word));
        Ok(Self {
            is_copy: after.is_some(),
            is_copy_in: after.is_some_and(is_from_client),
            text: body[..=length].into(),
            parameters: parameters.into(),
            columns: None,
        })
    }

    /// The body of a Parse, behind the name, that makes the server understand the statement as it
    /// did when it described it. As with a prepared statement the types of the parameters stay,
    /// even where the text alone would lead to others by now: the driver encodes for these.
    pub(super) fn to_parse(&self) -> [&[u8]; 2] {
        [&self.text, &self.parameters]
    }

    /// Takes note of the types of the parameters, the body of a ParameterDescription.
    pub(super) fn record_parameters(&mut self, body: &[u8]) {
        self.parameters = body.into();
    }

    /// Takes note of the columns that the server described.
    pub(super) fn record_columns(&mut self, columns: Columns) {
        self.columns = Some(Arc::new(columns));
    }

    /// Returns whether this is a COPY.
    pub(super) fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// Returns whether this is a COPY from the client.
    pub(super) fn is_copy_in(&self) -> bool {
        self.is_copy_in
    }

    pub(super) fn columns(&self) -> Option<&Arc<Columns>> {
        self.columns.as_ref()
    }
}

impl Columns {
    /// The columns of a statement that returns no rows.
    pub(super) fn none() -> Self {
        Self {
            count: 0,
            names_and_types: Box::default(),
        }
    }

    /// Reads the body of a RowDescription.
    pub(super) fn read(body: &[u8]) -> io::Result<Self> {
        Self::parse(body).ok_or_else(|| malformed("a RowDescription"))
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (count, mut fields) = body.split_first_chunk()?;
        let count = u16::from_be_bytes(*count);
        let mut names_and_types = Vec::new();
        for _ in 0..count {
            names_and_types.extend_from_slice(text(&mut fields)?);
            names_and_types.push(0);
            let (numbers, rest) = fields.split_first_chunk::<FIELD_BYTES>()?;
            names_and_types.extend_from_slice(&numbers[TYPE_OID]);
            fields = rest;
        }
        let names_and_types = names_and_types.into_boxed_slice();
        fields.is_empty().then_some(Self {
            count,
            names_and_types,
        })
    }
}

/// Returns whether the rest of a COPY, without literals and comments, has `FROM STDIN` outside of
/// parentheses and quoted names. Postgres takes `FROM STDOUT` for the same.
fn is_from_client(copy: &str) -> bool {
    let (mut depth, mut is_quoted) = (0_usize, false);
    let mut outside = String::with_capacity(copy.len());
    for c in copy.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => continue,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_code = depth == 0 && !matches!(c, '"' | ')');
        outside.push(if is_code { c } else { ' ' });
    }
    let words = outside.split(|c| !is_part_of_word(c));
    let mut last = "";
    words.filter(|word| !word.is_empty()).any(|word| {
        let before = std::mem::replace(&mut last, word);
        before == "from" && matches!(word, "stdin" | "stdout")
    })
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// Bytes of a field behind its name: the oid of the table and number of the column, the oid of the
/// type, its length and modifier, and the format.
const FIELD_BYTES: usize = 18;
const TYPE_OID: std::ops::Range<usize> = 6..10;
