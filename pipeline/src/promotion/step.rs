//! The steps of a promotion, in their order.

use std::fmt;

/// A step of a promotion. Each one is found again when the command was killed in it and runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Step {
    /// Takes the lease of the stage, and looks whether the plan is unchanged.
    Lease,
    /// Applies the migrations of *before*.
    Migrate,
    /// Stops the site's publishing.
    Lock,
    /// Makes the deploy in the target's context, and waits until it is ready.
    Deploy,
    /// Tests the deploy at its own address.
    Test,
    /// Looks whether the published deploy is still that of the plan.
    LookAgain,
    /// Publishes the deploy.
    Publish,
    /// Tests it at the stage's address.
    TestLive,
    /// Keeps what was done in the database.
    Record,
    /// Sets the lock as it was, and gives the lease back.
    CleanUp,
}

impl Step {
    /// All steps, in their order.
    pub const ALL: [Self; 10] = [
        Self::Lease,
        Self::Migrate,
        Self::Lock,
        Self::Deploy,
        Self::Test,
        Self::LookAgain,
        Self::Publish,
        Self::TestLive,
        Self::Record,
        Self::CleanUp,
    ];

    /// Returns the name of the step.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Migrate => "migrate",
            Self::Lock => "lock",
            Self::Deploy => "deploy",
            Self::Test => "test",
            Self::LookAgain => "look again",
            Self::Publish => "publish",
            Self::TestLive => "test live",
            Self::Record => "record",
            Self::CleanUp => "clean up",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
