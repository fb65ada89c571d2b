//! The width of the numbers in a history.

/// The type of the history's column `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionType {
    /// Numbers up to 2,147,483,647: refinery's own choice.
    Int4,
    /// Larger numbers, such as timestamps. Of refinery, only a build with the feature
    /// `int8-versions` reads it.
    Int8,
}

impl VersionType {
    pub(crate) const ALL: [Self; 2] = [Self::Int4, Self::Int8];

    /// Returns the narrowest type that these numbers fit in.
    pub(super) fn of(mut versions: impl Iterator<Item = i64>) -> Self {
        match versions.all(|version| Self::Int4.holds(version)) {
            true => Self::Int4,
            false => Self::Int8,
        }
    }

    /// Returns whether a number fits.
    pub(crate) fn holds(self, version: i64) -> bool {
        self == Self::Int8 || i32::try_from(version).is_ok()
    }

    /// Returns the type's name in SQL.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int8 => "int8",
        }
    }
}
