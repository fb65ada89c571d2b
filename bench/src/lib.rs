//! Benchmarks that compare stagelink with other ways to reach Postgres.
//!
//! Two programs in `src/bin`, each with a script of its name in `scripts/`. `bench` runs a
//! [`Benchmark`]: several [suites](Suite) for several [variants](Variant) of one function, which
//! are in the crate `variants/`. `demo-rotation` rotates the password of a database under load,
//! for three [sources](UrlSource) of the database's URL; the other programs are functions that
//! it compares with.

mod benchmark;
mod format;
mod rotation;

pub use crate::benchmark::Benchmark;
pub use crate::benchmark::BenchmarkReport;
pub use crate::benchmark::Suite;
pub use crate::benchmark::Variant;
pub use crate::rotation::Programs;
pub use crate::rotation::RotationPlan;
pub use crate::rotation::RotationReport;
pub use crate::rotation::UrlSource;
pub use crate::rotation::answer;
pub use crate::rotation::env_var;
pub use crate::rotation::open_pool;
pub use crate::rotation::run_rotation;
