//! What goes wrong with warm connections and with too many of them, and how each contestant
//! comes out of it.

mod abandoned;
mod freeze;
mod goals;
mod pooler;
mod reply;
mod stacks;
mod storm;
mod tables;

use serde::Serialize;

use self::abandoned::Abandoned;
use self::freeze::Freeze;
use self::storm::Storm;
use super::artifact::Artifact;
use super::discipline::Discipline;
use super::items::Items;

/// What was measured; empty where that was not asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Trouble {
    pub(super) abandoned: Vec<Abandoned>,
    pub(super) freezes: Vec<Freeze>,
    pub(super) storms: Vec<Storm>,
}

/// How much is to be measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Rounds of cold starts, of which these take a part.
    pub(super) rounds: usize,
    /// Processes of a storm.
    pub(super) instances: usize,
}

impl Trouble {
    /// Has those that take part go through what was asked for.
    pub(super) async fn measure(
        artifacts: &[Artifact],
        items: &Items,
        disciplines: &[Discipline],
        extent: Extent,
    ) -> anyhow::Result<Self> {
        let takes_part = |one: &&Artifact| one.contestant.takes_trouble();
        let artifacts: Vec<Artifact> = artifacts.iter().filter(takes_part).cloned().collect();
        let mut trouble = Self::default();
        if artifacts.is_empty() {
            return Ok(trouble);
        }
        if disciplines.contains(&Discipline::Abandoned) {
            let rounds = extent.rounds.div_ceil(ABANDONED_PART);
            trouble.abandoned = abandoned::run(&artifacts, items, rounds).await?;
        }
        if disciplines.contains(&Discipline::Freeze) {
            let rounds = extent.rounds.div_ceil(FREEZE_PART);
            trouble.freezes = freeze::run(&artifacts, items, rounds).await?;
        }
        if disciplines.contains(&Discipline::Storms) {
            trouble.storms = storm::run(&artifacts, items, extent.instances).await?;
        }
        Ok(trouble)
    }
}

/// One in so many rounds: whoever waits for an abandoned query takes 2 s for it.
const ABANDONED_PART: usize = 3;

/// A round with a freeze takes a quarter of a minute.
const FREEZE_PART: usize = 10;

#[cfg(test)]
pub(super) mod tests {
    pub(in super::super) use super::tables::tests::trouble;
}
