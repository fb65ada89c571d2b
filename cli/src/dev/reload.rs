//! Serves what a save has changed: it builds the functions, or reads the site's configuration or the
//! variables anew, and goes on with what is served where that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use stagelink_local::netlify::Schedule;
use stagelink_local::netlify::SiteConfig;
use stagelink_local::{Cloud, CloudUpdate, Error, FunctionSite, StageSite};
use stagelink_pipeline::SETTINGS_FILE;

use super::build_news::{BuildNews, Part};
use super::environment::{OwnVariables, StageVariables};
use super::schedules;
use super::sources::Sources;
use super::watch::{FileWatcher, WatchList};
use crate::functions::{self, BuiltFunction};
use crate::output::{note, note_error};
use crate::progress::Step;

/// The project as it is served, and the watch over its files.
pub(super) struct Reload {
    project: PathBuf,
    release: bool,
    packages: Vec<String>,
    sources: Sources,
    watcher: FileWatcher,
    /// The program of each function that is served.
    served: BTreeMap<String, ProgramState>,
    news: BuildNews,
    own: OwnVariables,
    /// The variables of each stage that its functions have.
    variables: BTreeMap<String, StageVariables>,
    /// The published folder and the warnings of the site's configuration.
    publish: PathBuf,
    warnings: BTreeSet<String>,
    schedules: BTreeMap<String, Schedule>,
    /// The parts whose last change could not be served, and the error that was told.
    failed: BTreeMap<Part, String>,
    /// Set while `packages` and `sources` may be those of older manifests.
    is_outdated: bool,
}

/// A site that serves the project, and takes its changes.
pub(super) trait Served {
    /// Changes what is served.
    async fn update(&self, update: CloudUpdate) -> Result<BTreeSet<String>, Error>;

    /// Returns whether the schedules of netlify.toml run here.
    fn runs_schedules(&self) -> bool;
}

impl Served for Cloud {
    async fn update(&self, update: CloudUpdate) -> Result<BTreeSet<String>, Error> {
        Self::update(self, update).await
    }

    fn runs_schedules(&self) -> bool {
        self.stages().iter().any(StageSite::runs_schedules)
    }
}

impl Served for FunctionSite {
    async fn update(&self, update: CloudUpdate) -> Result<BTreeSet<String>, Error> {
        Self::update(self, update).await
    }

    fn runs_schedules(&self) -> bool {
        false
    }
}

/// A program as a build has left it.
type ProgramState = (Option<SystemTime>, u64, u64);

impl Reload {
    /// Begins to watch a project, ahead of its first build: what is saved from now on is built.
    ///
    /// # Errors
    ///
    /// When there is no function, or cargo cannot read the workspace.
    pub(super) async fn begin(
        project: &Path,
        release: bool,
        config: &SiteConfig,
        own: OwnVariables,
        variables: BTreeMap<String, StageVariables>,
    ) -> anyhow::Result<Self> {
        let packages = functions::find_packages(project).await?;
        let sources = Sources::find(project, &packages).await?;
        let mut reload = Self {
            project: project.to_owned(),
            release,
            packages,
            sources,
            watcher: FileWatcher::new(WatchList::default()).await,
            served: BTreeMap::new(),
            news: BuildNews::new(),
            own,
            variables,
            publish: config.publish.clone(),
            warnings: config.warnings.iter().cloned().collect(),
            schedules: config.schedules.clone(),
            failed: BTreeMap::new(),
            is_outdated: false,
        };
        reload.watcher.set_list(reload.list()).await;
        Ok(reload)
    }

    /// Builds all functions for the first time.
    ///
    /// # Errors
    ///
    /// When the build fails.
    pub(super) async fn build_first(&mut self) -> anyhow::Result<Vec<BuiltFunction>> {
        let step = Step::begin_long("functions");
        let built = self.build(&step).await?;
        self.served = states(&built);
        let names: Vec<_> = built.iter().map(|built| built.name.as_str()).collect();
        step.done(&names.join(", "));
        Ok(built)
    }

    /// Notes that the first build is served from now on.
    pub(super) fn first_is_served(&self) {
        self.news.served(Part::Functions);
    }

    /// Tells of the builds.
    pub(super) fn news(&self) -> &BuildNews {
        &self.news
    }

    /// Serves each change, for ever.
    pub(super) async fn follow(&mut self, cloud: &impl Served) {
        loop {
            let changed = self.watcher.changed().await;
            self.serve(cloud, &changed).await;
            self.watcher.set_list(self.list()).await;
        }
    }

    async fn serve(&mut self, cloud: &impl Served, changed: &BTreeSet<PathBuf>) {
        if changed.contains(&self.project.join(SETTINGS_FILE)) {
            note(format_args!(
                "  ! {SETTINGS_FILE} has changed: other commands use it at once; restart `stagelink dev` if the \
                 change is of the pipeline, the stages or the migrations' folder"
            ));
        }
        let is_of_site = self.site_files().iter().any(|file| changed.contains(file));
        // What it lacked, such as the published folder, may be there by now.
        if is_of_site || self.failed.contains_key(&Part::Site) {
            let served = self.serve_site(cloud).await;
            let told = self.failed.get(&Part::Site);
            let is_known =
                matches!((&served, told), (Err(error), Some(told)) if text(error) == *told);
            if is_of_site || !is_known {
                self.tell_end(Part::Site, served, "the site is served as before");
            }
        }
        let has_failed = self.failed.contains_key(&Part::Functions);
        let mut is_due = false;
        if changed.iter().any(|file| self.is_of_variables(file)) {
            self.serve_own_variables(cloud).await;
            // A program may have failed to start for lack of one.
            is_due = has_failed;
        }
        let manifests = changed.iter().filter(|file| file.ends_with("Cargo.toml"));
        self.is_outdated |= manifests.count() > 0;
        let functions = self.project.join("functions");
        is_due |= self.is_outdated;
        is_due |= changed.iter().any(|file| {
            self.sources.is_read(file, has_failed) || (has_failed && file.starts_with(&functions))
        });
        if is_due {
            let served = self.serve_build(cloud).await;
            let is_served = served.is_ok();
            let consequence = "the site goes on with the programs that it has";
            self.tell_end(Part::Functions, served, consequence);
            // The new program may take the variables that the old one did not start with.
            if is_served && self.failed.contains_key(&Part::Variables) {
                self.serve_own_variables(cloud).await;
            }
        }
    }

    async fn serve_own_variables(&mut self, cloud: &impl Served) {
        let served = self.serve_variables(cloud).await;
        let consequence = "functions keep the variables that they have";
        self.tell_end(Part::Variables, served, consequence);
    }

    /// Builds what has changed, and serves the programs that differ from those that run.
    async fn serve_build(&mut self, cloud: &impl Served) -> anyhow::Result<()> {
        let step = Step::begin("functions");
        self.news.begin();
        let built = self.build(&step).await?;
        let states = states(&built);
        let is_new = |function: &&BuiltFunction| {
            self.served.get(&function.name) != states.get(&function.name)
        };
        let mut update = CloudUpdate::default();
        update.programs = built
            .iter()
            .filter(is_new)
            .map(|function| (function.name.clone(), function.executable.clone()))
            .collect();
        let served = self.served.keys();
        let removed = served.filter(|name| !states.contains_key(*name));
        update.removed = removed.cloned().collect();
        let removed: Vec<_> = update.removed.iter().cloned().collect();
        let started = match cloud.update(update).await {
            Ok(started) => started,
            Err(error) => {
                // One stage may serve them all the same: the next build is sent whole.
                let names = self.served.keys().chain(states.keys()).cloned();
                self.served = names.map(|name| (name, ProgramState::default())).collect();
                return Err(error.into());
            }
        };
        self.served = states;
        let started: Vec<_> = started.into_iter().collect();
        let mut results = Vec::new();
        if !started.is_empty() {
            results.push(format!("{} served anew", started.join(", ")));
        }
        if !removed.is_empty() {
            results.push(format!("{} removed", removed.join(", ")));
        }
        match results.is_empty() {
            true => step.done("built, with the same programs"),
            false => step.done(&results.join("; ")),
        }
        Ok(())
    }

    /// Builds all functions in one run of cargo, which compiles what has changed alone.
    async fn build(&mut self, step: &Step) -> anyhow::Result<Vec<BuiltFunction>> {
        if self.is_outdated {
            self.packages = functions::find_packages(&self.project).await?;
            let sources = Sources::find(&self.project, &self.packages).await?;
            let before = std::mem::replace(&mut self.sources, sources);
            self.sources.keep_read_files(before);
            self.is_outdated = false;
            // Those of a crate that is new are watched from here on, while it is built.
            self.watcher.set_list(self.list()).await;
        }
        let mut tell = step.build_teller();
        let news = self.news.clone();
        let teller = move |activity: &str| {
            news.tell(activity);
            tell(activity);
        };
        let built =
            functions::build_packages(&self.project, &self.packages, self.release, teller).await;
        self.watcher.accept(self.sources.lock()).await;
        let built = built?;
        self.sources.add_read_files(&built);
        self.watcher.set_list(self.list()).await;
        Ok(built)
    }

    async fn serve_site(&mut self, cloud: &impl Served) -> anyhow::Result<()> {
        let step = Step::begin("site");
        let config = SiteConfig::load(&self.project)?;
        let warnings: BTreeSet<_> = config.warnings.iter().cloned().collect();
        for warning in warnings.difference(&self.warnings) {
            note(format_args!("  ! {warning}"));
        }
        let publish = config.publish.clone();
        let schedules = config.schedules.clone();
        let mut update = CloudUpdate::default();
        update.site = Some(config);
        cloud.update(update).await?;
        (self.publish, self.warnings) = (publish, warnings);
        step.done("its redirects, headers and folder are as the files say now");
        let is_function = |name: &str| self.served.contains_key(name);
        for line in schedules::changes(
            &self.schedules,
            &schedules,
            cloud.runs_schedules(),
            is_function,
        ) {
            note(format_args!("  {line}"));
        }
        self.schedules = schedules;
        Ok(())
    }

    async fn serve_variables(&mut self, cloud: &impl Served) -> anyhow::Result<()> {
        let step = Step::begin("variables");
        let mut update = CloudUpdate::default();
        let mut now = BTreeMap::new();
        for (stage, before) in &self.variables {
            let of_stage = self.own.of_stage(stage)?;
            for text in of_stage.notes.difference(&before.notes) {
                note(format_args!("  ! {text}"));
            }
            if of_stage.variables != before.variables || self.failed.contains_key(&Part::Variables)
            {
                let variables = of_stage.variables.clone();
                update.variables.insert(stage.clone(), variables);
            }
            now.insert(stage.clone(), of_stage);
        }
        let stages: Vec<_> = update.variables.keys().cloned().collect();
        if !stages.is_empty() {
            cloud.update(update).await?;
            step.done(&format!("the functions of {} have them", stages.join(", ")));
        }
        self.variables = now;
        Ok(())
    }

    /// Tells that a change is served; of an error, what is served all the same.
    fn tell_end(&mut self, part: Part, result: anyhow::Result<()>, consequence: &str) {
        let Err(error) = result else {
            self.failed.remove(&part);
            return self.news.served(part);
        };
        self.failed.insert(part, text(&error));
        let consequence = format!("{consequence}; the next change is tried again");
        note_error(&error);
        note(format_args!("  {consequence}"));
        self.news.failed(part, &error, &consequence);
    }

    fn list(&self) -> WatchList {
        let mut files: BTreeSet<_> = self.sources.files().map(Path::to_owned).collect();
        files.extend(self.site_files());
        files.insert(self.project.join(SETTINGS_FILE));
        let stages = self.variables.keys();
        let own = stages.flat_map(|stage| self.own.file_names(stage));
        files.extend(own.map(|name| self.project.join(name)));
        let mut folders: BTreeSet<_> = self.sources.folders().map(Path::to_owned).collect();
        // A function that is new is in none of the crates yet.
        folders.insert(self.project.join("functions"));
        WatchList {
            folders,
            files,
            target: self.sources.target().to_owned(),
        }
    }

    /// The files of the site's configuration.
    fn site_files(&self) -> [PathBuf; 3] {
        [
            self.project.join("netlify.toml"),
            self.publish.join("_redirects"),
            self.publish.join("_headers"),
        ]
    }

    fn is_of_variables(&self, file: &Path) -> bool {
        let name = file.file_name().unwrap_or_default().as_encoded_bytes();
        file.parent() == Some(&*self.project) && name.starts_with(b".env")
    }
}

/// Returns an error with its causes.
fn text(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// Returns the state of each program. A build that changes nothing leaves it.
fn states(functions: &[BuiltFunction]) -> BTreeMap<String, ProgramState> {
    let states = functions.iter().map(|function| {
        let metadata = fs::metadata(&function.executable);
        let state = metadata.map(|of| (of.modified().ok(), of.size(), of.ino()));
        (function.name.clone(), state.unwrap_or_default())
    });
    states.collect()
}
