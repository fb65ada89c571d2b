//! The cells of a stage, as lines with a mark.

use jiff::Timestamp;
use stagelink::one_line;
use stagelink_pipeline::{
    DatabaseStatus, DeployStatus, FunctionCredentials, HistoryEntry, LambdaStatus, LoginStatus,
    Lookup, MigrationStatus, PendingAfter, StageStatus,
};

use super::cell::{Cell, Mark, listed};
use super::running_text;
use super::time::with_age;
use super::unfinished_text;
use crate::called_as::as_called;

/// The names of the rows.
pub(super) const ROWS: [&str; 4] = ["code", "database", "migrations", "credentials"];

/// Returns the cells of a stage, one for each row.
pub(super) fn cells(stage: &StageStatus, now: Timestamp) -> [Cell; 4] {
    let mut code = Cell::default();
    // Where the code is on Lambda, no deploy on Netlify is missed.
    let is_on_netlify = !matches!(stage.code, Lookup::Absent { .. });
    if let Some(url) = &stage.local_url {
        code.plain(format_args!(
            "the project's own build, as `stagelink dev` serves it"
        ));
        // A terminal of 80 columns has room for it without the scheme.
        let place = url.strip_prefix("http://").unwrap_or(url);
        code.plain(one_line(place));
        match &stage.code {
            Lookup::Known { .. } => code.plain("and on the local Netlify:"),
            Lookup::Absent { reason } => {
                code.plain(format_args!("nothing on the local Netlify: {reason}"));
            }
            Lookup::NotKnown { reason } => {
                let text = format_args!("what is on the local Netlify is not known: {reason}");
                code.line(Mark::NotKnown, text);
            }
        }
    } else if is_on_netlify || matches!(stage.lambda, Lookup::Absent { .. }) {
        code.without_value(&stage.code);
    }
    if let Some(deploy) = stage.code.value() {
        add_deploy(&mut code, deploy, stage, now);
        running_text::add(&mut code, &stage.running, &stage.stage);
    }
    match &stage.lambda {
        Lookup::Known { value } => add_lambda(&mut code, value, now),
        Lookup::NotKnown { reason } => {
            code.line(
                Mark::NotKnown,
                format_args!("AWS Lambda not known: {reason}"),
            );
        }
        Lookup::Absent { .. } => {}
    }
    unfinished_text::add(&mut code, stage, now);
    [
        code,
        database(stage),
        migrations(stage, now),
        credentials(stage, now),
    ]
}

fn add_deploy(cell: &mut Cell, deploy: &DeployStatus, stage: &StageStatus, now: Timestamp) {
    let commit = deploy.commit.as_deref().map(short);
    match (commit, &deploy.branch) {
        (Some(commit), Some(branch)) => cell.plain(format_args!("{commit} of {branch}")),
        (Some(commit), None) => cell.plain(commit),
        (None, Some(branch)) => cell.plain(format_args!("branch {branch}, commit not recorded")),
        (None, None) => cell.plain("commit not recorded"),
    }
    if let Some(title) = &deploy.title {
        cell.plain(format_args!("“{}”", shortened(title)));
    }
    cell.plain(match deploy.method.as_str() {
        "git" => "built by Netlify from git",
        "cli" => "uploaded by the command line",
        "api" => "uploaded by API",
        _ => "uploaded (command line or API)",
    });
    if let Some(since) = &deploy.since {
        cell.plain(format_args!("since {}", with_age(since, now)));
    }
    cell.plain(format_args!("deploy {}", deploy.id));
    if let Some(digest) = deploy.digest.value() {
        let digest = digest.get(..12).unwrap_or(digest);
        cell.plain(format_args!("artifact {digest}"));
    }
    if deploy.is_untested {
        cell.line(Mark::Attention, "untested: it has not passed its test");
    }
    if deploy.is_locked {
        let is_of_change = stage.unfinished.value().is_some_and(|of| of.has_locked);
        cell.line(
            Mark::Attention,
            match is_of_change {
                true => "locked meanwhile: newer deploys are not published",
                false => "locked: newer deploys are not published",
            },
        );
    }
}

fn add_lambda(cell: &mut Cell, found: &LambdaStatus, now: Timestamp) {
    cell.plain(format_args!("AWS Lambda, {}", found.account));
    for function in &found.functions {
        let name = &function.function;
        match (&function.version, &function.sha256) {
            (Some(version), Some(sha256)) => {
                let sha256: String = sha256.chars().take(8).collect();
                cell.plain(format_args!("{name}: version {version}, SHA-256 {sha256}…"));
            }
            (Some(version), None) => cell.line(
                Mark::Bad,
                format_args!("{name}: version {version}, which was deleted"),
            ),
            (None, _) => cell.line(
                Mark::Attention,
                format_args!("{name}: no alias of the stage"),
            ),
        }
    }
    match &found.artifact {
        Lookup::Known { value } => {
            let artifact: String = value.chars().take(12).collect();
            let commit = found
                .commit
                .as_deref()
                .map_or("commit not recorded".to_owned(), short);
            cell.plain(format_args!("artifact {artifact}, {commit}"));
        }
        Lookup::Absent { reason } => {
            cell.line(
                Mark::Attention,
                format_args!("artifact not recorded: {reason}"),
            );
        }
        Lookup::NotKnown { reason } => {
            cell.line(Mark::NotKnown, format_args!("artifact not known: {reason}"));
        }
    }
    if let Some(since) = &found.since {
        cell.plain(format_args!("since {}", with_age(since, now)));
    }
}

fn database(stage: &StageStatus) -> Cell {
    let mut cell = Cell::default();
    if let Some(provider) = &stage.provider {
        cell.plain(format_args!(
            "{}: {}",
            title(&provider.name),
            provider.place
        ));
    }
    match &stage.plan {
        Lookup::Known { value } => {
            let plan = value.strip_prefix("heroku-postgresql:").unwrap_or(value);
            cell.plain(format_args!("plan {plan}"));
        }
        Lookup::NotKnown { reason } => {
            cell.line(Mark::NotKnown, format_args!("plan not known: {reason}"));
        }
        Lookup::Absent { .. } => {}
    }
    cell.without_value(&stage.database);
    if let Some(found) = stage.database.value() {
        add_database(&mut cell, found, &stage.stage);
    }
    cell
}

fn add_database(cell: &mut Cell, found: &DatabaseStatus, stage: &str) {
    let version = found
        .server_version
        .as_deref()
        .unwrap_or("of unknown version");
    cell.plain(format_args!("Postgres {version}"));
    cell.plain(format_args!("{} as {}", found.database, found.role));
    let host = match found.host_kind.as_str() {
        "other" => String::new(),
        kind => format!(" ({kind})"),
    };
    cell.plain(format_args!("{}{host}", found.server));
    if found.is_pooled {
        cell.plain("through a pooler");
    }
    if found.is_read_only {
        cell.line(Mark::Attention, "read-only");
    }
    match &found.mark {
        None => cell.line(
            Mark::Attention,
            as_called(&format!(
                "no stage mark: `stagelink mark set --stage {stage}`"
            )),
        ),
        Some(mark) if found.is_of_another_stage => cell.line(
            Mark::Bad,
            format_args!("marked as {mark}'s: functions of {stage} refuse it"),
        ),
        Some(mark) => cell.line(Mark::Good, format_args!("marked as {mark}'s")),
    }
}

fn migrations(stage: &StageStatus, now: Timestamp) -> Cell {
    let mut cell = Cell::default();
    match &stage.migrations {
        Lookup::Known { value } => add_migrations(&mut cell, value, &stage.stage, now),
        other if is_same_reason(other, &stage.database) => as_the_database(&mut cell, other),
        other => cell.without_value(other),
    }
    cell
}

fn add_migrations(cell: &mut Cell, found: &MigrationStatus, stage: &str, now: Timestamp) {
    let applied = match found.applied.last() {
        None => "none applied".to_owned(),
        Some(newest) => format!("{} applied, up to {newest}", found.applied.len()),
    };
    match &found.pending {
        Lookup::Known { value } if value.is_empty() => {
            cell.line(Mark::Good, format_args!("{applied}; none pending"));
        }
        Lookup::Known { value } => {
            cell.plain(applied);
            let (count, names) = (value.len(), listed(value));
            let of_after = found.after.value().map_or(&[][..], Vec::as_slice);
            let is_of_after = |name: &String| of_after.iter().any(|of| of.migration == *name);
            // Those of after have a line of their own, with the way to them.
            let way = match value.iter().all(is_of_after) {
                true => String::new(),
                false => format!(": `stagelink migrate {stage}`"),
            };
            cell.line(
                Mark::Attention,
                format_args!("{count} pending: {names}{way}"),
            );
        }
        Lookup::Absent { reason } => cell.plain(format_args!("{applied}; {reason}")),
        Lookup::NotKnown { reason } => {
            cell.plain(applied);
            cell.line(Mark::NotKnown, format_args!("pending not known: {reason}"));
        }
    }
    add_pending_after(cell, &found.after, stage);
    if let Some(classes) = HistoryEntry::classes_of(&found.history) {
        cell.plain(format_args!("by class: {classes}"));
    }
    if let Some(on) = &found.newest_applied_on {
        cell.plain(format_args!("newest {}", with_age(on, now)));
    }
    if !found.unknown.is_empty() {
        let (count, names) = (found.unknown.len(), listed(&found.unknown));
        cell.line(
            Mark::Bad,
            format_args!("{count} unknown to the folder: {names}"),
        );
    }
    for of in &found.overridden {
        let (migration, rule, reason) = (&of.migration, &of.rule, &of.reason);
        cell.line(
            Mark::Attention,
            format_args!("{migration} overrode {rule}: {reason}"),
        );
    }
    for problem in &found.problems {
        cell.line(Mark::Bad, problem);
    }
}

/// Adds the pending migrations of *after*: those that can be applied now, and what others wait for.
fn add_pending_after(cell: &mut Cell, found: &Lookup<Vec<PendingAfter>>, stage: &str) {
    if let Lookup::NotKnown { reason } = found {
        let text = format_args!("those of after not known: {reason}");
        cell.line(Mark::NotKnown, text);
    }
    let files = found.value().map_or(&[][..], Vec::as_slice);
    let (possible, waiting): (Vec<_>, Vec<_>) =
        files.iter().partition(|file| file.waits_for.is_empty());
    if !possible.is_empty() {
        let names: Vec<_> = possible.iter().map(|file| file.migration.clone()).collect();
        let names = listed(&names);
        cell.line(
            Mark::Attention,
            format_args!(
                "{names} of after can be applied now: `stagelink migrate {stage} --after`"
            ),
        );
    }
    for file in waiting {
        let reason = file.waits_for.first().map_or("", String::as_str);
        // `migrate --after` names the function, too.
        let state = reason.split("; ").next().unwrap_or(reason);
        let way = reason.rsplit_once(": ").map_or("", |(_, way)| way);
        let again = format!("run `stagelink migrate {stage} --after`");
        let way = way.replace("run the command again", &again);
        cell.plain(format_args!("{} waits: {state}; {way}", file.migration));
    }
}

fn credentials(stage: &StageStatus, now: Timestamp) -> Cell {
    let mut cell = Cell::default();
    match &stage.function_credentials {
        Lookup::Known { value } => {
            if stage.local_url.is_some() {
                cell.plain("of deploys on the local Netlify, by its variables:");
            }
            add_function_credentials(&mut cell, value, now);
            // Some context's value is newer than the deploy, and nothing says whose.
            let deploy = stage.code.value();
            if value.has_other_contexts
                && value.is_newer_than_deploy.is_none()
                && deploy.is_some_and(|deploy| deploy.created_at.is_some())
                && value.changed_at.is_some()
            {
                cell.line(
                    Mark::Attention,
                    "after the deploy, which keeps an older value if it was this context's",
                );
            }
        }
        // The cell of the code has the reason.
        other if is_same_reason(other, &stage.code) => {}
        other => cell.without_value(other),
    }
    match &stage.login {
        Lookup::Known { value } => {
            let provider = stage.provider.as_ref();
            add_login(&mut cell, value, provider.map(|of| of.name.as_str()));
        }
        other if is_same_reason(other, &stage.database) => as_the_database(&mut cell, other),
        other => cell.without_value(other),
    }
    cell
}

fn add_function_credentials(cell: &mut Cell, found: &FunctionCredentials, now: Timestamp) {
    match found.source.as_str() {
        "refused" => {
            let reason = found.refusal.as_deref().unwrap_or("no reason is known");
            cell.line(
                Mark::Bad,
                format_args!("functions refuse their variables: {reason}"),
            );
        }
        "deploy-time" => cell.plain("from deploy time"),
        "url" => cell.plain("a fixed URL"),
        provider => cell.plain(format_args!("asked of {} at run time", title(provider))),
    }
    match (&found.changed_at, found.source.as_str()) {
        (Some(at), _) if found.has_other_contexts => cell.plain(format_args!(
            "set {}, here or in another context",
            with_age(at, now)
        )),
        (Some(at), _) => cell.plain(format_args!("set {}", with_age(at, now))),
        (None, "deploy-time" | "url") => cell.plain("age not known: Netlify does not tell it"),
        _ => {}
    }
    if found.is_newer_than_deploy == Some(true) {
        cell.line(
            Mark::Attention,
            "set after the deploy, which keeps the older value",
        );
    }
    if found.source == "deploy-time" {
        match (&found.renewed_by, &found.renewed_by_not_known) {
            (Some(provider), _) => cell.plain(format_args!("renewed by {}", title(provider))),
            (None, Some(reason)) => cell.line(
                Mark::NotKnown,
                format_args!("what renews them is not known: {reason}"),
            ),
            (None, None) => cell.plain("not renewed: no provider is set"),
        }
    }
}

fn add_login(cell: &mut Cell, login: &LoginStatus, provider: Option<&str>) {
    let (works, fails) = match provider {
        Some("url") => ("the URL's work", "no login by the URL's"),
        Some("deploy-time") => (
            "those of deploy time work",
            "no login by those of deploy time",
        ),
        _ => ("the provider's work", "no login by the provider's"),
    };
    match (&login.proved_by, &login.reason) {
        (Some(proof), _) if login.works => {
            cell.line(
                Mark::Good,
                format_args!("{works}; server proved by {proof}"),
            );
        }
        (_, reason) => {
            let reason = reason.as_deref().unwrap_or("no reason is known");
            cell.line(Mark::Bad, format_args!("{fails}: {reason}"));
        }
    }
}

fn as_the_database<T>(cell: &mut Cell, lookup: &Lookup<T>) {
    match lookup.is_not_known() {
        true => cell.line(Mark::NotKnown, "not known, as the database"),
        false => cell.plain("none, as the database"),
    }
}

/// Returns whether two parts have no value for one reason.
fn is_same_reason<T, U>(one: &Lookup<T>, other: &Lookup<U>) -> bool {
    match (one, other) {
        (Lookup::Absent { reason: one }, Lookup::Absent { reason: other })
        | (Lookup::NotKnown { reason: one }, Lookup::NotKnown { reason: other }) => one == other,
        _ => false,
    }
}

/// Returns a provider's name as it writes it itself.
fn title(provider: &str) -> &str {
    match provider {
        "heroku" => "Heroku",
        "neon" => "Neon",
        "render" => "Render",
        "url" => "URL",
        "deploy-time" => "from deploy time",
        other => other,
    }
}

/// Returns a commit as Git shortens it.
fn short(commit: &str) -> String {
    commit.chars().take(7).collect()
}

fn shortened(title: &str) -> String {
    match title.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &title[..end]),
        None => title.to_owned(),
    }
}
