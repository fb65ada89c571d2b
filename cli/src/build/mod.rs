//! `stagelink build`: builds the functions for Netlify and AWS Lambda.
//!
//! An artifact is one program that needs nothing of the platform's image: the C library is linked
//! statically. The same source and compilers give the same bytes, whichever folder they build in.

mod artifact;
mod build_config;
mod check;
mod compile;
mod elf;
mod gate;
mod migrations;
mod paths;
mod report;
mod strip;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

pub use artifact::Artifact;
pub use build_config::BuildConfig;
pub use check::{CheckOutcome, check};
pub use elf::{NETLIFY_SYMBOL, count_symbols, verify_deployable};
pub use strip::strip;

pub use crate::target::{Arch, Libc, Target};
pub use stagelink_pipeline::{BOOTSTRAP, zip_program as zip};

use crate::args::BuildOptions;
use crate::output::{self, print, print_json};
use crate::progress::Step;
use crate::project;
use crate::shutdown_signals::{self, ShutdownSignals};

/// A build of all functions of a project.
#[derive(Clone, Debug)]
pub struct Build {
    /// The project: the folder that holds `functions`.
    pub project: PathBuf,
    /// The platform to build for.
    pub target: Target,
    /// The folder for the artifacts: they go to `functions` (for Netlify) and
    /// `lambda/<processor>` in it.
    pub output: PathBuf,
}

/// Builds the artifacts, starts each, and prints what it built. A signal that asks the command to end
/// ends cargo, its compilers and the started functions, too; the exit code is then 128 and its number.
///
/// # Errors
///
/// When the machine lacks a compiler or library, a function does not build, or its program does
/// not answer.
pub async fn run(options: BuildOptions) -> anyhow::Result<ExitCode> {
    let mut signals = ShutdownSignals::listen()?;
    tokio::select! {
        built = build_and_check(options) => built.map(|()| ExitCode::SUCCESS),
        // Dropping the future stops what it has started.
        signal = signals.next() => {
            output::note(format_args!("the build was stopped by {signal}"));
            Ok(ExitCode::from(shutdown_signals::exit_code(signal)))
        }
    }
}

async fn build_and_check(options: BuildOptions) -> anyhow::Result<()> {
    let project = project::open(&options.project)?;
    let target = match (options.target, options.arch) {
        (Some(target), _) => target,
        (None, arch) => Target::of(arch.unwrap_or(Arch::X86_64)),
    };
    let gated = options.gate.then(|| project.clone());
    let build = Build {
        output: options.output.unwrap_or_else(|| project.join("dist")),
        project,
        target,
    };

    let artifacts = build.show().await?;
    if !options.no_check {
        check_all(&artifacts, target).await?;
    }
    if let Some(project) = gated {
        gate::run(&project, options.allow_unknown).await?;
    }
    if options.json {
        return print_json(&report::json(&artifacts, target));
    }
    print(report::table(&artifacts, target))
}

/// Builds the programs of a project for Netlify, and starts each, as `stagelink build` does.
///
/// # Errors
///
/// Those of [`run`].
pub(crate) async fn build_for_netlify(project: &Path) -> anyhow::Result<()> {
    build_for_lambda(project, Arch::X86_64).await
}

/// Builds the programs of a project for AWS Lambda on this processor, and starts each.
///
/// # Errors
///
/// Those of [`run`].
pub(crate) async fn build_for_lambda(project: &Path, arch: Arch) -> anyhow::Result<()> {
    let build = Build {
        output: project.join("dist"),
        project: project.to_owned(),
        target: Target::of(arch),
    };
    let artifacts = build.show().await?;
    check_all(&artifacts, build.target).await
}

/// Starts each program, and shows whether it answers.
async fn check_all(artifacts: &[Artifact], target: Target) -> anyhow::Result<()> {
    let step = Step::begin("check");
    let report_progress = step.teller();
    let mut outcomes = Vec::new();
    for artifact in artifacts {
        report_progress(&artifact.function);
        let outcome = check(&artifact.function, &artifact.program, target).await?;
        outcomes.push(format!("{} {outcome}", artifact.function));
    }
    step.done(&outcomes.join(", "));
    Ok(())
}

impl Build {
    /// Builds all functions, and shows the progress.
    async fn show(&self) -> anyhow::Result<Vec<Artifact>> {
        let step = Step::begin_long("artifacts");
        let (artifacts, notes) = self.run(step.build_teller()).await?;
        step.done(&format!("{} for {}", artifacts.len(), self.target));
        for note in notes {
            output::note(format_args!("  ! {note}"));
        }
        Ok(artifacts)
    }

    /// Builds all functions. Returns the artifacts, and notes on them for the user.
    ///
    /// Calls `on_line` with each line that cargo prints.
    ///
    /// # Errors
    ///
    /// When the machine lacks a compiler or library, a function does not build, or the platforms
    /// could not run its program.
    pub async fn run(
        &self,
        on_line: impl FnMut(&str),
    ) -> anyhow::Result<(Vec<Artifact>, Vec<String>)> {
        let compiled = compile::compile(&self.project, self.target, on_line).await?;
        let mut notes = compiled.notes;
        let migrations = migrations::list(&self.project);
        notes.extend(migrations.as_ref().err().cloned());
        let mut programs = Vec::new();
        for built in &compiled.functions {
            let unstripped = std::fs::read(&built.executable)
                .with_context(|| format!("could not read {}", built.executable.display()))?;
            let program = strip(&unstripped).unwrap_or_else(|error| {
                // It runs all the same, and is only larger.
                notes.push(format!("{} keeps its symbols: {error:#}", built.name));
                unstripped
            });
            let program = match &migrations {
                Ok(list) => list
                    .write_into(&program)
                    .with_context(|| format!("could not finish the function {}", built.name))?,
                Err(_) => program,
            };
            verify_deployable(&program, self.target)
                .with_context(|| format!("the function {} cannot be deployed", built.name))?;
            programs.push((built.name.clone(), program));
        }
        let artifacts = artifact::write(
            programs,
            self.target,
            &self.output,
            compiled.build_config.triple_dir().as_std_path(),
        )?;
        Ok((artifacts, notes))
    }
}
