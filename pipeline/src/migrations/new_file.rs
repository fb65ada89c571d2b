//! A new file of the folder, with the next number.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::error::{Error, ErrorKind};
use crate::migrations::file_name::{LARGEST_VERSION, as_name, composed, name_within};
use crate::migrations::folder::MigrationFolder;

impl MigrationFolder {
    /// Creates an empty migration with the number after the largest: the time, where the newest file
    /// has one as its number, or where `with_timestamp` asks for it. Returns its path. Of a name such
    /// as `V9__add_mail.sql` the number and the extension are left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Settings`] when the name has no letter or digit, no larger number is left, or the file
    /// cannot be written.
    pub fn create_file(&self, name: &str, with_timestamp: bool) -> Result<PathBuf, Error> {
        let name = as_name(&composed(&name_within(name).to_lowercase()));
        if name.is_empty() {
            return Err(Error::new(
                ErrorKind::Settings,
                "a migration's name needs a letter or a digit",
            ));
        }
        let next = self.next_version();
        let version = match with_timestamp || next > FIRST_TIMESTAMP {
            true => timestamp(SystemTime::now()).max(next),
            false => next,
        };
        if version > LARGEST_VERSION {
            return Err(Error::new(
                ErrorKind::Settings,
                format!(
                    "the newest migration has the largest number, {LARGEST_VERSION}: give it a smaller \
                     one, so that a new one can follow"
                ),
            ));
        }
        let path = self.path().join(format!("V{version}__{name}.sql"));
        let created = fs::create_dir_all(self.path()).and_then(|()| {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.write_all(TEMPLATE.as_bytes())
        });
        match created {
            Ok(()) => Ok(path),
            Err(error) => Err(Error::with_source(
                ErrorKind::Settings,
                format!("could not create {}", path.display()),
                error,
            )),
        }
    }
}

/// The text of a new file. Without a statement it is refused, so that it is not applied by mistake.
const TEMPLATE: &str = "-- One transaction. A statement that Postgres refuses in one, such as CREATE \
                        INDEX CONCURRENTLY,\n-- has a file of its own.\n\n";

/// Numbers from here on are times: the first second of the year 2000.
const FIRST_TIMESTAMP: i64 = 20_000_101_000_000;

/// Returns a time as `YYYYMMDDhhmmss`, in UTC.
fn timestamp(time: SystemTime) -> i64 {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = seconds.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
    let (year, month, day) = civil(seconds / 86_400);
    let second_of_day = seconds % 86_400;
    let (hour, minute, second) = (
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    );
    ((((year * 100 + month) * 100 + day) * 100 + hour) * 100 + minute) * 100 + second
}

/// Returns the year, month and day of a day since 1970, in the Gregorian calendar.
fn civil(mut days: i64) -> (i64, i64, i64) {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timestamp_is_the_time_in_utc() {
        for (seconds, expected) in [
            (0, 19_700_101_000_000),
            (951_827_696, 20_000_229_123_456),
            (1_735_689_599, 20_241_231_235_959),
            (1_795_770_256, 20_261_127_090_416),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(timestamp(time), expected, "{seconds}");
        }
    }

    #[test]
    fn new_file_has_the_next_number_and_no_statement() {
        let folder = tempfile::tempdir().unwrap();
        let create = |name: &str, timestamp| {
            let read = MigrationFolder::read(folder.path()).unwrap();
            let path = read.create_file(name, timestamp)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok::<_, Error>(name.into_owned())
        };
        assert_eq!(create("Add mail!", false).unwrap(), "V1__add_mail.sql");
        assert_eq!(create("add-index", false).unwrap(), "V2__add_index.sql");
        assert_eq!(create("x.sql", false).unwrap(), "V3__x.sql");
        assert_eq!(create("V9__y", false).unwrap(), "V4__y.sql");
        let last = folder.path().join("V9000000000000000000__z.sql");
        fs::write(&last, "").unwrap();
        for timestamp in [false, true] {
            let error = create("after_last", timestamp).unwrap_err();
            assert!(
                error.to_string().contains("has the largest number"),
                "{error}"
            );
        }
        fs::remove_file(last).unwrap();
        assert!(create("…", false).is_err());
        assert!(create("V9__.sql", false).is_err());
        let timed = create("timed", true).unwrap();
        assert!(timed.starts_with("V20") && timed.len() == 26, "{timed}");
        let next = create("next", false).unwrap();
        assert!(next.starts_with("V20"), "{next}");
    }
}
