//! What can be measured.

use clap::ValueEnum;
use serde::Serialize;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Cold starts, warm requests, memory, sizes and round trips.
    Speed,
    /// The request after one whose query was given up.
    Abandoned,
    /// The request after a freeze in which the connection was lost.
    Freeze,
    /// Many instances at once before a database that allows 20 connections.
    Storms,
}

impl Suite {
    /// All of them, in the order in which they are held.
    pub const ALL: [Self; 4] = [Self::Speed, Self::Abandoned, Self::Freeze, Self::Storms];
}
