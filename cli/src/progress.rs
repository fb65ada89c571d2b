//! Progress lines on standard error, one for each step of a command that takes a while.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use console::style;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use stagelink::one_line;

use crate::cargo_output::WAITING;
use crate::output::{note, note_styled};

/// A step of a command.
///
/// On a terminal it shows a spinner with the current activity until it is [`done`](Step::done).
/// Elsewhere it prints a line at its end, and one at its start if it may take minutes. Colours follow
/// `NO_COLOR`.
#[derive(Debug)]
pub struct Step {
    title: &'static str,
    bar: ProgressBar,
    started: Instant,
}

impl Step {
    /// Starts a step that may take minutes, such as a build.
    pub fn begin_long(title: &'static str) -> Self {
        if !std::io::stderr().is_terminal() {
            note(format_args!("  … {title}"));
        }
        Self::begin(title)
    }

    /// Starts a step.
    pub fn begin(title: &'static str) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner().with_style(spinner_style());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            ProgressBar::hidden()
        };
        bar.set_message(title);
        Self {
            title,
            bar,
            started: Instant::now(),
        }
    }

    /// Returns a function that shows the current activity. Any thread may call it.
    pub fn teller(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let bar = self.bar.clone();
        let title = self.title;
        move |activity: &str| bar.set_message(format!("{title}: {}", one_line(activity)))
    }

    /// Returns a function that shows the current activity of a build, which may take minutes. Elsewhere
    /// than on a terminal it prints one at times: each wait for another process, and the last activity
    /// when there was none for [`QUIET`].
    pub(crate) fn build_teller(&self) -> impl FnMut(&str) + Send + use<> {
        let tell = self.teller();
        let is_terminal = std::io::stderr().is_terminal();
        let mut last = Instant::now();
        move |activity: &str| {
            tell(activity);
            let is_due = activity.starts_with(WAITING) || last.elapsed() >= QUIET;
            if !is_terminal && is_due {
                last = Instant::now();
                note(format_args!("    {}", one_line(activity)));
            }
        }
    }

    /// Returns a function that prints a line above the current activity. Any thread may call it.
    pub fn line_printer(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let bar = self.bar.clone();
        move |line: &str| bar.suspend(|| note(format_args!("    {line}")))
    }

    /// Ends the step, and prints its result and how long it took.
    pub fn done(self, result: &str) {
        let elapsed = self.started.elapsed();
        let elapsed = if elapsed < Duration::from_secs(10) {
            format!("{:.1} s", elapsed.as_secs_f64())
        } else {
            HumanDuration(elapsed).to_string()
        };
        self.bar.finish_and_clear();
        let mark = style("✓").green().for_stderr();
        note_styled(format_args!(
            "  {mark} {}: {} ({elapsed})",
            self.title,
            one_line(result)
        ));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Time without a line about a build, behind which the next activity gets one.
const QUIET: Duration = Duration::from_secs(10);

fn spinner_style() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner:.cyan} {wide_msg} {elapsed:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}
