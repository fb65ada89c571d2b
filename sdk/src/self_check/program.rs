//! The program of this process: its digest, and the migrations that it was built with.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::self_check::elf::read_section;

/// The facts that a program's file has about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    /// SHA-256 of the file, in hexadecimal.
    pub(crate) sha256: Option<String>,
    /// The list of migrations, as `stagelink build` wrote it; `None` without one.
    pub(crate) migrations: Option<Value>,
}

impl Program {
    /// Reads the file of this process's program. It takes as long as a hash of the file does, so it
    /// is no work for a thread of the runtime's. A part that cannot be read is logged and left out.
    pub(crate) fn of_process() -> Self {
        match own_file() {
            Ok(mut file) => Self::read(&mut file),
            Err(error) => {
                tracing::warn!(%error, "a self-check could not open the program's own file");
                Self::default()
            }
        }
    }

    fn read(file: &mut (impl Read + Seek)) -> Self {
        let sha256 = digest(file).inspect_err(|error| {
            tracing::warn!(%error, "a self-check could not read the program's own file");
        });
        let migrations = migrations(file).inspect_err(|error| {
            tracing::warn!(
                %error,
                "a self-check could not read the migrations that the program was built with"
            );
        });
        Self {
            sha256: sha256.ok(),
            migrations: migrations.ok().flatten(),
        }
    }
}

/// Opens the file that this process runs, also after another one has taken its name.
fn own_file() -> io::Result<File> {
    let path = match cfg!(target_os = "linux") {
        true => PathBuf::from("/proc/self/exe"),
        false => std::env::current_exe()?,
    };
    File::open(path)
}

fn digest(file: &mut (impl Read + Seek)) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut digest = Sha256::new();
    let mut part = vec![0; 64 << 10];
    loop {
        match file.read(&mut part) {
            Ok(0) => return Ok(hex::encode(digest.finalize())),
            Ok(read) => digest.update(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn migrations(file: &mut (impl Read + Seek)) -> io::Result<Option<Value>> {
    let Some(section) = read_section(file, SECTION, LONGEST_BYTES)? else {
        return Ok(None);
    };
    let list: List = serde_json::from_slice(&section)?;
    match list.format {
        FORMAT => Ok(Some(list.migrations)),
        other => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("the list has format {other}, and this stagelink knows format {FORMAT}"),
        )),
    }
}

/// The text of the section, as the crate `stagelink-pipeline` writes it.
#[derive(Deserialize)]
struct List {
    format: u32,
    migrations: Value,
}

/// The section that `stagelink build` adds.
const SECTION: &str = ".stagelink.migrations";

const FORMAT: u32 = 1;

const LONGEST_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn digest_is_that_of_the_whole_file_from_its_beginning() {
        let file = vec![7; 200_000];
        let mut cursor = Cursor::new(&file);
        cursor.set_position(3);
        let program = Program::read(&mut cursor);
        assert_eq!(program.sha256, Some(hex::encode(Sha256::digest(&file))));
        assert_eq!(program.migrations, None);
    }

    #[test]
    fn program_of_a_test_has_a_digest_and_no_list() {
        let program = Program::of_process();
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(program.sha256, Some(hex::encode(Sha256::digest(file))));
        assert_eq!(program.migrations, None);
    }
}
