//! Notes on the schedules of netlify.toml: those that run no function, and those that a save has changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stagelink::one_line;
use stagelink_local::netlify::Schedule;
use stagelink_local::{Cloud, StageSite};

use crate::output::note;

/// Says which schedules run nothing here, and why.
pub(super) fn note_problems(cloud: &Cloud, functions: &[&str]) {
    let Some(first) = cloud.stages().first() else {
        return;
    };
    let schedules = first.schedules();
    let runs = cloud.stages().iter().any(StageSite::runs_schedules);
    if !schedules.is_empty() && !runs {
        note(
            "  ! no schedule runs: Netlify runs only those of the published deploy, and no local \
             stage is of kind production; `stagelink invoke NAME` runs a function",
        );
    }
    for name in schedules.keys() {
        if !functions.contains(&name.as_str()) {
            note(format_args!(
                "  ! netlify.toml: the schedule of {name} runs nothing: there is no such function"
            ));
        }
    }
}

/// Returns a line for each schedule that differs: what it is now, and when it fires next.
pub(super) fn changes(
    before: &BTreeMap<String, Schedule>,
    now: &BTreeMap<String, Schedule>,
    runs: bool,
    is_function: impl Fn(&str) -> bool,
) -> Vec<String> {
    let changed = now
        .iter()
        .filter(|(name, schedule)| before.get(*name) != Some(schedule));
    let changed = changed.map(|(name, schedule)| {
        let next = match (runs, schedule.next_after(Timestamp::now())) {
            _ if !is_function(name) => "which runs nothing: there is no such function".to_owned(),
            (false, _) => "which does not run here".to_owned(),
            (true, Some(next)) => format!("next {next}"),
            (true, None) => "with no time left".to_owned(),
        };
        let expression = one_line(schedule.expression());
        format!("schedule of {} (UTC): {expression}, {next}", one_line(name))
    });
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let gone = gone.map(|name| format!("schedule of {}: none any more", one_line(name)));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedule_that_is_new_changed_or_gone_has_a_line_with_its_next_time() {
        let of = |list: &[(&str, &str)]| -> BTreeMap<String, Schedule> {
            let parsed = list
                .iter()
                .map(|&(name, expression)| (name.to_owned(), Schedule::parse(expression).unwrap()));
            parsed.collect()
        };
        let before = of(&[("a", "@hourly"), ("b", "@daily"), ("c", "@daily")]);
        let now = of(&[("a", "@hourly"), ("b", "@hourly"), ("d", "0 0 1 1 *")]);
        let lines = changes(&before, &now, true, |_| true);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(
            lines[0].starts_with("schedule of b (UTC): @hourly, next 2"),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("schedule of d (UTC): 0 0 1 1 *, next 2"),
            "{lines:?}"
        );
        assert_eq!(lines[2], "schedule of c: none any more");
        let elsewhere = changes(&before, &now, false, |_| true);
        assert!(
            elsewhere[0].ends_with("which does not run here"),
            "{elsewhere:?}"
        );
        let unknown = changes(&before, &now, true, |name| name != "d");
        assert!(
            unknown[1].ends_with("which runs nothing: there is no such function"),
            "{unknown:?}"
        );
        assert!(changes(&now, &now, true, |_| true).is_empty());
    }
}
