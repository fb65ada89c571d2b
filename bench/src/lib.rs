//! Comparisons: stagelink beside what people do without it.
//!
//! Each is a program in `src/bin` with a script of its name in `scripts/`, and is run by
//! a person. `demo-rotation` rotates the password of a database under a load, for the
//! three [ways](Way) to have the database's URL. `bench` is a [`Contest`] in several
//! [disciplines](Discipline); its [contestants](Contestant) are in a crate of their own,
//! `contestants/`. The other programs are the functions that `demo-rotation` compares with.

mod baseline;
mod contest;
mod figures;
mod live;
mod plot;
mod programs;
mod report;
mod rotation;
mod stand;
mod way;
mod words;

pub use crate::baseline::answer;
pub use crate::baseline::open_pool;
pub use crate::baseline::variable;
pub use crate::contest::Contest;
pub use crate::contest::ContestReport;
pub use crate::contest::Contestant;
pub use crate::contest::Discipline;
pub use crate::programs::Programs;
pub use crate::report::Report;
pub use crate::rotation::Plan;
pub use crate::rotation::run;
pub use crate::way::Way;
