//! Safe forms in a statement's own names: the files to write in place of it.

mod column;
mod constraint;
mod index;
mod name;

use std::fmt;

use squawk_syntax::SyntaxNode;

use super::draft::{Draft, range_of};

pub(super) use self::column::{with_constraint, with_default, with_serial};
pub(super) use self::constraint::{domain, enforced, not_null, not_valid, primary_key, unique};
pub(super) use self::index::{concurrent_index, concurrent_reindex, drop_index, refresh};

/// The form in which the work of a statement is safe.
#[derive(Clone, Debug, Default)]
pub(super) struct SafeForm {
    words: String,
    files: Vec<SafeFile>,
}

/// A file of a safe form.
#[derive(Clone, Debug)]
pub(super) struct SafeFile {
    /// The statements, without semicolons.
    statements: Vec<String>,
    /// What a person has to know of the file, or to do after it.
    remark: &'static str,
}

/// The remark on a statement that Postgres refuses in a transaction.
const ALONE: &str = "alone in its file";

/// Returns the text of a node, with blanks for comments.
fn text_of(draft: &Draft<'_>, node: &SyntaxNode) -> String {
    let text = draft.statement.without_comments();
    text.get(range_of(node))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

impl SafeForm {
    /// Returns the statements of each file, in the order in which they are applied.
    pub(super) fn files(&self) -> Vec<Vec<String>> {
        let files = self.files.iter();
        files.map(|file| file.statements.clone()).collect()
    }

    fn of(files: Vec<SafeFile>) -> Self {
        Self {
            words: String::new(),
            files,
        }
    }
}

impl SafeFile {
    fn new(statements: impl IntoIterator<Item = String>) -> Self {
        Self {
            statements: statements.into_iter().collect(),
            remark: "",
        }
    }

    fn alone(statement: String) -> Self {
        Self::new([statement]).with_remark(ALONE)
    }

    fn with_remark(self, remark: &'static str) -> Self {
        Self { remark, ..self }
    }
}

impl From<String> for SafeForm {
    fn from(words: String) -> Self {
        Self {
            words,
            files: Vec::new(),
        }
    }
}

impl fmt::Display for SafeForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        for (number, file) in self.files.iter().enumerate() {
            if number > 0 {
                let remark = self.files[number - 1].remark;
                let between = if remark.is_empty() { "" } else { "; " };
                write!(f, " -- {remark}{between}in a later file: ")?;
            }
            write!(f, "{};", file.statements.join("; "))?;
        }
        match self.files.last() {
            Some(last) if !last.remark.is_empty() => write!(f, " -- {}", last.remark),
            _ => Ok(()),
        }
    }
}
