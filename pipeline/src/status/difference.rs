//! The differences between the stages of a board: pure.

use serde::{Deserialize, Serialize};

use crate::status::stage::StageStatus;

/// A difference between two stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// The kind.
    pub kind: DifferenceKind,
    /// The difference as a sentence without a full stop.
    pub text: String,
}

/// A kind of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceKind {
    /// The stages run other commits.
    Commit,
    /// A migration is applied in one stage and pending in the other.
    Migrations,
    /// The servers have other major versions.
    ServerVersion,
}

/// Returns the differences between each stage and the last one, which is production where the board
/// has it. Parts that are not known in both do not count.
pub(super) fn differences(stages: &[StageStatus]) -> Vec<Difference> {
    let production = stages.iter().find(|stage| stage.is_production());
    let Some(base) = production.or(stages.last()) else {
        return Vec::new();
    };
    let others = stages.iter().filter(|stage| stage.stage != base.stage);
    others
        .flat_map(|other| {
            let found = [
                commits(other, base),
                pending_in(base, other),
                pending_in(other, base),
                versions(other, base),
            ];
            found.into_iter().flatten()
        })
        .collect()
}

fn commits(one: &StageStatus, other: &StageStatus) -> Option<Difference> {
    let commit = |stage: &StageStatus| stage.code.value()?.commit.clone();
    let (first, second) = (commit(one)?, commit(other)?);
    (first != second).then(|| Difference {
        kind: DifferenceKind::Commit,
        text: format!(
            "{} runs commit {}, and {} runs {}",
            one.stage,
            short(&first),
            other.stage,
            short(&second)
        ),
    })
}

/// Returns the migrations that are pending in one stage and applied in another.
fn pending_in(one: &StageStatus, other: &StageStatus) -> Option<Difference> {
    let pending = one.migrations.value()?.pending.value()?;
    let applied = &other.migrations.value()?.applied;
    let between: Vec<_> = pending
        .iter()
        .filter(|name| applied.contains(name))
        .map(String::as_str)
        .collect();
    let verb = match between.len() {
        0 => return None,
        1 => "is",
        _ => "are",
    };
    Some(Difference {
        kind: DifferenceKind::Migrations,
        text: format!(
            "{} {verb} applied in {} and pending in {}",
            between.join(", "),
            other.stage,
            one.stage
        ),
    })
}

fn versions(one: &StageStatus, other: &StageStatus) -> Option<Difference> {
    let version = |stage: &StageStatus| {
        let version = stage.database.value()?.server_version.clone()?;
        let major = version.split(['.', ' ']).next()?.to_owned();
        Some(major).filter(|major| !major.is_empty())
    };
    let (first, second) = (version(one)?, version(other)?);
    (first != second).then(|| Difference {
        kind: DifferenceKind::ServerVersion,
        text: format!(
            "{} has Postgres {first}, and {} has {second}",
            one.stage, other.stage
        ),
    })
}

/// Returns a commit as Git shortens it.
fn short(commit: &str) -> String {
    commit.chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, commit: &str, version: &str, pending: &str, applied: &str) -> StageStatus {
        let json = format!(
            r#"{{"stage":"{name}","kind":"{name}",
            "code":{{"state":"known","value":{{"id":"1","commit":{commit},"branch":null,"title":null,
              "since":null,"created_at":null,"method":"git","is_locked":false,
              "digest":{{"state":"absent","reason":"x"}}}}}},
            "provider":null,"plan":{{"state":"absent","reason":"x"}},
            "database":{{"state":"known","value":{{"database":"d","role":"r","server":"h:1",
              "host_kind":"other","origin":"o","is_pooled":false,"server_version":"{version}",
              "is_read_only":false,"mark":null,"is_of_another_stage":false}}}},
            "login":{{"state":"absent","reason":"x"}},
            "function_credentials":{{"state":"absent","reason":"x"}},
            "migrations":{{"state":"known","value":{{"applied":[{applied}],"newest_applied_on":null,
              "pending":{{"state":"known","value":[{pending}]}},"unknown":[],"overridden":[],"problems":[]}}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn stages_are_compared_with_production() {
        let production = stage(
            "production",
            r#""1111111aaa""#,
            "15.4",
            r#""V2__b""#,
            r#""V1__a""#,
        );
        let staging = stage(
            "staging",
            r#""2222222bbb""#,
            "17.0 (Debian)",
            "",
            r#""V1__a","V2__b""#,
        );
        let texts: Vec<_> = differences(&[staging.clone(), production.clone()])
            .into_iter()
            .map(|difference| difference.text)
            .collect();
        assert_eq!(
            texts,
            [
                "staging runs commit 2222222, and production runs 1111111",
                "V2__b is applied in staging and pending in production",
                "staging has Postgres 17, and production has 15",
            ]
        );
        let same = stage(
            "staging",
            r#""1111111aaa""#,
            "15.9",
            r#""V2__b""#,
            r#""V1__a""#,
        );
        assert_eq!(differences(&[same, production.clone()]), []);
        let unknown = stage("staging", "null", "", "", "");
        assert_eq!(differences(&[unknown, production]), []);
    }
}
