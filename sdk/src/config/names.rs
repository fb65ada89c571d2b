//! The names of stagelink's variables, and the search for misspelled ones.

use std::fmt;
use std::sync::Once;

use crate::config::edit_distance::edit_distance;
use crate::error::{Error, ErrorKind};

/// The variables of safety: each says whose database it is, what has to prove that, or whether
/// other clients share its sessions. With a misspelled one the function would go on with a default
/// that the operator did not choose.
pub(super) const OF_SAFETY: &[&str] = &[
    "STAGELINK_STAGE",
    "STAGELINK_CREDENTIALS",
    "STAGELINK_PROVIDER",
    "STAGELINK_HEROKU_PIPELINE",
    "STAGELINK_HEROKU_APP",
    "STAGELINK_HEROKU_PULL_REQUEST",
    "STAGELINK_HEROKU_API_URL",
    "STAGELINK_CONFIG_VAR",
    "STAGELINK_NEON_PROJECT",
    "STAGELINK_NEON_BRANCH",
    "STAGELINK_NEON_DATABASE",
    "STAGELINK_NEON_ROLE",
    "STAGELINK_NEON_API_URL",
    "STAGELINK_RENDER_POSTGRES",
    "STAGELINK_RENDER_API_URL",
    "STAGELINK_REQUIRE_MARK",
    "STAGELINK_SERVER_PIN",
    "STAGELINK_ROOT_CERTIFICATES",
    "STAGELINK_PROVIDER_ROOT_CERTIFICATES",
    "STAGELINK_DANGER_UNAUTHENTICATED",
    "STAGELINK_POOLER",
];

/// The other variables that the SDK reads: speed, sizes, time limits and the log.
const OF_PERFORMANCE: &[&str] = &[
    "STAGELINK_DIRECT_TLS",
    "STAGELINK_EARLY_SCRAM",
    "STAGELINK_TLS_LIBRARY",
    "STAGELINK_POOL_SIZE",
    "STAGELINK_IDLE_TIMEOUT_MS",
    "STAGELINK_RESOLVE_TIMEOUT_MS",
    "STAGELINK_CONNECT_TIMEOUT_MS",
    "STAGELINK_WAIT_TIMEOUT_MS",
    "STAGELINK_RETRY_TIMEOUT_MS",
    "STAGELINK_MAX_MESSAGE_BYTES",
    "STAGELINK_LOG_DETAIL",
];

/// The variables of commands, which a function reads and no operator sets by hand.
const OF_COMMANDS: &[&str] = &["STAGELINK_LOCAL_SPANS", "STAGELINK_SELF_CHECK_KEY"];

/// The former name of `STAGELINK_CREDENTIALS`, which has an error of its own.
const FORMER: &[&str] = &["STAGELINK_SEALED"];

/// The variables that the build, the command line, scripts and tests read. The environment of a
/// function may hold them.
const READ_ELSEWHERE: &[&str] = &[
    "STAGELINK_BUILT_FOR_PULL_REQUEST",
    "STAGELINK_CACHE",
    "STAGELINK_CLI_CHECK",
    "STAGELINK_COMMAND",
    "STAGELINK_POSTGRES",
    "STAGELINK_RULES_SEED",
    "STAGELINK_TEST_ARTIFACTS",
    "STAGELINK_TEST_CHILD_DATA",
    "STAGELINK_TEST_CHILD_SOURCE",
    "STAGELINK_TEST_IN_LOOPBACK",
    "STAGELINK_TEST_WITH_HOSTS",
];

/// Returns whether a function may have a variable of this name whatever database it has: one of the SDK's
/// for speed, sizes, time limits or the log.
pub fn is_performance_variable(name: &str) -> bool {
    OF_PERFORMANCE.contains(&name)
}

/// Returns whether the SDK reads a variable of exactly this name.
pub(super) fn is_read(name: &str) -> bool {
    let mut read = OF_SAFETY
        .iter()
        .chain(OF_PERFORMANCE)
        .chain(OF_COMMANDS)
        .chain(FORMER);
    read.any(|known| *known == name)
}

/// Makes sure that no variable of safety is misspelled, for a program that reads stagelink's
/// variables itself, such as a command of an operator. Variables that are set to nothing count as
/// not set. Warns of other unknown names of stagelink's, once per process.
///
/// [`Settings::from_env`](crate::Settings::from_env) and
/// [`Settings::from_vars`](crate::Settings::from_vars) make sure of it themselves.
///
/// # Errors
///
/// [`ErrorKind::Settings`] for names that are close to that of a variable of safety. The message
/// holds names and no values.
pub fn ensure_known_names<N: AsRef<str>, V: AsRef<str>>(
    vars: impl IntoIterator<Item = (N, V)>,
) -> Result<(), Error> {
    let set = vars
        .into_iter()
        .filter(|(_, value)| !value.as_ref().trim().is_empty());
    let names: Vec<N> = set.map(|(name, _)| name).collect();
    check(names.iter().map(AsRef::as_ref))
}

/// Returns the names of stagelink's among these variables that this version does not know, each with
/// the nearest known names, for a note of a program that reads or sets stagelink's variables. Those
/// that [`ensure_known_names`] refuses are not among them, nor are variables that are set to nothing.
pub fn unknown_names<N: AsRef<str>, V: AsRef<str>>(
    vars: impl IntoIterator<Item = (N, V)>,
) -> Vec<String> {
    let set = vars
        .into_iter()
        .filter(|(_, value)| !value.as_ref().trim().is_empty());
    let unknown = set.filter_map(|(name, _)| Unknown::new(name.as_ref()));
    let ignored = unknown.filter(|unknown| unknown.as_misspelling().is_none());
    ignored.map(|unknown| unknown.to_string()).collect()
}

/// Searches the names of the environment for unknown ones of stagelink's, which it would ignore.
/// Warns of them, once per process: a newer command line may set variables that this version does
/// not know.
///
/// # Errors
///
/// [`ErrorKind::Settings`] for names that are no further than [`MISSPELLED`] edits from a variable
/// of safety. The message holds names and no values.
pub(super) fn check<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let unknown: Vec<Unknown> = names.into_iter().filter_map(Unknown::new).collect();
    let misspelled: Vec<String> = unknown.iter().filter_map(Unknown::as_misspelling).collect();
    if !misspelled.is_empty() {
        return Err(Error::new(
            ErrorKind::Settings,
            format!(
                "misspelled variables would be ignored ({}): rename each, or remove it",
                misspelled.join(", ")
            ),
        ));
    }
    if !unknown.is_empty() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let listed: Vec<String> = unknown.iter().map(Unknown::to_string).collect();
            tracing::warn!(
                "variables that this version of stagelink does not know are ignored: {}",
                listed.join(", ")
            );
        });
    }
    Ok(())
}

/// A variable that looks like stagelink's, with the known names that are nearest to its own.
struct Unknown {
    /// As the environment has it.
    name: String,
    nearest: Vec<&'static str>,
    /// True if the nearest name is no further than [`MISSPELLED`] edits.
    is_close: bool,
}

impl Unknown {
    /// Returns `None` for a known variable, and for one that is not stagelink's.
    fn new(name: &str) -> Option<Self> {
        if is_known(name) {
            return None;
        }
        let spelled = normalized(name);
        if !may_be_own(&spelled) {
            return None;
        }
        let close = nearest(&spelled, MISSPELLED);
        if close.is_none() && !spelled.starts_with(PREFIX) {
            return None;
        }
        let nearest = match close {
            Some(close) => vec![close],
            None => match with_its_words(&spelled) {
                names if names.is_empty() => nearest(&spelled, DISTANT).into_iter().collect(),
                names => names,
            },
        };
        Some(Self {
            name: printable(name),
            nearest,
            is_close: close.is_some(),
        })
    }

    /// Describes it if it is close to a variable of safety.
    fn as_misspelling(&self) -> Option<String> {
        let nearest = self.nearest.first().filter(|_| self.is_close)?;
        let is_of_safety = OF_SAFETY.contains(nearest);
        is_of_safety.then(|| format!("{} is not {nearest}", self.name))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.nearest.as_slice() {
            [] => Ok(()),
            [nearest] => write!(f, " (the nearest known name is {nearest})"),
            nearest => write!(f, " (the nearest known names are {})", nearest.join(", ")),
        }
    }
}

fn is_known(name: &str) -> bool {
    is_read(name) || READ_ELSEWHERE.contains(&name) || is_of_a_stage(name)
}

/// Returns whether the printed commands of `stagelink link` may read a variable of this name: the
/// credentials of a stage, with the stage's name in capitals.
fn is_of_a_stage(name: &str) -> bool {
    let stage = name.strip_prefix("STAGELINK_CREDENTIALS_");
    stage.is_some_and(|stage| {
        let is_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        stage.starts_with(|c: char| c.is_ascii_uppercase()) && stage.chars().all(is_of_name)
    })
}

/// Returns false for a name that is certainly more than [`MISSPELLED`] edits from each of
/// stagelink's: as most of an environment are, whose distances a start need not compute.
///
/// An edit changes two neighbouring bytes at most, so two edits leave one of the five pieces of the
/// prefix whole, and move it by two bytes at most.
fn may_be_own(spelled: &str) -> bool {
    let head = spelled.as_bytes();
    let head = &head[..head.len().min(PREFIX.len() + MISSPELLED)];
    let (pieces, _) = PREFIX.as_bytes().as_chunks::<2>();
    head.windows(2)
        .any(|window| pieces.iter().any(|piece| piece == window))
}

/// Finds the nearest name that the SDK reads, within a distance.
fn nearest(spelled: &str, limit: usize) -> Option<&'static str> {
    let read = OF_SAFETY.iter().chain(OF_PERFORMANCE);
    let with_distance = read.filter_map(|name| {
        let distance = edit_distance(spelled.as_bytes(), name.as_bytes(), limit)?;
        Some((*name, distance))
    });
    let (name, _) = with_distance.min_by_key(|(_, distance)| *distance)?;
    Some(name)
}

/// Finds the names that the SDK reads and that have all words of this one:
/// `STAGELINK_HEROKU_PIPELINE` for `STAGELINK_PIPELINE`.
fn with_its_words(spelled: &str) -> Vec<&'static str> {
    let read = OF_SAFETY.iter().chain(OF_PERFORMANCE).copied();
    let has_words = |name: &&str| {
        let words: Vec<&str> = name.split('_').collect();
        spelled.split('_').all(|word| words.contains(&word))
    };
    read.filter(has_words).collect()
}

/// Spells a name as stagelink's are: upper case, with underscores.
fn normalized(name: &str) -> String {
    name.trim()
        .chars()
        .map(|c| match c {
            '-' | '.' | ' ' => '_',
            c => c.to_ascii_uppercase(),
        })
        .collect()
}

/// A name comes from the environment, so it may hold anything.
fn printable(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_graphic() || *c == ' ';
    name.chars().filter(is_plain).take(MAX_CHARS).collect()
}

const PREFIX: &str = "STAGELINK_";

/// The distance up to which a name is taken for another's misspelling.
const MISSPELLED: usize = 2;

/// The distance up to which a known name is suggested.
const DISTANT: usize = 5;

const MAX_CHARS: usize = 80;

#[cfg(test)]
mod tests;
