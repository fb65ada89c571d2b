//! The progress of the demo, on standard error.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use stagelink_tests::Load;
use tokio::time::{interval, sleep_until};

use super::{RotationPlan, UrlSource};
use crate::format::{clock, grouped};

/// A progress bar and a line of counts for each URL source. Where standard error is no terminal,
/// it prints events only.
#[derive(Debug)]
pub(crate) struct LiveProgress {
    plan: RotationPlan,
    begun: Instant,
    bars: MultiProgress,
    time: ProgressBar,
    counts: Vec<ProgressBar>,
}

impl LiveProgress {
    pub(crate) fn begin(plan: &RotationPlan) -> Self {
        let bars = MultiProgress::new();
        let time = ProgressBar::new(plan.length().as_secs())
            .with_style(style("  {bar:48.cyan/dim} {msg}"));
        let time = bars.add(time);
        let counts = UrlSource::ALL
            .map(|_| bars.add(ProgressBar::new_spinner().with_style(style("  {msg}"))));
        let live = Self {
            plan: *plan,
            begun: Instant::now(),
            bars,
            time,
            counts: counts.into(),
        };
        live.tell(&format!(
            "{} requests per second for each of the {} sources, {} minutes",
            plan.rate as usize * plan.instances,
            UrlSource::ALL.len(),
            clock(plan.length()),
        ));
        live
    }

    /// Shows the counts until this moment.
    pub(crate) async fn show_until(&self, end: Instant, loads: &[Vec<Load>]) {
        let end = sleep_until(end.into());
        tokio::pin!(end);
        let mut tick = interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                () = &mut end => break,
                _ = tick.tick() => self.show(loads),
            }
        }
        self.show(loads);
    }

    pub(crate) fn passwords_rotated(&self) {
        let after = clock(self.begun.elapsed());
        self.tell(&format!("{after}: the passwords have been rotated"));
    }

    pub(crate) fn end(self) {
        for bar in self.counts.iter().chain([&self.time]) {
            bar.finish_and_clear();
        }
    }

    fn show(&self, loads: &[Vec<Load>]) {
        let passed = self.begun.elapsed();
        self.time.set_position(passed.as_secs());
        self.time.set_message(format!(
            "{} of {}",
            clock(passed),
            clock(self.plan.length())
        ));
        for ((source, bar), loads) in UrlSource::ALL.into_iter().zip(&self.counts).zip(loads) {
            let (answered, failed) = loads
                .iter()
                .map(Load::progress)
                .fold((0, 0), |(answered, failed), count| {
                    (answered + count.answered, failed + count.failed)
                });
            let failures = console::style(format!("{:>8} failed", grouped(failed))).for_stderr();
            bar.set_message(format!(
                "{:<12}{:>8} answered{}",
                source.title(self.plan.cache),
                grouped(answered),
                if failed > 0 {
                    failures.red()
                } else {
                    failures.green()
                },
            ));
        }
    }

    /// Prints an event above the bars.
    fn tell(&self, what: &str) {
        self.bars.suspend(|| eprintln!("  … {what}"));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
