//! One migration of an artifact's list: its name, its class, and the sums by which it is recognised.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::migrations::class::Class;
use crate::migrations::{MigrationFile, VersionType};

/// A migration that an artifact was built with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ListedMigration {
    /// The number.
    pub version: i64,
    /// The name, without number.
    pub name: String,
    /// The class, judged without a database. A file of statements of *before* and *after* is *ask*.
    #[serde(with = "class_name")]
    pub class: Class,
    /// The checksums that a history may have of it, as decimal numbers: one for each width of the
    /// history's numbers.
    pub checksums: Vec<String>,
    /// SHA-256 of the SQL, in hexadecimal.
    pub sha256: String,
}

impl ListedMigration {
    /// Makes an entry for a file of this class.
    pub(crate) fn new(file: &MigrationFile, class: Class) -> Self {
        let widths = VersionType::ALL.into_iter();
        let checksums = widths
            .filter(|width| width.holds(file.version()))
            .map(|width| file.checksum(width).to_string());
        Self {
            version: file.version(),
            name: file.name().to_owned(),
            class,
            checksums: checksums.collect(),
            sha256: hex::encode(Sha256::digest(file.sql())),
        }
    }

    /// Returns whether the artifact needs the migration to be applied. It runs before one of *after*
    /// is, and may use what any other makes.
    pub fn is_needed(&self) -> bool {
        self.class != Class::After
    }

    /// Returns whether a file has this number, name and text.
    pub(crate) fn is_of(&self, file: &MigrationFile) -> bool {
        self.version == file.version()
            && self.name == file.name()
            && self.sha256 == hex::encode(Sha256::digest(file.sql()))
    }

    /// Makes sure of what a program's text says, which may come from anywhere.
    ///
    /// # Errors
    ///
    /// The part that cannot be.
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        let is_checksum = |text: &String| {
            text.parse::<u64>()
                .is_ok_and(|sum| sum.to_string() == *text)
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if self.version < 0 {
            Err("a negative number")
        } else if self.name.is_empty() || self.name.chars().count() > LONGEST_NAME {
            Err("a name that is empty or too long")
        } else if self.name.contains(char::is_control) {
            Err("a control character in a name")
        } else if !(1..=2).contains(&self.checksums.len())
            || !self.checksums.iter().all(is_checksum)
        {
            Err("a checksum that is not one of refinery's")
        } else if self.sha256.len() != 64 || !self.sha256.bytes().all(is_hex) {
            Err("a SHA-256 that is not one")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for ListedMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.version, self.name)
    }
}

/// The longest name that the history's column takes, in characters.
const LONGEST_NAME: usize = 255;

/// The class by its name.
mod class_name {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::migrations::class::Class;

    pub(super) fn serialize<S: Serializer>(
        class: &Class,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(class.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Class, D::Error> {
        let name = String::deserialize(deserializer)?;
        Class::named(&name).ok_or_else(|| D::Error::custom("an unknown class"))
    }
}
