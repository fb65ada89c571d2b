//! The check of the code that runs: the functions of a stage's deploy are asked, and judged by the
//! deploy's record and by the database's migrations.

use futures_util::future::join_all;
use stagelink::Stage;
use stagelink::tokio_postgres::Client;

use crate::doctor::own_database::Reached;
use crate::doctor::questions::Questions;
use crate::doctor::site_facts::{LIMIT, NoSite, SiteFacts};
use crate::doctor::verdict::{Finding, Level, Verdict};
use crate::migrations::{MigrationFolder, ReadError};
use crate::needs::RecordedMigration;
use crate::netlify::{Deploy, DeployContext};
use crate::promotion::{MOST_LAMBDA_RECORDS as MOST_DEPLOY_RECORDS, read_deploy_records};
use crate::status::{Lookup, RunningAnswer, RunningDeploy, RunningFunction, RunningQuestion};

/// Asks the functions of each stage that has a context on the site, side by side. A stage without a
/// verdict has no deploy that a command of stagelink made.
pub(super) async fn examine(
    stages: &[Stage],
    contexts: &[(DeployContext, Stage)],
    site: &Result<SiteFacts, NoSite>,
    reached: &[Reached],
    folder: Option<&MigrationFolder>,
    options: &str,
) -> Vec<(Stage, Verdict)> {
    let asked = stages.iter().map(async |stage| {
        let mut contexts = contexts.iter();
        let Some((context, _)) = contexts.find(|(_, of)| of == stage) else {
            return Vec::new();
        };
        let deploy = match site {
            Ok(site) => site.deploy_of(context),
            Err(NoSite::None) => return Vec::new(),
            Err(NoSite::NotAsked(_) | NoSite::Refused(_)) => {
                Err("the site was not read".to_owned())
            }
        };
        let deploy = match deploy {
            Ok(Some(deploy)) => deploy,
            Ok(None) => return Vec::new(),
            Err(reason) => return vec![Verdict::not_checked(reason)],
        };
        let client = reached.iter().find(|of| of.info.stage == *stage);
        let Some(client) = client.and_then(|of| of.client.as_ref()) else {
            return vec![Verdict::not_checked("the database was not reached")];
        };
        examine_deploy(*stage, deploy, client, folder, options).await
    });
    let verdicts = join_all(asked).await.into_iter().zip(stages);
    let verdicts = verdicts.flat_map(|(verdicts, stage)| {
        let verdicts = verdicts.into_iter();
        verdicts.map(|verdict| (*stage, verdict))
    });
    verdicts.collect()
}

async fn examine_deploy(
    stage: Stage,
    deploy: &Deploy,
    client: &Client,
    folder: Option<&MigrationFolder>,
    options: &str,
) -> Vec<Verdict> {
    let read = async {
        let records = read_deploy_records(client, stage, MOST_DEPLOY_RECORDS).await?;
        let history = RecordedMigration::read_by(client, folder).await?;
        Ok::<_, ReadError>((records, history))
    };
    let (records, history) = match Questions::new(client).read(read).await {
        Ok(read) => read,
        Err(reason) => return vec![Verdict::not_checked(reason)],
    };
    let question = RunningQuestion {
        stage,
        deploy: &deploy.id,
        url: deploy.address(),
        records: &records,
        history: &Ok(history),
    };
    match question.ask(LIMIT).await {
        Lookup::Known { value } => judge(&value, stage.as_str(), options),
        Lookup::Absent { .. } => Vec::new(),
        Lookup::NotKnown { reason } => vec![Verdict::not_checked(reason)],
    }
}

/// Judges the answers of a deploy's functions.
fn judge(deploy: &RunningDeploy, stage: &str, options: &str) -> Vec<Verdict> {
    let mut findings = Vec::new();
    let mut unknown = Vec::new();
    for RunningFunction { name, answer } in &deploy.functions {
        match answer {
            Lookup::Known { value } => {
                judge_answer(name, value, stage, options, &mut findings, &mut unknown);
            }
            Lookup::Absent { reason } | Lookup::NotKnown { reason } => findings.push(Finding::new(
                Level::Warning,
                format_args!(
                    "the running function {name} could not be asked: it {reason} ({})",
                    deploy.url
                ),
                "read the function's log, and run the command again; a site with a password keeps \
                 stagelink out, too",
            )),
        }
    }
    if !deploy.not_asked.is_empty() {
        let names = deploy.not_asked.join(", ");
        unknown.push(format!(
            "{names}: beyond the number of functions that are asked"
        ));
    }
    let functions = deploy.functions.iter();
    let names: Vec<_> = functions.map(|of| of.name.as_str()).collect();
    let mut seen = match names.is_empty() {
        true => "no function can be asked".to_owned(),
        false => format!("as the record says: {}", names.join(", ")),
    };
    if !deploy.uncallable.is_empty() {
        let names = deploy.uncallable.join(", ");
        seen.push_str(&format!("; only Netlify calls {names}"));
    }
    Verdict::all_of(findings, &unknown, seen)
}

fn judge_answer(
    name: &str,
    answer: &RunningAnswer,
    stage: &str,
    options: &str,
    findings: &mut Vec<Finding>,
    unknown: &mut Vec<String>,
) {
    if !answer.differs.is_empty() {
        findings.push(Finding::new(
            Level::Error,
            format_args!(
                "the running function {name} is not what the record of its deploy says: it {}",
                answer.differs.join("; it ")
            ),
            format_args!("deploy again: `stagelink deploy {stage}`, or `stagelink promote`"),
        ));
    }
    match &answer.needs {
        Lookup::Known { value } => {
            let reasons = value.reasons.join(", and ");
            match &*value.verdict {
                "runs" => {}
                "needs-first" => findings.push(Finding::new(
                    Level::Error,
                    format_args!("the running function {name} needs more: {reasons}"),
                    format_args!("run `stagelink migrate {stage}{options}`"),
                )),
                "cannot-run" => findings.push(Finding::new(
                    Level::Error,
                    format_args!("the running function {name} cannot run here: {reasons}"),
                    "deploy code that was built with it",
                )),
                _ => unknown.push(format!("{name}: {reasons}")),
            }
        }
        Lookup::Absent { reason } | Lookup::NotKnown { reason } => {
            unknown.push(format!("{name}: {reason}"));
        }
    }
    if !answer.is_database_ok() {
        let level = match answer.is_retryable {
            true => Level::Warning,
            false => Level::Error,
        };
        findings.push(Finding::new(
            level,
            format_args!(
                "the running function {name} cannot use its database ({})",
                answer.database
            ),
            match &*answer.database {
                "database-refused" => format!(
                    "its deploy has a password that was replaced: `stagelink link{options}` sets the one of \
                     now, then `stagelink deploy {stage}{options}`"
                ),
                _ => "read the function's log, which says why".to_owned(),
            },
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::RunningNeeds;

    fn answer() -> RunningAnswer {
        let json = serde_json::json!({
            "differs": [], "database": "ok", "is_retryable": false,
            "needs": {"state": "known", "value": {"verdict": "runs", "reasons": []}},
        });
        serde_json::from_value(json).unwrap()
    }

    fn deploy(answer: Lookup<RunningAnswer>) -> RunningDeploy {
        let functions = serde_json::json!([{"name": "hello", "answer": answer}]);
        let json = serde_json::json!({
            "url": "https://shop.example", "functions": functions, "uncallable": [], "not_asked": [],
        });
        serde_json::from_value(json).unwrap()
    }

    /// The only finding about a function with this answer.
    fn finding(answer: Lookup<RunningAnswer>) -> Finding {
        match judge(&deploy(answer), "staging", " --local").as_slice() {
            [Verdict::Findings(found)] if found.len() == 1 => found[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    fn needs(verdict: &str, reason: &str) -> Lookup<RunningNeeds> {
        let value = serde_json::json!({"verdict": verdict, "reasons": [reason]});
        Lookup::known(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn functions_that_agree_are_named() {
        let mut found = deploy(Lookup::known(answer()));
        found.uncallable.push("nightly".to_owned());
        let expected = "as the record says: hello; only Netlify calls nightly";
        assert_eq!(judge(&found, "staging", ""), [Verdict::sound(expected)]);
        found.not_asked.push("thirteenth".to_owned());
        let verdicts = judge(&found, "staging", "");
        let [Verdict::NotChecked(reason)] = verdicts.as_slice() else {
            panic!("{verdicts:?}");
        };
        assert!(reason.starts_with("thirteenth: "), "{reason}");
    }

    #[test]
    fn each_fault_is_a_finding_of_its_own() {
        let differs = RunningAnswer {
            differs: vec!["runs the program a".to_owned(), "serves b".to_owned()],
            ..answer()
        };
        let found = finding(Lookup::known(differs));
        assert_eq!(found.level, Level::Error);
        let words =
            "hello is not what the record of its deploy says: it runs the program a; it serves b";
        assert!(found.message.contains(words), "{found:?}");

        let more = RunningAnswer {
            needs: needs("needs-first", "V2__b is not applied"),
            ..answer()
        };
        let found = finding(Lookup::known(more));
        assert!(found.message.ends_with("needs more: V2__b is not applied"));
        assert_eq!(found.advice, "run `stagelink migrate staging --local`");

        let broken = RunningAnswer {
            needs: needs("cannot-run", "V3__c is applied"),
            ..answer()
        };
        assert!(
            finding(Lookup::known(broken))
                .message
                .contains("cannot run here")
        );

        let found = finding(Lookup::not_known("fails (500)"));
        assert_eq!(found.level, Level::Warning);
        let words = "could not be asked: it fails (500) (https://shop.example)";
        assert!(found.message.contains(words), "{found:?}");

        for (is_retryable, level) in [(true, Level::Warning), (false, Level::Error)] {
            let unreached = RunningAnswer {
                database: "database-refused".to_owned(),
                is_retryable,
                ..answer()
            };
            assert_eq!(finding(Lookup::known(unreached)).level, level);
        }
    }

    #[test]
    fn needs_that_cannot_be_judged_are_not_checked() {
        for needs in [
            needs("unknown", "it has no list of migrations"),
            Lookup::not_known("the server did not answer"),
        ] {
            let found = judge(
                &deploy(Lookup::known(RunningAnswer { needs, ..answer() })),
                "staging",
                "",
            );
            assert!(
                matches!(found.as_slice(), [Verdict::NotChecked(_)]),
                "{found:?}"
            );
        }
    }
}
