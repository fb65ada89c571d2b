//! Statements that make a session what it was when it was opened, between two loans.
//!
//! They are one Query message and one explicit transaction: if a statement fails, the session is
//! left in a failed transaction, in which the server refuses the handler's statement that is
//! already on its way.

use std::sync::Arc;
use std::time::Duration;

use super::session_params::{INVOCATION_LIMITS, milliseconds, quoted, set_if_unlimited};

/// The statements that reset one session.
///
/// Prepared statements stay: the driver and the SDK know them by name. Whether a limit is the
/// operator's own choice is asked with the first reset; those after it set the limits that this
/// one did, which costs the server less.
#[derive(Debug)]
pub(in crate::postgres) struct SessionReset {
    application_name: Option<String>,
    /// Milliseconds of each of [`LIMITS`] that the SDK sets; `None` for one that it does not.
    limits: [Option<u128>; LIMITS.len()],
    applied: Option<AppliedLimits>,
    text: Arc<str>,
}

/// The limits that the SDK has set in a session, since the operator sets none: a bit for each of
/// [`LIMITS`], and above them the number of those that the reset asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct AppliedLimits(u8);

impl SessionReset {
    /// Creates the reset of a session with these [parameters](super::session_params::at_start).
    pub(in crate::postgres) fn new(idle_timeout: Duration, name: Option<&str>) -> Self {
        let mut reset = Self {
            application_name: name.map(quoted),
            limits: [Some(milliseconds(idle_timeout)), None, None],
            applied: None,
            text: Arc::default(),
        };
        reset.text = reset.build();
        reset
    }

    /// Adds the [limits of an invocation](super::session_params::for_invocations).
    pub(in crate::postgres) fn limit_invocations(&mut self, longest: Duration) {
        let limit = Some(milliseconds(longest));
        self.limits[1..].fill(limit);
        self.probe();
    }

    /// Has the next reset ask again which limits are the operator's own.
    pub(in crate::postgres) fn probe(&mut self) {
        self.applied = None;
        self.text = self.build();
    }

    /// Takes note of the limits that a probing reset applied. An answer of before the limits of
    /// an invocation were added does not count.
    pub(in crate::postgres) fn learn(&mut self, applied: AppliedLimits) {
        let wanted = self.limits.iter().flatten().count();
        if applied.asked() == wanted && self.applied != Some(applied) {
            self.applied = Some(applied);
            self.text = self.build();
        }
    }

    /// Returns the statements.
    pub(in crate::postgres) fn text(&self) -> &Arc<str> {
        &self.text
    }

    fn build(&self) -> Arc<str> {
        let limits = LIMITS.iter().zip(self.limits).enumerate();
        let (mut probes, mut settings) = (String::new(), String::new());
        for (index, (setting, limit)) in limits {
            match (limit, self.applied) {
                (Some(limit), None) => {
                    probes.push_str(", ");
                    probes.push_str(&set_if_unlimited(setting, limit));
                }
                (Some(limit), Some(applied)) if applied.has(index) => {
                    settings.push_str(&format!("SET {setting} TO {limit}; "));
                }
                _ => {}
            }
        }
        if let Some(name) = &self.application_name {
            settings.push_str(&format!("SET application_name TO {name}; "));
        }
        // The role comes first, since it may not run the rest; then the settings, among them the
        // time limits and the search path that the rest depends on. A read-write transaction is
        // not to be had on a standby, and none of these needs one.
        format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; \
             RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES; \
             SELECT pg_catalog.pg_advisory_unlock_all(){probes}; {settings}COMMIT"
        )
        .into()
    }
}

impl AppliedLimits {
    /// Reads the DataRow of a probing reset: behind its first column a value for each limit that
    /// it applied. `None` for the row of another reset.
    pub(super) fn from_row(message: &[u8]) -> Option<Self> {
        let (count, mut rest) = message.get(HEAD_BYTES..)?.split_first_chunk()?;
        let asked = u8::try_from(u16::from_be_bytes(*count))
            .ok()?
            .checked_sub(1)?;
        if asked == 0 || usize::from(asked) > LIMITS.len() {
            return None;
        }
        let mut bits = asked << LIMITS.len();
        for column in 0..=asked {
            let (length, after) = rest.split_first_chunk()?;
            let length = i32::from_be_bytes(*length);
            if let Some(limit) = column.checked_sub(1) {
                bits |= u8::from(length >= 0) << limit;
            }
            rest = after.get(usize::try_from(length).unwrap_or(0)..)?;
        }
        Some(Self(bits))
    }

    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    fn asked(self) -> usize {
        usize::from(self.0 >> LIMITS.len())
    }

    fn has(self, limit: usize) -> bool {
        self.0 & (1 << limit) != 0
    }
}

const LIMITS: [&str; 3] = [
    "idle_session_timeout",
    INVOCATION_LIMITS[0],
    INVOCATION_LIMITS[1],
];

/// Length of a message's type and length.
const HEAD_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[Option<&str>]) -> Vec<u8> {
        let mut row = vec![b'D', 0, 0, 0, 0, 0, u8::try_from(values.len()).unwrap()];
        for value in values {
            match value {
                Some(value) => {
                    row.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                    row.extend(value.as_bytes());
                }
                None => row.extend([0xff; 4]),
            }
        }
        row
    }

    #[test]
    fn first_reset_asks_for_the_limits_and_the_next_sets_them() {
        let mut reset = SessionReset::new(Duration::from_secs(60), Some("it's mine"));
        reset.limit_invocations(Duration::from_secs(30));
        let probing = reset.text().to_string();
        assert!(
            probing.contains("current_setting('statement_timeout', true)"),
            "{probing}"
        );
        assert!(
            probing.contains("SET application_name TO 'it''s mine'; COMMIT"),
            "{probing}"
        );
        // The operator limits statements.
        let early = AppliedLimits::from_row(&row(&[Some(""), Some("1min")]));
        reset.learn(early.unwrap());
        assert_eq!(**reset.text(), probing, "it says nothing of the others");
        let values = [Some(""), Some("1min"), None, Some("30s")];
        reset.learn(AppliedLimits::from_row(&row(&values)).unwrap());
        let text = reset.text();
        assert!(
            text.contains(
                "unlock_all(); SET idle_session_timeout TO 60000; \
             SET idle_in_transaction_session_timeout TO 30000; SET application"
            ),
            "{text}"
        );
        reset.probe();
        assert_eq!(**reset.text(), probing);
    }

    #[test]
    fn row_of_another_statement_is_none_of_limits() {
        for values in [&[][..], &[Some("")], &[None; 5]] {
            assert_eq!(AppliedLimits::from_row(&row(values)), None, "{values:?}");
        }
        let good = row(&[Some(""), Some("1min"), None, None]);
        for length in 0..good.len() {
            assert_eq!(AppliedLimits::from_row(&good[..length]), None, "{length}");
        }
        assert_eq!(
            AppliedLimits::from_row(&good),
            Some(AppliedLimits(0b1_1001))
        );
    }
}
