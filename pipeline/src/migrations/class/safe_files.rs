//! The files to write in place of a statement.

use std::fmt;

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
    pub(super) statements: Vec<String>,
    /// A note about the file, or about the work of a person after it.
    remark: &'static str,
}

/// The remark on a statement that Postgres refuses in a transaction.
pub(super) const ALONE: &str = "alone in its file";

impl SafeForm {
    /// Returns the statements of each file, in the order in which they are applied.
    pub(super) fn files(&self) -> Vec<Vec<String>> {
        let files = self.files.iter();
        files.map(|file| file.statements.clone()).collect()
    }

    pub(super) fn of(files: Vec<SafeFile>) -> Self {
        Self {
            words: String::new(),
            files,
        }
    }
}

impl SafeFile {
    pub(super) fn new(statements: impl IntoIterator<Item = String>) -> Self {
        Self {
            statements: statements.into_iter().collect(),
            remark: "",
        }
    }

    pub(super) fn alone(statement: String) -> Self {
        Self::new([statement]).with_remark(ALONE)
    }

    pub(super) fn with_remark(self, remark: &'static str) -> Self {
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
