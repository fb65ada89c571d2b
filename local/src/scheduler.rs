//! The clock that runs scheduled functions, as Netlify does for the published deploy alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::netlify::Schedule;
use crate::requests::Trigger;
use crate::stage_functions::StageFunctions;

/// Runs the functions of a stage by the schedules of its site. Dropping it ends the clock, and no run.
#[derive(Debug)]
pub(crate) struct Scheduler {
    _clock: JoinSet<()>,
}

/// The next run of each scheduled function.
#[derive(Debug, Default)]
struct NextRuns(BTreeMap<String, NextRun>);

#[derive(Debug)]
struct NextRun {
    schedule: Schedule,
    /// `None` for a schedule that has no further time.
    at: Option<Timestamp>,
}

impl Scheduler {
    /// Starts the clock for a stage. `authority` is the host of the stage's site with its port.
    pub(crate) fn start(functions: Arc<StageFunctions>, authority: String) -> Self {
        let mut clock = JoinSet::new();
        clock.spawn(async move {
            let mut runs = NextRuns::default();
            let mut ticks = interval(Duration::from_secs(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                // An update of the project may have changed them.
                let site = functions.site();
                for name in runs.due(&site.schedules, Timestamp::now()) {
                    run(&functions, name, &authority);
                }
            }
        });
        Self { _clock: clock }
    }
}

fn run(functions: &Arc<StageFunctions>, name: String, authority: &str) {
    let (functions, authority) = (Arc::clone(functions), authority.to_owned());
    tokio::spawn(async move {
        // A failure is in the record of the run. A function that does not exist was warned of.
        let _ = functions
            .invoke(&name, Trigger::Schedule, None, &authority)
            .await;
    });
}

impl NextRuns {
    /// Returns the functions whose time has come, each once whatever time has passed, and takes up
    /// schedules that are new or have changed.
    fn due(&mut self, schedules: &BTreeMap<String, Schedule>, now: Timestamp) -> Vec<String> {
        self.0.retain(|name, _| schedules.contains_key(name));
        let mut due = Vec::new();
        for (name, schedule) in schedules {
            let next = || NextRun {
                schedule: schedule.clone(),
                at: schedule.next_after(now),
            };
            let run = self.0.entry(name.clone()).or_insert_with(next);
            if run.schedule != *schedule {
                *run = next();
            } else if run.at.is_some_and(|at| at <= now) {
                due.push(name.clone());
                *run = next();
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_is_due_once_at_its_time_and_after_a_change_by_the_new_schedule() {
        let mut runs = NextRuns::default();
        let schedules = |expression: &str| {
            let schedule = Schedule::parse(expression).unwrap();
            BTreeMap::from([("clean".to_owned(), schedule)])
        };
        let hourly = schedules("@hourly");
        let mut due = |schedules: &_, time: &str| {
            let time = format!("2026-11-27T{time}Z").parse().unwrap();
            runs.due(schedules, time).len()
        };
        // The start is no run.
        assert_eq!(due(&hourly, "12:00:00"), 0);
        assert_eq!(due(&hourly, "12:59:59"), 0);
        assert_eq!(due(&hourly, "13:00:00"), 1);
        assert_eq!(due(&hourly, "13:00:01"), 0);
        // A machine that slept for hours makes up for them with one run.
        assert_eq!(due(&hourly, "17:30:00"), 1);
        assert_eq!(due(&hourly, "17:30:01"), 0);
        let often = schedules("*/10 * * * *");
        assert_eq!(due(&often, "17:35:00"), 0);
        assert_eq!(due(&often, "17:40:00"), 1);
        assert_eq!(due(&BTreeMap::new(), "18:00:00"), 0);
    }
}
