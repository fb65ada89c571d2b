//! A line for each step of a long start, on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// A step that has begun. It shows what goes on until it is [`done`](Step::done);
/// where standard error is no terminal, only its beginning and its end are told.
#[derive(Debug)]
pub struct Step {
    title: &'static str,
    bar: ProgressBar,
    started: Instant,
    terminal: bool,
}

impl Step {
    /// Begins the step of this name.
    pub fn begin(title: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            let bar = ProgressBar::new_spinner().with_style(style());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            eprintln!("  … {title}");
            ProgressBar::hidden()
        };
        bar.set_message(title);
        Self {
            title,
            bar,
            started: Instant::now(),
            terminal,
        }
    }

    /// Something that may tell, from any thread, what goes on.
    pub fn teller(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let bar = self.bar.clone();
        let title = self.title;
        move |text: &str| bar.set_message(format!("{title}: {text}"))
    }

    /// Ends it and tells what came of it and how long it took.
    pub fn done(self, result: &str) {
        let took = self.started.elapsed();
        let took = if took < Duration::from_secs(10) {
            format!("{:.1} s", took.as_secs_f64())
        } else {
            HumanDuration(took).to_string()
        };
        self.bar.finish_and_clear();
        let mark = if self.terminal {
            "\u{1b}[32m✓\u{1b}[0m"
        } else {
            "✓"
        };
        eprintln!("  {mark} {}: {result} ({took})", self.title);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("  {spinner:.cyan} {wide_msg} {elapsed:.dim}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}
