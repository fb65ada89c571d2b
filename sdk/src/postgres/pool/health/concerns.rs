//! The parts of a health that are not as they are in a healthy database, in one byte.

use std::ops::BitOr;

/// A set of concerns. Each is one that a routine event of a healthy database would settle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Concerns(u8);

impl Concerns {
    /// The server went away or is silent. A connection that opens settles it.
    pub(super) const SUSPECT: Self = Self(1);
    /// The provider was asked, and no connection was lent since.
    pub(super) const UNPROVEN: Self = Self(1 << 1);
    /// A write was refused. The provider is asked when the next connection is wanted.
    pub(super) const READ_ONLY: Self = Self(1 << 2);
    /// Work fails for want of a connection.
    pub(super) const NO_CONNECTION: Self = Self(1 << 3);
    /// Work fails because writes are refused.
    pub(super) const NO_WRITES: Self = Self(1 << 4);
    /// The server is near its connection limit. Counts at the end of an invocation.
    pub(super) const CROWDED: Self = Self(1 << 5);

    /// Returns this set where `condition` is true, and an empty one elsewhere.
    pub(super) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::default() }
    }

    /// Returns whether the two sets have a concern in common.
    pub(in crate::postgres) fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(in crate::postgres) fn bits(self) -> u8 {
        self.0
    }

    /// The set of these bits, which come from [`bits`](Self::bits).
    pub(in crate::postgres) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

impl BitOr for Concerns {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
