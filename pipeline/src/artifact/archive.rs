//! The zip of a function's program: one file, `bootstrap`, for AWS Lambda and for Netlify.

use std::io::{Cursor, Write as _};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::error::{Error, ErrorKind};

/// Returns the zip of a program. The same program always gives the same bytes.
///
/// # Errors
///
/// [`ErrorKind::Settings`] when the program is too large for a zip.
pub fn zip_program(program: &[u8]) -> Result<Vec<u8>, Error> {
    write(program).map_err(|error| {
        let message = "could not zip the program";
        Error::with_source(ErrorKind::Settings, message, error)
    })
}

fn write(program: &[u8]) -> Result<Vec<u8>, zip::result::ZipError> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        // 1980, the earliest time in a zip: the time of the build would change the bytes.
        .last_modified_time(DateTime::default())
        // Lambda runs it as another Unix user than the one that unpacks it.
        .unix_permissions(0o755);
    writer.start_file(BOOTSTRAP, options)?;
    writer.write_all(program)?;
    Ok(writer.finish()?.into_inner())
}

/// The file that the OS-only runtimes of AWS Lambda start.
pub const BOOTSTRAP: &str = "bootstrap";

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use zip::ZipArchive;

    use super::*;

    #[test]
    fn program_zipped_twice_gives_the_same_bytes() {
        let program: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(
            zip_program(&program).unwrap(),
            zip_program(&program).unwrap()
        );
    }

    #[test]
    fn zip_holds_the_program_as_bootstrap_executable_by_all_users() {
        let mut archive = ZipArchive::new(Cursor::new(zip_program(b"program").unwrap())).unwrap();
        assert_eq!(archive.len(), 1);
        let mut file = archive.by_index(0).unwrap();
        assert_eq!(file.name().unwrap(), BOOTSTRAP);
        assert_eq!(file.unix_mode().unwrap() & 0o777, 0o755);
        let mut contents = Vec::new();
        file.read_to_end(&mut contents).unwrap();
        assert_eq!(contents, b"program");
    }
}
