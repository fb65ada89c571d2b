//! The list of the migrations that an artifact was built with, and its form in the program.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::migrations::class::{Class, Refusal, TargetFacts, judge_files};
use crate::migrations::statement::split_statements;
use crate::migrations::{MigrationFile, MigrationFolder};
use crate::needs::listed_migration::ListedMigration;
use crate::needs::section::{read_section, write_section};

/// The migrations that an artifact was built with, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationList {
    migrations: Vec<ListedMigration>,
}

impl MigrationList {
    /// Lists the migrations of a folder. Their classes are judged without a database.
    pub fn of(folder: &MigrationFolder) -> Self {
        let files = folder.files();
        let split: Vec<_> = files
            .iter()
            .map(|file| split_statements(file.sql()).ok())
            .collect();
        let statements: Vec<_> = split
            .iter()
            .map(|statements| statements.as_deref().unwrap_or_default())
            .collect();
        let judged = judge_files(&statements, &TargetFacts::default());
        let class = |index: usize| {
            let is_mixed = |refusal: &Refusal| matches!(refusal, Refusal::Mixed(_));
            match (split.get(index), judged.get(index)) {
                (Some(Some(_)), Some(judged)) if !judged.refusals.iter().any(is_mixed) => {
                    judged.class
                }
                // It has statements that cannot be told apart, or of both classes.
                _ => Class::Ask,
            }
        };
        let listed =
            |(index, file): (usize, &MigrationFile)| ListedMigration::new(file, class(index));
        Self {
            migrations: files.iter().enumerate().map(listed).collect(),
        }
    }

    /// Reads the list of a program. `None` is a program without one, as other means than `stagelink
    /// build` make it: what it needs is unknown.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it is not an ELF file of 64 bits, or its list cannot be read.
    pub fn read_from(program: &[u8]) -> Result<Option<Self>, Error> {
        let read = read_section(program).and_then(|section| section.map(Self::decode).transpose());
        read.map_err(|reason| {
            Error::new(
                ErrorKind::Settings,
                format!("could not read the migrations that the program was built with: {reason}"),
            )
        })
    }

    /// Returns the program with this list, in the place of one that it has.
    ///
    /// The loaded sections keep their bytes and their place. The same program and list always give
    /// the same result.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when it is not an ELF file that can be written anew, or the list is
    /// longer than a program may have.
    pub fn write_into(&self, program: &[u8]) -> Result<Vec<u8>, Error> {
        self.encode()
            .and_then(|section| write_section(program, &section))
            .map_err(|reason| {
                Error::new(
                    ErrorKind::Settings,
                    format!("could not write the migrations into the program: {reason}"),
                )
            })
    }

    /// Returns the migrations, in the order of their numbers.
    pub fn migrations(&self) -> &[ListedMigration] {
        &self.migrations
    }

    fn encode(&self) -> Result<Vec<u8>, String> {
        let document = Document {
            format: FORMAT,
            migrations: self.migrations.clone(),
        };
        let text = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
        match text.len() > LONGEST {
            true => Err(format!("the list has more than {LONGEST} bytes")),
            false => Ok(text),
        }
    }

    fn decode(section: &[u8]) -> Result<Self, String> {
        if section.len() > LONGEST {
            return Err(format!("the list has more than {LONGEST} bytes"));
        }
        let head: Head = serde_json::from_slice(section)
            .map_err(|error| format!("the list is not JSON of the known form: {error}"))?;
        if head.format != FORMAT {
            return Err(format!(
                "the list has format {}, and this stagelink knows format {FORMAT}: use the \
                 version that built the program",
                head.format
            ));
        }
        let Document { migrations, .. } = serde_json::from_slice(section)
            .map_err(|error| format!("the list is not JSON of the known form: {error}"))?;
        for migration in &migrations {
            migration
                .validate()
                .map_err(|reason| format!("the list has {reason}"))?;
        }
        if !migrations.is_sorted_by(|one, next| one.version < next.version) {
            return Err("the list is not in the order of its numbers".to_owned());
        }
        Ok(Self { migrations })
    }
}

impl FromIterator<ListedMigration> for MigrationList {
    /// Makes a list of migrations. Of several with one number the first stays.
    fn from_iter<I: IntoIterator<Item = ListedMigration>>(migrations: I) -> Self {
        let mut migrations: Vec<_> = migrations.into_iter().collect();
        migrations.sort_by_key(|migration| migration.version);
        migrations.dedup_by_key(|migration| migration.version);
        Self { migrations }
    }
}

/// The text in the program.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    migrations: Vec<ListedMigration>,
}

/// The part of the text that every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

const FORMAT: u32 = 1;

/// The longest list in bytes: about 20,000 migrations.
const LONGEST: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::migrations::VersionType;

    fn folder(files: &[(&str, &str)]) -> MigrationFolder {
        let folder = tempfile::tempdir().unwrap();
        for (name, sql) in files {
            std::fs::write(folder.path().join(name), sql).unwrap();
        }
        MigrationFolder::read(folder.path()).unwrap()
    }

    #[test]
    fn list_has_names_classes_and_sums() {
        let folder = folder(&[
            (
                "V1__notes.sql",
                "CREATE TABLE notes (id int8 PRIMARY KEY, a int);\n",
            ),
            ("V2__drop.sql", "ALTER TABLE notes DROP COLUMN a;"),
            ("V3__index.sql", "CREATE INDEX ON notes (id);"),
            ("V4__block.sql", "DO $$ BEGIN END $$;"),
            (
                "V5__mixed.sql",
                "ALTER TABLE notes ADD b int; ALTER TABLE notes DROP COLUMN id;",
            ),
            ("V6__broken.sql", "SELECT 'no end"),
            ("V20261127090416__late.sql", "CREATE TABLE late ();"),
        ]);
        let list = MigrationList::of(&folder);
        let classes: Vec<_> = list
            .migrations()
            .iter()
            .map(|migration| {
                (
                    migration.to_string(),
                    migration.class,
                    migration.is_needed(),
                )
            })
            .collect();
        let expected = [
            ("V1__notes", Class::Before, true),
            ("V2__drop", Class::After, false),
            ("V3__index", Class::Stop, true),
            ("V4__block", Class::Ask, true),
            ("V5__mixed", Class::Ask, true),
            ("V6__broken", Class::Ask, true),
            ("V20261127090416__late", Class::Before, true),
        ];
        let expected = expected.map(|(name, class, is_needed)| (name.to_owned(), class, is_needed));
        assert_eq!(classes, expected);
        let [first, .., last] = list.migrations() else {
            panic!("several");
        };
        let sums = VersionType::ALL.map(|width| folder.files()[0].checksum(width).to_string());
        assert_eq!(first.checksums, sums);
        assert_eq!(last.checksums.len(), 1, "its number does not fit in int4");
        assert_eq!(
            first.sha256,
            "1334c234d2f69150b1a6672b816b599a611f7bb431c1b507c3de914ee4f9cc81"
        );
    }

    #[test]
    fn list_reads_back_as_it_was() {
        let list = MigrationList::of(&folder(&[
            ("V1__a.sql", "CREATE TABLE a ();"),
            ("V2__b.sql", "DROP TABLE a;"),
        ]));
        for list in [list, MigrationList::default()] {
            assert_eq!(MigrationList::decode(&list.encode().unwrap()), Ok(list));
        }
    }

    #[test]
    fn text_that_is_no_list_is_refused_with_its_reason() {
        let list = MigrationList::of(&folder(&[
            ("V1__a.sql", "CREATE TABLE a ();"),
            ("V2__b.sql", "DROP TABLE a;"),
        ]));
        let text = String::from_utf8(list.encode().unwrap()).unwrap();
        let sum = &list.migrations()[0].checksums[0];
        for (text, reason) in [
            (String::new(), "not JSON"),
            ("{}".to_owned(), "missing field `format`"),
            (text[..text.len() - 1].to_owned(), "not JSON"),
            (text.replace("\"format\":1", "\"format\":2"), "format 2"),
            (text.replace("before", "soon"), "unknown class"),
            (text.replace("\"version\":2", "\"version\":1"), "the order"),
            (text.replace("\"version\":1", "\"version\":-1"), "negative"),
            (text.replace("\"version\":1", "\"version\":1e3"), "not JSON"),
            (text.replace("\"a\"", "\"\""), "empty"),
            (text.replace("\"a\"", "\"a\\n\""), "control character"),
            (
                text.replace("\"a\"", &format!("{:?}", "a".repeat(256))),
                "too long",
            ),
            (text.replace(sum, "018"), "checksum"),
            (text.replace(sum, "99999999999999999999"), "checksum"),
            (text.replace("\"sha256\":\"", "\"sha256\":\"A"), "SHA-256"),
            ("[".repeat(100_000), "not JSON"),
            (" ".repeat(LONGEST + 1), "more than"),
        ] {
            let shown: String = text.chars().take(80).collect();
            let error = MigrationList::decode(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{shown}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = MigrationList::decode(&bytes);
            let _ = MigrationList::read_from(&bytes);
        }
    }
}
