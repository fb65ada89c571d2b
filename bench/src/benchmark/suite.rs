//! The suites of the benchmark.

use clap::ValueEnum;
use serde::Serialize;

/// A group of measurements that can be run on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Cold starts, warm requests, memory, sizes and round trips.
    Speed,
    /// The processor's time of stagelink's start, by the source of its credentials.
    Starts,
    /// The request after one whose query the function has abandoned.
    Abandoned,
    /// The request after a freeze in which the connection was lost.
    Freeze,
    /// Many instances that connect at once to a database that allows 20 connections.
    Storms,
}

impl Suite {
    /// All suites, in the order in which they run.
    pub const ALL: [Self; 5] = [
        Self::Speed,
        Self::Starts,
        Self::Abandoned,
        Self::Freeze,
        Self::Storms,
    ];
}
