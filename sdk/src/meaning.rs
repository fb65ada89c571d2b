//! The meaning of a failure for what the pool and the retries do next: a leaf, which every module
//! may import.

/// The meaning of a failure. Each failure has one, so that none is, for example, a reason both to
/// ask the provider and to wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The server refused the credentials. Only others help, and the provider may take a moment
    /// to know them.
    Refused,
    /// The server does not know the project, tenant, endpoint or rule that the credentials lead
    /// to. The provider may know others; if it does not, the next attempt fails like this one.
    Unknown,
    /// Nothing answers at the server's address. The provider may know another, or the server
    /// comes back.
    Moved,
    /// The server went away. It may have been replaced; a restart looks alike, so the next
    /// attempt decides.
    Suspect,
    /// The server or the provider did not answer in time.
    Silent,
    /// The server has no room for another connection.
    Crowded,
    /// The cause passes by itself within seconds.
    Passing,
    /// The database takes no writes.
    ReadOnly,
    /// A statement was given up for the sake of another, and may succeed if it is repeated.
    LostRace,
    /// A time limit of the server or the role ended the work. Repeated, the same work most often
    /// ends in the same way.
    Limited,
    /// Only a change by a person helps.
    Final,
}

impl Meaning {
    /// Returns whether the credentials are out of date, so that the provider is asked.
    pub(crate) fn is_stale(self) -> bool {
        matches!(self, Self::Refused | Self::Unknown | Self::Moved)
    }

    /// Returns whether the failure may be that of credentials that are out of date.
    pub(crate) fn may_be_stale(self) -> bool {
        self.is_stale() || matches!(self, Self::Suspect | Self::Silent)
    }

    /// Returns whether each attempt adds to the cause, so that pauses are long.
    pub(crate) fn is_crowding(self) -> bool {
        self == Self::Crowded
    }

    /// Returns the number of times that work is tried again for this reason.
    pub(crate) fn repeats(self) -> Repeats {
        match self {
            Self::Unknown | Self::Final => Repeats::None,
            Self::Limited => Repeats::Once,
            Self::Refused
            | Self::Moved
            | Self::Suspect
            | Self::Silent
            | Self::Crowded
            | Self::Passing
            | Self::ReadOnly
            | Self::LostRace => Repeats::UntilTimeLimit,
        }
    }

    /// Returns the meaning after the provider has given no other credentials. `is_fixed` is true
    /// for a provider that never will.
    pub(crate) fn without_other_credentials(self, is_fixed: bool) -> Self {
        match self {
            Self::Refused if is_fixed => Self::Final,
            Self::Unknown => Self::Final,
            meaning => meaning,
        }
    }
}

/// The number of times that work is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// Not at all: the failure is returned at once.
    None,
    /// Once.
    Once,
    /// Until the time limit for retries.
    UntilTimeLimit,
}

#[cfg(test)]
impl Meaning {
    /// All meanings.
    pub(crate) const ALL: [Self; 11] = [
        Self::Refused,
        Self::Unknown,
        Self::Moved,
        Self::Suspect,
        Self::Silent,
        Self::Crowded,
        Self::Passing,
        Self::ReadOnly,
        Self::LostRace,
        Self::Limited,
        Self::Final,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_meaning_contradicts_itself() {
        for meaning in Meaning::ALL {
            let is_told_at_once = meaning.repeats() == Repeats::None;
            assert!(
                !(meaning.is_crowding() && meaning.may_be_stale()),
                "{meaning:?}"
            );
            assert!(!(meaning.is_crowding() && is_told_at_once), "{meaning:?}");
            assert!(!meaning.is_stale() || meaning.may_be_stale(), "{meaning:?}");
            for is_fixed in [false, true] {
                let after = meaning.without_other_credentials(is_fixed);
                assert_eq!(
                    after.without_other_credentials(is_fixed),
                    after,
                    "asking again changes nothing: {meaning:?}"
                );
                assert!(after == meaning || after == Meaning::Final, "{meaning:?}");
            }
        }
    }

    #[test]
    fn fixed_provider_makes_a_refusal_final_and_no_outage() {
        let fixed = |meaning: Meaning| meaning.without_other_credentials(true);
        assert_eq!(fixed(Meaning::Refused), Meaning::Final);
        assert_eq!(fixed(Meaning::Unknown), Meaning::Final);
        assert_eq!(fixed(Meaning::Moved), Meaning::Moved);
        let changing = |meaning: Meaning| meaning.without_other_credentials(false);
        assert_eq!(changing(Meaning::Refused), Meaning::Refused);
        assert_eq!(changing(Meaning::Unknown), Meaning::Final);
    }
}
