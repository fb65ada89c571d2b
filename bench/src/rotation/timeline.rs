//! A timeline of failed requests, drawn with characters: one line for each URL source.

use std::time::Duration;

use console::style;

use super::measurements::FailureCount;
use crate::format::clock;

/// Draws the fraction of failed requests of each line over the same time, with marks above; in
/// colour where standard output is a terminal.
pub(crate) fn draw_timeline(
    lines: &[(String, &[FailureCount])],
    marks: &[(Duration, &str)],
) -> String {
    let length = lines.iter().map(|(_, seconds)| seconds.len()).max();
    let length = length.unwrap_or_default();
    let step = STEPS
        .into_iter()
        .find(|step| length.div_ceil(*step) <= COLUMNS);
    let step = step.unwrap_or(length.div_ceil(COLUMNS));
    let margin = lines.iter().map(|(title, _)| title.chars().count()).max();
    let margin = margin.unwrap_or_default() + 4;

    let mut text = format!("Failed requests over time, {step} s to a column:\n\n");
    for (at, what) in marks {
        let column = margin + at.as_secs() as usize / step;
        // Said on the side that has more room.
        let mark = if column < COLUMNS / 2 {
            format!("{:column$}▼ {what}\n", "")
        } else {
            format!("{what:>0$} ▼\n", column - 1)
        };
        text.push_str(&mark);
    }
    for (title, seconds) in lines {
        text.push_str(&format!("  {title:<0$}", margin - 2));
        for share in seconds.chunks(step) {
            let share: FailureCount = share.iter().copied().sum();
            text.push_str(&block(share.failed_part()));
        }
        text.push('\n');
    }
    text.push_str(&axis(length.div_ceil(step), step, margin));
    text.push_str(&format!(
        "\n{:margin$}{} none failed   {} some, by their share   {} all failed",
        "",
        block(Some(0.0)),
        style(BLOCKS[..7].iter().collect::<String>()).red(),
        block(Some(1.0)),
    ));
    text
}

/// Returns the character for a fraction of failed requests; a space for `None`.
fn block(failed_part: Option<f64>) -> String {
    match failed_part {
        None => " ".to_owned(),
        Some(0.0) => style('·').green().to_string(),
        Some(part) => {
            let level = (part * BLOCKS.len() as f64).ceil() as usize;
            style(BLOCKS[level.clamp(1, BLOCKS.len()) - 1])
                .red()
                .to_string()
        }
    }
}

/// Draws a time axis with labelled ticks.
fn axis(columns: usize, step: usize, margin: usize) -> String {
    let tick = TICKS
        .into_iter()
        .find(|tick| tick % step == 0 && tick / step >= TICK_COLUMNS);
    let tick_columns = tick.map_or(columns, |tick| tick / step).max(1);
    let mut line = " ".repeat(margin);
    let mut times = " ".repeat(margin);
    for column in 0..columns {
        if column % tick_columns == 0 {
            let time = clock(Duration::from_secs((column * step) as u64));
            times.push_str(&format!("{time:<tick_columns$}"));
            line.push('┴');
        } else {
            line.push('─');
        }
    }
    format!("{line}\n{}\n", times.trim_end())
}

/// Maximal width of a line without its title; less than 100 with it.
const COLUMNS: usize = 80;

/// Possible lengths of a column, in seconds.
const STEPS: [usize; 8] = [1, 2, 4, 5, 10, 15, 30, 60];

/// Possible distances between two ticks in seconds, and their minimum in columns.
const TICKS: [usize; 8] = [10, 20, 30, 60, 120, 300, 600, 1200];
const TICK_COLUMNS: usize = 10;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[cfg(test)]
mod tests {
    use console::strip_ansi_codes;

    use super::*;

    /// Seconds with ten requests each, of which this many failed.
    fn seconds(failed: &[usize]) -> Vec<FailureCount> {
        let share = |&failed| FailureCount {
            requests: 10,
            failed,
        };
        failed.iter().map(share).collect()
    }

    #[test]
    fn outage_is_drawn_where_it_was() {
        let mut shares = seconds(&[0, 0, 1, 10, 10, 10, 5, 0, 0, 0, 0, 0]);
        shares[9].requests = 0;
        let good = seconds(&[0; 12]);
        let lines = [("one".to_owned(), &*shares), ("other".to_owned(), &*good)];
        let drawn = draw_timeline(&lines, &[(Duration::from_secs(2), "rotated")]);
        assert_eq!(
            strip_ansi_codes(&drawn),
            "Failed requests over time, 1 s to a column:\n\
             \n           \
             ▼ rotated\n  \
               one    ··▁███▄·· ··\n  \
               other  ············\n         \
             ┴─────────┴─\n         \
             0:00      0:10\n\
             \n         \
             · none failed   ▁▂▃▄▅▆▇ some, by their share   █ all failed"
        );
    }

    #[test]
    fn long_run_takes_several_seconds_to_a_column() {
        let shares = seconds(&[0; 320]);
        let marks = [(Duration::from_secs(300), "late")];
        let drawn = draw_timeline(&[("one".to_owned(), &*shares)], &marks);
        let drawn = strip_ansi_codes(&drawn);
        assert!(drawn.contains("4 s to a column"), "{drawn}");
        let late = format!("\n{}late ▼\n", " ".repeat(7 + 300 / 4 - 5));
        assert!(drawn.contains(&late), "{drawn}");
        assert!(
            drawn.contains(&format!("one  {}\n", "·".repeat(80))),
            "{drawn}"
        );
        assert!(
            drawn.contains("0:00           1:00           2:00"),
            "{drawn}"
        );
    }
}
