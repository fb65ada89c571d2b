//! One migration: a file of SQL with a number and a name.

use std::fmt;
use std::hash::{Hash as _, Hasher as _};

use siphasher::sip::SipHasher13;

use crate::migrations::version_type::VersionType;

/// A migration: a file `V<number>__<name>.sql`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationFile {
    version: i64,
    name: String,
    path: String,
    sql: String,
}

impl MigrationFile {
    /// Makes a migration of its parts. `path` is the file's path within the folder.
    pub(crate) fn new(
        version: i64,
        name: impl Into<String>,
        path: impl Into<String>,
        sql: impl Into<String>,
    ) -> Self {
        Self {
            version,
            name: name.into(),
            path: path.into(),
            sql: sql.into(),
        }
    }

    /// Returns the number, by which migrations are ordered.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Returns the name, without number and extension.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the file's path within the folder of migrations.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the SQL.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Returns the checksum that refinery 0.10 records for this migration: SipHash-1-3 over name,
    /// number and SQL, where the number has the width of the history's column.
    pub fn checksum(&self, width: VersionType) -> u64 {
        self.checksum_of(&self.name, &self.sql, width)
    }

    /// Returns the checksum that the migration would have with another name.
    pub(super) fn checksum_as(&self, name: &str, width: VersionType) -> u64 {
        self.checksum_of(name, &self.sql, width)
    }

    /// Returns whether a checksum is that of the same text with other line endings, as Git makes
    /// them with `core.autocrlf`.
    pub(super) fn differs_in_line_endings(&self, checksum: &str) -> bool {
        let lf = self.sql.replace("\r\n", "\n");
        let crlf = lf.replace('\n', "\r\n");
        [lf, crlf].iter().any(|sql| {
            VersionType::ALL
                .iter()
                .any(|width| self.checksum_of(&self.name, sql, *width).to_string() == checksum)
        })
    }

    fn checksum_of(&self, name: &str, sql: &str, width: VersionType) -> u64 {
        let mut hasher = SipHasher13::new();
        name.hash(&mut hasher);
        match (width, i32::try_from(self.version)) {
            (VersionType::Int4, Ok(version)) => version.hash(&mut hasher),
            // A number that does not fit has no checksum of the other width.
            (VersionType::Int8 | VersionType::Int4, _) => self.version.hash(&mut hasher),
        }
        sql.hash(&mut hasher);
        hasher.finish()
    }
}

impl fmt::Display for MigrationFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.version, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The checksums are those that refinery-core 0.10.1 computes (`Migration::checksum`), without
    /// and with its feature `int8-versions`.
    #[test]
    fn checksum_is_the_one_of_refinery() {
        let long = "ALTER TABLE notes ADD mail text;\n";
        let cases = [
            (
                MigrationFile::new(
                    1,
                    "notes",
                    "",
                    "CREATE TABLE notes (id int8 PRIMARY KEY);\n",
                ),
                Some(17_273_961_580_192_014_046),
                16_849_784_269_489_533_648,
            ),
            (
                MigrationFile::new(2, "Größe", "", "SELECT 'é';\r\n"),
                Some(3_031_840_011_775_676_513),
                8_790_336_254_350_516_478,
            ),
            (
                MigrationFile::new(7, "a", "", ""),
                Some(5_005_093_678_864_677_106),
                12_391_308_464_468_743_410,
            ),
            (
                MigrationFile::new(i64::from(i32::MAX), "last", "", "SELECT 1"),
                Some(142_663_098_466_574_992),
                11_469_829_043_012_113_910,
            ),
            (
                MigrationFile::new(20_261_127_090_416, "add_mail", "", long),
                None,
                10_855_706_920_751_253_974,
            ),
        ];
        for (file, int4, int8) in cases {
            if let Some(int4) = int4 {
                assert_eq!(file.checksum(VersionType::Int4), int4, "{file} as int4");
            }
            assert_eq!(file.checksum(VersionType::Int8), int8, "{file} as int8");
        }
    }

    #[test]
    fn other_line_endings_are_told_apart_from_an_edit() {
        let unix = MigrationFile::new(1, "a", "", "SELECT 1;\nSELECT 2;\n");
        let dos = MigrationFile::new(1, "a", "", "SELECT 1;\r\nSELECT 2;\r\n");
        let other = MigrationFile::new(1, "a", "", "SELECT 1;\nSELECT 3;\n");
        let recorded = unix.checksum(VersionType::Int4).to_string();
        assert!(dos.differs_in_line_endings(&recorded));
        assert!(!other.differs_in_line_endings(&recorded));
        let recorded = dos.checksum(VersionType::Int4).to_string();
        assert!(unix.differs_in_line_endings(&recorded));
    }
}
