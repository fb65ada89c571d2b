//! The report of `stagelink doctor` as text, for a terminal of any width.

use std::collections::BTreeMap;
use std::fmt::Display;

use console::{measure_text_width, style};
use stagelink::one_line;
use stagelink_pipeline::{CheckResult, DoctorFinding as Finding, DoctorReport, Level, Verdict};

use crate::called_as::as_called;

/// Returns the report as text. With `lists_sound` each sound check has a line of its own.
pub(super) fn of(report: &DoctorReport, width: usize, lists_sound: bool) -> String {
    let mut page = Page {
        text: String::new(),
        width,
        shown: BTreeMap::new(),
    };
    for stage in &report.stages {
        let database = stage.database.as_deref().unwrap_or("no database reached");
        let title = style(stage.stage.as_str()).bold();
        page.line(format_args!("{title}  {}", one_line(database)));
        page.checks(Some(stage.stage.as_str()), &stage.checks, lists_sound);
        page.line("");
    }
    if !report.project.is_empty() {
        page.line(style("project").bold());
        page.checks(None, &report.project, lists_sound);
        page.line("");
    }
    page.paragraph("", 0, &summary(report));
    page.text.trim_end().to_owned()
}

fn summary(report: &DoctorReport) -> String {
    let some = |count: usize, one: &str, more: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {more}"),
    };
    let (errors, warnings) = (report.count(Level::Error), report.count(Level::Warning));
    let mut text = format!(
        "{}, {}, {} not checked, {} sound",
        some(errors, "error", "errors"),
        some(warnings, "warning", "warnings"),
        report.not_checked(),
        report.sound()
    );
    if report.not_checked() > 0 {
        text.push_str(match errors {
            0 => " (what was not checked is not sound; the exit code counts it only with --strict)",
            _ => " (what was not checked is not sound)",
        });
    }
    if errors + warnings > 0 {
        text.push_str(
            ". Each id has a section in docs/guides/troubleshooting.md, under \"What stagelink \
             doctor finds\"",
        );
    }
    text
}

/// A text of lines that fit a width.
struct Page {
    text: String,
    width: usize,
    /// The stages that have a finding, by its id and its words without the stage's name.
    shown: BTreeMap<(String, String), String>,
}

impl Page {
    fn line(&mut self, line: impl Display) {
        self.text.push_str(&format!("{line}\n"));
    }

    /// Returns the stage that has the same finding with the same advice, of those before.
    fn earlier(&mut self, stage: Option<&str>, id: &str, found: &Finding) -> Option<String> {
        let stage = stage?;
        let words = format!("{} {}", found.message.replace(stage, ""), found.advice);
        let key = (id.to_owned(), words);
        let earlier = self.shown.get(&key).cloned();
        self.shown.entry(key).or_insert_with(|| stage.to_owned());
        earlier.filter(|other| other != stage)
    }

    fn checks(&mut self, stage: Option<&str>, checks: &[CheckResult], lists_sound: bool) {
        let mut sound = Vec::new();
        let mut not_checked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for CheckResult { check, verdict, .. } in checks {
            match verdict {
                Verdict::Sound(seen) if lists_sound => {
                    let mark = style("✓").green();
                    self.paragraph(&format!("  {mark} "), 4, &format!("{}: {seen}", check.id));
                }
                Verdict::Sound(_) => sound.push(check.id),
                Verdict::NotChecked(reason) => {
                    not_checked.entry(reason).or_default().push(check.id);
                }
                Verdict::Findings(findings) => {
                    for (index, found) in findings.iter().enumerate() {
                        let mark = match found.level {
                            Level::Error => style("✗").red().bold(),
                            Level::Warning => style("!").yellow().bold(),
                        };
                        if let Some(other) = self.earlier(stage, check.id, found) {
                            let text = format!("{}: the same as of stage {other}", check.id);
                            self.paragraph(&format!("  {mark} "), 4, &text);
                            continue;
                        }
                        let text = format!("{}: {}", check.id, found.message);
                        self.paragraph(&format!("  {mark} "), 4, &text);
                        // Findings in a row with one advice have it once.
                        let next = findings.get(index + 1);
                        if next.is_none_or(|next| next.advice != found.advice) {
                            let arrow = style("→").cyan();
                            self.paragraph(&format!("    {arrow} "), 6, &found.advice);
                        }
                    }
                }
            }
        }
        for (reason, ids) in not_checked {
            let mark = style("?").dim();
            let text = format!("not checked: {} ({reason})", ids.join(", "));
            self.paragraph(&format!("  {mark} "), 4, &text);
        }
        if !sound.is_empty() {
            let mark = style("✓").green();
            let text = format!("sound: {}", sound.join(", "));
            self.paragraph(&format!("  {mark} "), 4, &text);
        }
    }

    /// Adds a text in lines, the first after `start`, the others indented. A command in backticks
    /// stays on one line where it fits, so that it can be copied.
    fn paragraph(&mut self, start: &str, indent: usize, text: &str) {
        let text = &*as_called(text);
        let room = self.width.saturating_sub(indent);
        let mut line = start.to_owned();
        let mut used = measure_text_width(start);
        let mut is_first = true;
        for word in words(text, room) {
            let needed = measure_text_width(word);
            if !is_first && used + 1 + needed > self.width {
                self.line(&line);
                line = " ".repeat(indent);
                used = indent;
                is_first = true;
            }
            let space = if is_first { "" } else { " " };
            line.push_str(space);
            line.push_str(word);
            used += space.len() + needed;
            is_first = false;
        }
        self.line(&line);
    }
}

/// Splits a text at its spaces; at those within backticks only where the command has no room on a
/// line.
fn words(text: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    let words = text.split(move |c| {
        is_code ^= c == '`';
        c == ' ' && !is_code
    });
    words.flat_map(move |word| {
        let fits = measure_text_width(word) <= room;
        word.split(move |c| c == ' ' && !fits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stagelink::Stage;
    use stagelink_pipeline::{CHECKS, Check, StageReport};

    fn check(id: &str) -> Check {
        let found = CHECKS.iter().find(|check| check.id == id);
        *found.expect("a check")
    }

    fn result(id: &str, verdict: Verdict) -> CheckResult {
        let check = check(id);
        CheckResult { check, verdict }
    }

    fn finding(level: Level, message: &str, advice: &str) -> Verdict {
        Verdict::Findings(vec![Finding {
            level,
            message: message.to_owned(),
            advice: advice.to_owned(),
        }])
    }

    #[test]
    fn finding_of_each_stage_is_shown_once_where_its_advice_is_the_same() {
        let stage = |stage: Stage| StageReport {
            stage,
            database: None,
            checks: vec![
                result(
                    "settings",
                    finding(
                        Level::Error,
                        &format!("stage {stage} has no token"),
                        "log in",
                    ),
                ),
                result(
                    "mark",
                    finding(Level::Warning, "no mark", &format!("mark set {stage}")),
                ),
            ],
        };
        let report = DoctorReport {
            stages: vec![stage(Stage::STAGING), stage(Stage::PRODUCTION)],
            project: Vec::new(),
        };
        let text = of(&report, 80, false);
        assert_eq!(text.matches("has no token").count(), 1, "{text}");
        assert!(
            text.contains("settings: the same as of stage staging"),
            "{text}"
        );
        for advice in ["mark set staging", "mark set production"] {
            assert!(text.contains(advice), "{text}");
        }
    }

    fn report() -> DoctorReport {
        let sound = |seen: &str| Verdict::Sound(seen.to_owned());
        let unmade = || Verdict::NotChecked("the database was not reached".to_owned());
        DoctorReport {
            stages: vec![
                StageReport {
                    stage: Stage::STAGING,
                    database: Some("notes on db.example:5432".to_owned()),
                    checks: vec![
                        result("connect", sound("db.example:5432")),
                        result(
                            "mark",
                            finding(
                                Level::Warning,
                                "database notes has no stage mark, so nothing shows that it belongs \
                                 to stage staging",
                                "run `stagelink mark set --stage staging`",
                            ),
                        ),
                        result("clock", sound("within 0.0 s")),
                    ],
                },
                StageReport {
                    stage: Stage::PRODUCTION,
                    database: None,
                    checks: vec![
                        result(
                            "connect",
                            finding(
                                Level::Error,
                                "db.example:5432 refused role notes for database notes",
                                "take the current password from the provider: for a fixed URL, set \
                                 the variable anew",
                            ),
                        ),
                        result("mark", unmade()),
                        result("clock", unmade()),
                    ],
                },
            ],
            project: vec![result("migration-files", sound("2 in migrations"))],
        }
    }

    const AT_80: &str = "\
staging  notes on db.example:5432
  ! mark: database notes has no stage mark, so nothing shows that it belongs to
    stage staging
    → run `stagelink mark set --stage staging`
  ✓ sound: connect, clock

production  no database reached
  ✗ connect: db.example:5432 refused role notes for database notes
    → take the current password from the provider: for a fixed URL, set the
      variable anew
  ? not checked: mark, clock (the database was not reached)

project
  ✓ sound: migration-files

1 error, 1 warning, 2 not checked, 3 sound (what was not checked is not sound).
Each id has a section in docs/guides/troubleshooting.md, under \"What stagelink
doctor finds\"";

    const AT_120: &str = "\
staging  notes on db.example:5432
  ! mark: database notes has no stage mark, so nothing shows that it belongs to stage staging
    → run `stagelink mark set --stage staging`
  ✓ sound: connect, clock

production  no database reached
  ✗ connect: db.example:5432 refused role notes for database notes
    → take the current password from the provider: for a fixed URL, set the variable anew
  ? not checked: mark, clock (the database was not reached)

project
  ✓ sound: migration-files

1 error, 1 warning, 2 not checked, 3 sound (what was not checked is not sound). Each id has a section in
docs/guides/troubleshooting.md, under \"What stagelink doctor finds\"";

    #[test]
    fn advice_for_several_findings_is_given_once() {
        console::set_colors_enabled(false);
        let found = |message: &str, advice: &str| Finding {
            level: Level::Error,
            message: message.to_owned(),
            advice: advice.to_owned(),
        };
        let findings = vec![
            found("V1 was edited", "restore it"),
            found("V2 was edited", "restore it"),
            found("V3 is not in the folder", "bring it back"),
        ];
        let report = DoctorReport {
            stages: Vec::new(),
            project: vec![result("migrations", Verdict::Findings(findings))],
        };
        let text = of(&report, 80, false);
        let lines: Vec<_> = text.lines().skip(1).take(5).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "✗ migrations: V1 was edited",
                "✗ migrations: V2 was edited",
                "→ restore it",
                "✗ migrations: V3 is not in the folder",
                "→ bring it back",
            ]
        );
    }

    #[test]
    fn report_fits_a_terminal_of_80_and_of_120_columns() {
        console::set_colors_enabled(false);
        for (width, expected) in [(80, AT_80), (120, AT_120)] {
            let text = of(&report(), width, false);
            assert_eq!(text, expected);
            assert!(text.lines().all(|line| measure_text_width(line) <= width));
        }
        let all = of(&report(), 80, true);
        assert!(all.contains("\n  ✓ clock: within 0.0 s\n"), "{all}");
    }

    #[test]
    fn command_stays_on_a_line_where_it_fits() {
        let of = |text, room| words(text, room).collect::<Vec<_>>();
        assert_eq!(of("run `a b` now", 5), ["run", "`a b`", "now"]);
        assert_eq!(of("run `a b` now", 4), ["run", "`a", "b`", "now"]);
        assert_eq!(of("an odd ` here", 20), ["an", "odd", "` here"]);
    }
}
