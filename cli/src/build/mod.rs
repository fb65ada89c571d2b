//! `stagelink build`: the functions as Netlify and AWS Lambda take them.
//!
//! An artifact is one program with all that it needs in it, so it does not depend on what the
//! platform's image has: the C library is static, and OpenSSL is built from its source. The
//! same source gives the same bytes in whatever folder it is built, by the same compilers.

mod archive;
mod artifact;
mod build_config;
mod check;
mod compile;
mod elf;
mod openssl;
mod paths;
mod report;
mod strip;
mod toolchain;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

pub use crate::target::{Arch, Libc, Target};
pub use archive::{BOOTSTRAP, zip};
pub use artifact::Artifact;
pub use build_config::BuildConfig;
pub use check::{CheckOutcome, check};
pub use elf::{NETLIFY_SYMBOL, count_symbols, verify_deployable};

use crate::args::BuildOptions;
use crate::progress::Step;

/// What to build, and where to put it.
#[derive(Clone, Debug)]
pub struct Build {
    /// The project: the folder with functions/.
    pub project: PathBuf,
    /// What the functions are to run on.
    pub target: Target,
    /// Where the artifacts go: into `functions` (for Netlify) and `lambda/<processor>` in it.
    pub output: PathBuf,
}

/// Builds, checks, and on_line what came of it.
///
/// # Errors
///
/// When something is missing, a function does not build, or its program does not run.
pub async fn run(options: BuildOptions) -> anyhow::Result<()> {
    let project = options
        .project
        .canonicalize()
        .with_context(|| format!("there is no project in {}", options.project.display()))?;
    let target = match (options.target, options.arch) {
        (Some(target), _) => target,
        (None, arch) => Target::of(arch.unwrap_or(Arch::X86_64)),
    };
    let build = Build {
        output: options.output.unwrap_or_else(|| project.join("dist")),
        project,
        target,
    };

    let step = Step::begin("artifacts");
    let (artifacts, notes) = build.run(step.teller()).await?;
    step.done(&format!("{} for {target}", artifacts.len()));
    for note in notes {
        eprintln!("  ! {note}");
    }
    if !options.no_check {
        let step = Step::begin("check");
        let tell = step.teller();
        let mut said = Vec::new();
        for artifact in &artifacts {
            tell(&artifact.function);
            let check = check(&artifact.function, &artifact.program, target).await?;
            said.push(format!("{} {check}", artifact.function));
        }
        step.done(&said.join(", "));
    }
    let text = if options.json {
        report::json(&artifacts, target)?
    } else {
        report::table(&artifacts, target)
    };
    writeln!(std::io::stdout().lock(), "{text}").context("could not write to standard output")
}

impl Build {
    /// Builds all functions. `on_line` is told each line of the build as it comes; beside the
    /// artifacts it returns what a person should know of them.
    ///
    /// # Errors
    ///
    /// When something is missing, a function does not build, or its program is not one that the
    /// platforms can run.
    pub async fn run(
        &self,
        on_line: impl FnMut(&str),
    ) -> anyhow::Result<(Vec<Artifact>, Vec<String>)> {
        let compiled = compile::compile(&self.project, self.target, on_line).await?;
        let mut artifacts = Vec::new();
        for built in &compiled.functions {
            let stripped = compiled.build_config.strip(&built.executable);
            let program =
                stripped.with_context(|| format!("could not strip the function {}", built.name))?;
            verify_deployable(&program, self.target)
                .with_context(|| format!("the function {} cannot be deployed", built.name))?;
            artifacts.push((built.name.clone(), program));
        }
        let artifacts = artifact::write(
            artifacts,
            self.target,
            &self.output,
            compiled.build_config.triple_dir().as_std_path(),
        )?;
        Ok((artifacts, compiled.notes))
    }
}
