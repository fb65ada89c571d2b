//! Notes on the schedules of netlify.toml that run no function.

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
            "  ! no schedule runs: Netlify runs those of the published deploy alone, and no local \
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
