//! `stagelink build --gate`: in a build by Netlify, stops a deploy that the stage's database cannot run.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use stagelink::{Database, Settings, Stage, StageKind};
use stagelink_pipeline::{DeployContext, GateVerdict, SettingsFile, SiteBuild};

use crate::args::LocalOptions;
use crate::output::note;
use crate::progress::Step;
use crate::project;
use crate::stage_context::context_of;
use crate::stage_database::settings_of;

/// A build by Netlify, by the variables that it sets.
#[derive(Debug, PartialEq)]
struct NetlifyBuild {
    context: DeployContext,
    commit: Option<String>,
    /// The stage that the build's own environment names.
    named: Option<String>,
}

/// Writes the record file of what was built, and makes sure that the database of the context's stage can
/// run it. Outside of a build by Netlify it does nothing.
///
/// # Errors
///
/// When the database cannot run the functions as it is, and when that is not known for production,
/// unless `allows_unknown`.
pub(super) async fn run(project: &Path, allows_unknown: bool) -> anyhow::Result<()> {
    let Some(build) = NetlifyBuild::find(|name| std::env::var(name).ok())? else {
        note("  ! this is no build by Netlify: --gate does nothing");
        return Ok(());
    };
    let step = Step::begin("record");
    let site = SiteBuild::record(project, build.commit.clone())?;
    step.done(&format!(
        "artifact {} in {}",
        site.short_digest(),
        site.record_file().display()
    ));
    let file = project::settings_file(project)?;
    let Some(stage) = build.stage(file.as_ref())? else {
        note(format_args!(
            "  ! no stage has the deploys of Netlify's context {}: no database was asked",
            build.context
        ));
        return Ok(());
    };
    if stage.kind() == StageKind::Review {
        note("  ! a preview has the database of its own pull request, which was not asked");
        return Ok(());
    }
    let step = Step::begin("gate");
    let local = LocalOptions {
        local: None,
        project: project.to_owned(),
    };
    let name = stage.to_string();
    let settings = match settings_of(&[], Some(&name), &local).await {
        Ok(settings) => settings.map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            drop(step);
            return unknown(stage, error, allows_unknown);
        }
    };
    let database = Database::new(Ok(Settings::without_pooler(settings.with_app_names())));
    // It tells the class of migrations that the database does not record, and nothing else.
    let folder = project::migrations(project, file.as_ref()).unwrap_or_default();
    let verdict = site.gate(&database, folder.as_ref()).await?;
    judge(stage, &verdict)?;
    step.done(&format!("the database of {stage} runs it"));
    Ok(())
}

/// Refuses what the stage's database cannot run, with what to do.
fn judge(stage: Stage, verdict: &GateVerdict) -> anyhow::Result<()> {
    let advice = match verdict {
        GateVerdict::Runs => return Ok(()),
        GateVerdict::NeedsFirst(_) => format!(
            "run `stagelink migrate {stage}` from this commit, and start the build again; `stagelink \
             deploy {stage}` does both"
        ),
        GateVerdict::CannotRun(_) => {
            "deploy a commit that has these migrations: they are not taken back".to_owned()
        }
        GateVerdict::Unknown(_) => {
            format!("compare the migrations: `stagelink needs --stage {stage}`")
        }
    };
    bail!(
        "the database of {stage} cannot run these functions as it is: {}; {advice}",
        verdict.reasons().join("; ")
    );
}

/// Decides about a stage whose database cannot be asked.
fn unknown(stage: Stage, error: anyhow::Error, allows_unknown: bool) -> anyhow::Result<()> {
    if stage.kind() == StageKind::Production && !allows_unknown {
        return Err(error.context(format!(
            "whether the database of {stage} can run these functions is not known, since the build cannot \
             ask it: give the build what it needs, or let such a deploy pass with --allow-unknown"
        )));
    }
    note(format_args!(
        "  ! the database of {stage} was not asked: {error:#}"
    ));
    Ok(())
}

impl NetlifyBuild {
    /// Returns the build that this is; `None` outside of Netlify.
    ///
    /// # Errors
    ///
    /// When Netlify's variables do not say the context.
    fn find(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<Self>> {
        let set = |name: &str| {
            let value = variable(name)?.trim().to_owned();
            Some(value).filter(|value| !value.is_empty())
        };
        if set("NETLIFY").as_deref() != Some("true") {
            return Ok(None);
        }
        let context = match (set("CONTEXT").as_deref(), set("BRANCH")) {
            (Some("production"), _) => DeployContext::Production,
            (Some("deploy-preview"), _) => DeployContext::DeployPreview,
            (Some("branch-deploy"), Some(branch)) => DeployContext::Branch(branch),
            (Some(other), _) => DeployContext::Other(other.to_owned()),
            (None, _) => bail!("Netlify's variable CONTEXT is not set, so the stage is not known"),
        };
        let is_commit = |commit: &String| {
            commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        Ok(Some(Self {
            context,
            commit: set("COMMIT_REF").filter(is_commit),
            named: set("STAGELINK_STAGE"),
        }))
    }

    /// Returns the stage of the build's context: that of its environment, which has to be the one of
    /// the project's settings where both say one.
    fn stage(&self, file: Option<&SettingsFile>) -> anyhow::Result<Option<Stage>> {
        let of_file = file.map(|file| file.stages().keys().copied().collect::<Vec<_>>());
        let stages =
            of_file.unwrap_or_else(|| vec![Stage::PRODUCTION, Stage::STAGING, Stage::REVIEW]);
        let mapped = stages
            .into_iter()
            .find(|stage| context_of(*stage, file).is_ok_and(|context| context == self.context));
        let named = self.named.as_deref().map(str::parse::<Stage>);
        let named = named.transpose().context("could not use STAGELINK_STAGE")?;
        if let (Some(mapped), Some(named)) = (mapped, named) {
            ensure!(
                mapped == named,
                "STAGELINK_STAGE is {named} in Netlify's context {}, which belongs to stage {mapped}",
                self.context
            );
        }
        Ok(named.or(mapped))
    }
}

#[cfg(test)]
mod tests {
    use stagelink_local_postgres::{Server, ServerOptions};
    use stagelink_pipeline::{MigrationFolder, MigrationList};

    use super::*;

    fn build(variables: &[(&str, &str)]) -> anyhow::Result<Option<NetlifyBuild>> {
        NetlifyBuild::find(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn stage_is_that_of_the_context_or_of_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[stages.staging]\nbranch = \"next\"\n[stages.production]\n[stages.review]\n";
        std::fs::write(folder.path().join("stagelink.toml"), text).unwrap();
        let file = SettingsFile::load(folder.path()).unwrap();
        for (context, branch, named, with_file, without) in [
            (
                "production",
                "main",
                "",
                Some("production"),
                Some("production"),
            ),
            ("branch-deploy", "next", "", Some("staging"), None),
            ("branch-deploy", "staging", "", None, Some("staging")),
            (
                "branch-deploy",
                "qa",
                "staging/qa",
                Some("staging/qa"),
                Some("staging/qa"),
            ),
            ("deploy-preview", "fix", "", Some("review"), Some("review")),
            ("dev", "main", "", None, None),
        ] {
            let build = build(&[
                ("NETLIFY", "true"),
                ("CONTEXT", context),
                ("BRANCH", branch),
                ("STAGELINK_STAGE", named),
            ]);
            let build = build.unwrap().expect("a build by Netlify");
            for (file, expected) in [(file.as_ref(), with_file), (None, without)] {
                let stage = build.stage(file).unwrap().map(|stage| stage.to_string());
                assert_eq!(stage.as_deref(), expected, "{context} {branch}");
            }
        }
        let other = build(&[
            ("NETLIFY", "true"),
            ("CONTEXT", "production"),
            ("STAGELINK_STAGE", "staging"),
        ]);
        let error = other.unwrap().unwrap().stage(None).unwrap_err();
        assert!(
            error.to_string().contains("belongs to stage production"),
            "{error}"
        );
    }

    #[test]
    fn build_elsewhere_is_none_by_netlify() {
        assert_eq!(build(&[]).unwrap(), None);
        assert_eq!(
            build(&[("NETLIFY", "false"), ("CONTEXT", "production")]).unwrap(),
            None
        );
        build(&[("NETLIFY", "true")]).unwrap_err();
        let commit = "a".repeat(40);
        for (written, expected) in [(&*commit, Some(&*commit)), ("HEAD", None), ("", None)] {
            let found = build(&[
                ("NETLIFY", "true"),
                ("CONTEXT", "production"),
                ("COMMIT_REF", written),
            ]);
            assert_eq!(found.unwrap().unwrap().commit.as_deref(), expected);
        }
    }

    #[test]
    fn only_production_is_refused_where_the_database_cannot_be_asked() {
        let error = || anyhow::anyhow!("there is no token");
        unknown(Stage::STAGING, error(), false).unwrap();
        unknown(Stage::PRODUCTION, error(), true).unwrap();
        let refused = unknown(Stage::PRODUCTION, error(), false).unwrap_err();
        let text = format!("{refused:#}");
        assert!(
            text.contains("--allow-unknown") && text.contains("there is no token"),
            "{text}"
        );
    }

    #[test]
    fn refusal_says_what_is_missing_and_what_to_do() {
        judge(Stage::PRODUCTION, &GateVerdict::Runs).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("V2__b.sql"), "CREATE TABLE b (c int);").unwrap();
        let folder = MigrationFolder::read(folder.path()).unwrap();
        let missing = MigrationList::of(&folder).migrations().to_vec();
        let refused = judge(Stage::PRODUCTION, &GateVerdict::NeedsFirst(missing)).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("V2__b is not applied")
                && text.contains("`stagelink migrate production`"),
            "{text}"
        );
        for verdict in [
            GateVerdict::Unknown(Vec::new()),
            GateVerdict::CannotRun(Vec::new()),
        ] {
            judge(Stage::STAGING, &verdict).unwrap_err();
        }
    }

    #[test]
    fn record_file_is_published_and_replaced_and_is_no_part_of_the_artifact() {
        let project = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = project.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        let toml = "[build]\npublish = \"public\"\n[functions]\ndirectory = \"dist/functions\"\n";
        write("netlify.toml", toml.as_bytes());
        write("public/index.html", b"one");
        std::fs::create_dir_all(project.path().join("dist/functions")).unwrap();
        let commit = || Some("a".repeat(40));
        let first = SiteBuild::record(project.path(), commit()).unwrap();
        let expected = project.path().join("public/.well-known/stagelink.json");
        assert_eq!(first.record_file(), expected);
        let written = std::fs::read_to_string(&expected).unwrap();
        assert!(written.contains(&first.digest()), "{written}");
        assert!(written.contains(&"a".repeat(40)), "{written}");

        let again = SiteBuild::record(project.path(), commit()).unwrap();
        assert_eq!(again.digest(), first.digest());
        assert_eq!(std::fs::read_to_string(&expected).unwrap(), written);
        write("public/index.html", b"two");
        let changed = SiteBuild::record(project.path(), commit()).unwrap();
        assert_ne!(changed.digest(), first.digest());

        // What a promotion could not repeat has no record file.
        write("netlify/edge-functions/a.js", b"");
        SiteBuild::record(project.path(), commit()).unwrap_err();
        assert!(!expected.exists());
    }

    #[tokio::test]
    async fn gate_asks_the_database_of_the_stage_and_no_other() {
        let source = std::env::var("STAGELINK_POSTGRES").unwrap_or_else(|_| "auto".to_owned());
        let options = ServerOptions::new().source(source.parse().unwrap());
        let server = Server::start(options).await.unwrap();
        let database = server.create_database("gate", "of-a-test").await.unwrap();
        let of = |stage: &str| {
            let settings = Settings::from_vars([
                ("STAGELINK_STAGE", stage),
                ("STAGELINK_PROVIDER", "url"),
                ("DATABASE_URL", &database.url()),
            ]);
            Database::new(settings.map(Settings::without_pooler))
        };
        let project = tempfile::tempdir().unwrap();
        let at = |path: &str| project.path().join(path);
        for folder in ["public", "dist/functions", "migrations"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(
            at("netlify.toml"),
            "[build]\npublish = \"public\"\n[functions]\ndirectory = \"dist/functions\"\n",
        )
        .unwrap();
        std::fs::write(at("migrations/V1__a.sql"), "CREATE TABLE a (b int);").unwrap();
        let folder = MigrationFolder::read(&at("migrations")).unwrap();
        let list = MigrationList::of(&folder);
        let program = list
            .write_into(&std::fs::read("/bin/true").unwrap())
            .unwrap();
        std::fs::write(at("dist/functions/notes"), program).unwrap();
        let site = SiteBuild::record(project.path(), None).unwrap();
        let verdict = site.gate(&of("staging"), Some(&folder)).await.unwrap();
        assert_eq!(verdict, GateVerdict::NeedsFirst(list.migrations().to_vec()));
        of("production").set_stage_mark().await.unwrap();
        site.gate(&of("staging"), Some(&folder)).await.unwrap_err();
    }
}
