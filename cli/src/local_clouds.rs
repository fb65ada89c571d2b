//! The file by which other commands find the local clouds of a running `stagelink dev`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use stagelink::Stage;
use stagelink_local::faults::{FaultClient, FaultServer};
use stagelink_local::netlify_api::NetlifyApi;
use stagelink_local::{Cloud, StageSite};
use stagelink_pipeline::{ApiAccess, no_stage};

use crate::args::LocalOptions;
use crate::port_hint::port_hint;
use crate::project;
use crate::restart_hint::restart_hint;
use crate::usage_error::of_usage;

/// A running site: the variables of its functions by the written forms of their stages, and its
/// clouds.
#[derive(Deserialize, Serialize)]
struct RunningSite {
    /// The id of the process.
    process: u32,
    port: u16,
    stages: BTreeMap<String, BTreeMap<String, String>>,
    /// URLs of the stages' sites by the names of the stages.
    urls: BTreeMap<String, String>,
    clouds: LocalClouds,
}

/// The local Heroku and Netlify of a running site, with tokens that reach all of its stages.
#[derive(Deserialize, Serialize)]
pub(crate) struct LocalClouds {
    pub(crate) pipeline: String,
    pub(crate) heroku_url: String,
    pub(crate) heroku_token: String,
    /// The name of the site at the local Netlify.
    pub(crate) site: String,
    pub(crate) netlify_url: String,
    pub(crate) netlify_token: String,
    /// Address of the server that injects faults.
    faults_url: String,
    faults_token: String,
    /// The endpoint for invocations, its token, and the stage that it takes by default.
    pub(crate) invoke_url: String,
    pub(crate) invoke_token: String,
    pub(crate) invoke_stage: String,
}

impl LocalClouds {
    /// Returns the access to the local Netlify.
    pub(crate) fn netlify_access(&self) -> ApiAccess {
        let token = self.netlify_token.clone().into();
        ApiAccess::new(&self.netlify_url, token, "NETLIFY_AUTH_TOKEN")
    }

    /// Returns the client by which faults are injected.
    pub(crate) fn faults(&self) -> FaultClient {
        FaultClient::new(&self.faults_url, &self.faults_token)
    }

    fn of(cloud: &Cloud, netlify: &NetlifyApi, site: &str, faults: &FaultServer) -> Self {
        Self {
            pipeline: cloud.pipeline().to_owned(),
            heroku_url: cloud.heroku().url().to_owned(),
            heroku_token: cloud.heroku().api_key().to_owned(),
            site: site.to_owned(),
            netlify_url: netlify.url().to_owned(),
            netlify_token: netlify.token().to_owned(),
            faults_url: faults.url().to_owned(),
            faults_token: faults.token().to_owned(),
            invoke_url: cloud.invoke_url().to_owned(),
            invoke_token: cloud.invoke_token().to_owned(),
            invoke_stage: default_stage(cloud).to_owned(),
        }
    }
}

/// The file of a running site. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct RunningSiteFile(PathBuf);

impl RunningSiteFile {
    /// Writes the file, which only its owner can read: it holds the local passwords and tokens.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn write(
        project: &Path,
        cloud: &Cloud,
        netlify: &NetlifyApi,
        site: &str,
        faults: &FaultServer,
    ) -> anyhow::Result<Self> {
        let clouds = LocalClouds::of(cloud, netlify, site, faults);
        let stages = cloud.stages().iter();
        let urls = cloud.stages().iter();
        let urls = urls.map(|stage| (stage.name().to_owned(), stage.url().to_owned()));
        let site = RunningSite {
            process: std::process::id(),
            port: cloud.port(),
            stages: stages
                .map(|stage| {
                    let variables = stage.variables().clone();
                    (variables["STAGELINK_STAGE"].clone(), variables)
                })
                .collect(),
            urls: urls.collect(),
            clouds,
        };
        let folder = folder(project);
        let file = folder.join(format!("dev-{}.json", site.port));
        let write = || -> anyhow::Result<()> {
            fs::create_dir_all(&folder)?;
            let _ = fs::remove_file(&file);
            let mut options = OpenOptions::new();
            let mut open = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file)?;
            Ok(open.write_all(serde_json::to_string(&site)?.as_bytes())?)
        };
        write().with_context(|| format!("could not write {}", file.display()))?;
        Ok(Self(file))
    }
}

impl Drop for RunningSiteFile {
    fn drop(&mut self) {
        // A file that stays names a process that is gone, and is ignored.
        let _ = fs::remove_file(&self.0);
    }
}

/// Returns the variables by which a stage's functions find their local database, if `--local` was
/// given. Without a stage they are those of the only one.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen; when it has no such stage, or
/// several and none is named.
pub(crate) fn variables(
    options: &LocalOptions,
    stage: Option<Stage>,
) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let Some(port) = options.local else {
        return Ok(None);
    };
    let mut site = running_site(&options.project, port).map_err(of_usage)?;
    let Some(stage) = stage else {
        if site.stages.len() == 1 {
            return Ok(site.stages.into_values().next());
        }
        let stages = site.stages.keys();
        let names: Vec<_> = stages.map(|written| last_part(written)).collect();
        let names = names.join(" or ");
        return Err(of_usage(anyhow!(
            "name the local stage with --stage: {names} (STAGELINK_STAGE of the environment does not \
             count with --local)"
        )));
    };
    let variables = site.stages.remove(stage.as_str());
    let variables = variables.ok_or_else(|| site.no_stage(stage.name(), &options.project));
    Ok(Some(variables?))
}

/// Returns the stage of the running site that an operator names, by its name or its written form, if
/// `--local` was given.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen; when it has no such stage.
pub(crate) fn find_stage(options: &LocalOptions, text: &str) -> anyhow::Result<Option<Stage>> {
    let Some(port) = options.local else {
        return Ok(None);
    };
    let site = running_site(&options.project, port).map_err(of_usage)?;
    let is_named = |written: &&String| *written == text || last_part(written) == text;
    match site.stages.keys().find(is_named) {
        Some(written) => Ok(Some(written.parse()?)),
        None => Err(site.no_stage(text, &options.project)),
    }
}

/// Returns the name of a stage in its written form, which is KIND/NAME for one with a name of its own.
fn last_part(written: &str) -> &str {
    written.rsplit('/').next().unwrap_or(written)
}

/// Returns the stages of the running site, if `--local` was given.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen.
pub(crate) fn stages(options: &LocalOptions) -> anyhow::Result<Option<Vec<Stage>>> {
    let Some(port) = options.local else {
        return Ok(None);
    };
    let site = running_site(&options.project, port).map_err(of_usage)?;
    let stages = site.stages.keys().map(|name| name.parse());
    let mut stages = stages.collect::<Result<Vec<Stage>, stagelink::Error>>()?;
    // In the order of a pipeline, as elsewhere.
    stages.sort();
    Ok(Some(stages))
}

/// Returns the local Heroku and Netlify, if `--local` was given.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen.
pub(crate) fn clouds(options: &LocalOptions) -> anyhow::Result<Option<LocalClouds>> {
    let site = options
        .local
        .map(|port| running_site(&options.project, port).map_err(of_usage));
    Ok(site.transpose()?.map(|site| site.clouds))
}

/// Returns the names of the running site's stages, where it serves them, and its clouds, whether
/// `--local` was given or not.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen.
pub(crate) fn running(options: &LocalOptions) -> anyhow::Result<RunningStages> {
    let port = options.local.unwrap_or_default();
    let site = running_site(&options.project, port).map_err(of_usage)?;
    let names = site.stages.keys();
    let names = names.map(|written| last_part(written));
    Ok(RunningStages {
        names: names.map(str::to_owned).collect(),
        urls: site.urls,
        faults: site.clouds.faults(),
    })
}

/// The stages of a running site, and what injects faults into them.
pub(crate) struct RunningStages {
    pub(crate) names: Vec<String>,
    /// The URLs of their sites by their names.
    pub(crate) urls: BTreeMap<String, String>,
    pub(crate) faults: FaultClient,
}

/// Returns the clouds of the running site of a project; 0 is any port.
///
/// # Errors
///
/// When no site of the project runs, or several do and none is chosen.
pub(crate) fn running_clouds(project: &Path, port: u16) -> anyhow::Result<LocalClouds> {
    let site = running_site(project, port).map_err(of_usage)?;
    Ok(site.clouds)
}

/// Returns the name of the stage whose schedules run, or else of the first one.
fn default_stage(cloud: &Cloud) -> &str {
    let stages = cloud.stages();
    let published = stages.iter().find(|stage| stage.runs_schedules());
    published.or(stages.first()).map_or("", StageSite::name)
}

/// Finds the running site of a project; 0 is any port.
fn running_site(project: &Path, port: u16) -> anyhow::Result<RunningSite> {
    let folder = project
        .canonicalize()
        .with_context(|| format!("could not open the project folder {}", project.display()))?;
    let project = project::containing(&folder);
    let mut sites = running_sites(project);
    sites.retain(|site| port == 0 || site.port == port);
    match (sites.pop(), sites.as_slice()) {
        (Some(site), []) => Ok(site),
        (Some(site), others) => {
            let others = others.iter().map(|other| other.port);
            let ports: Vec<_> = others
                .chain([site.port])
                .map(|port| port.to_string())
                .collect();
            bail!(
                "the project folder {} runs at the ports {}: choose one with --local=PORT",
                project.display(),
                ports.join(" and ")
            );
        }
        (None, _) => {
            let place = match port {
                0 => String::new(),
                port => format!(" at port {port}"),
            };
            bail!(
                "no `stagelink dev` runs{place} in the project folder {}: start it there, or name \
                 its folder with --project",
                project.display()
            );
        }
    }
}

/// Returns the sites that run in a project.
fn running_sites(project: &Path) -> Vec<RunningSite> {
    let entries = fs::read_dir(folder(project))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| serde_json::from_str(&fs::read_to_string(entry.path()).ok()?).ok())
        .filter(RunningSite::is_running)
        .collect()
}

/// Returns the id of the process that serves the project at this port, if one does.
pub(crate) fn process_at(project: &Path, port: u16) -> Option<u32> {
    let sites = running_sites(project);
    let mut at_port = sites.iter().filter(|site| site.port == port);
    at_port.next().map(|site| site.process)
}

/// Returns whether a site of the project runs.
pub(crate) fn is_running(project: &Path) -> bool {
    let folder = project.canonicalize().ok();
    folder.is_some_and(|folder| !running_sites(project::containing(&folder)).is_empty())
}

/// Returns the advice to add `--local` as the end of a message, where it was not given and a site of
/// the project runs; else nothing.
pub(crate) fn hint(options: &LocalOptions) -> &'static str {
    match options.local.is_none() && is_running(&options.project) {
        true => "; a `stagelink dev` runs here: add --local",
        false => "",
    }
}

impl RunningSite {
    /// Returns the error of a stage that the site does not have, with those that it has.
    fn no_stage(&self, named: &str, project: &Path) -> anyhow::Error {
        let place = format!("the `stagelink dev` at port {}", self.port);
        let names = self.stages.keys().map(|written| last_part(written));
        let hint = port_hint(named).unwrap_or_else(|| restart_hint(named, project));
        of_usage(anyhow!("{}{hint}", no_stage(place, named, names)))
    }

    /// Returns whether the site still runs: a file stays where its process was killed. Another process
    /// may have the id by now, or the port of the local Heroku; hardly both.
    fn is_running(&self) -> bool {
        let all = Path::new("/proc");
        let has_process = !all.join("self").exists() || all.join(self.process.to_string()).exists();
        let address = self.clouds.heroku_url.strip_prefix("http://");
        let address = address.and_then(|address| address.parse::<SocketAddr>().ok());
        let answers = |address| TcpStream::connect_timeout(&address, Duration::from_secs(1));
        has_process && address.is_some_and(|address| answers(address).is_ok())
    }
}

/// The folder of the files, among what a build leaves in a project.
fn folder(project: &Path) -> PathBuf {
    project.join("target").join("stagelink")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Writes the file of a site, whose local Heroku has the returned port.
    fn run(project: &Path, port: u16, process: u32) -> TcpListener {
        fs::create_dir_all(folder(project)).unwrap();
        let variables = [("A".to_owned(), port.to_string())].into();
        let heroku = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = RunningSite {
            process,
            port,
            stages: [("staging".to_owned(), variables)].into(),
            urls: BTreeMap::new(),
            clouds: LocalClouds {
                pipeline: "shop".to_owned(),
                heroku_url: format!("http://{}", heroku.local_addr().unwrap()),
                heroku_token: "h".to_owned(),
                site: "shop".to_owned(),
                netlify_url: "http://127.0.0.1:1".to_owned(),
                netlify_token: "n".to_owned(),
                faults_url: "http://127.0.0.1:1".to_owned(),
                faults_token: "f".to_owned(),
                invoke_url: "http://127.0.0.1:1".to_owned(),
                invoke_token: "i".to_owned(),
                invoke_stage: "staging".to_owned(),
            },
        };
        let file = folder(project).join(format!("dev-{port}.json"));
        fs::write(file, serde_json::to_string(&site).unwrap()).unwrap();
        heroku
    }

    #[test]
    fn running_site_is_found_from_a_folder_in_the_project() {
        let project = tempfile::tempdir().unwrap();
        let inside = project.path().join("functions/hello");
        fs::create_dir_all(&inside).unwrap();
        fs::create_dir(project.path().join(".git")).unwrap();
        fs::write(project.path().join("Cargo.toml"), "[workspace]").unwrap();
        let options = |local| LocalOptions {
            local,
            project: inside.clone(),
        };
        let found = || variables(&options(Some(0)), Some(Stage::STAGING));
        let missing = found().unwrap_err().to_string();
        let root = project.path().canonicalize().unwrap();
        let words = format!("in the project folder {}: start", root.display());
        assert!(missing.contains(&words), "{missing}");
        assert_eq!(hint(&options(None)), "");
        let _heroku = run(project.path(), 8888, std::process::id());
        assert_eq!(found().unwrap().unwrap()["A"], "8888");
        assert!(hint(&options(None)).contains("add --local"));
        assert_eq!(hint(&options(Some(0))), "");
    }

    #[test]
    fn running_site_of_the_project_is_found_and_never_guessed() {
        let project = tempfile::tempdir().unwrap();
        let found = |local, stage| {
            let options = LocalOptions {
                local,
                project: project.path().to_owned(),
            };
            variables(&options, stage).map_err(|error| error.to_string())
        };
        let staging = Some(Stage::STAGING);
        assert_eq!(found(None, staging), Ok(None));
        assert!(
            found(Some(0), staging)
                .unwrap_err()
                .contains("no `stagelink dev` runs")
        );
        let heroku = run(project.path(), 8888, std::process::id());
        assert_eq!(found(Some(0), staging).unwrap().unwrap()["A"], "8888");
        assert_eq!(found(Some(0), None).unwrap().unwrap()["A"], "8888");
        let missing = found(Some(0), Some(Stage::REVIEW)).unwrap_err();
        assert!(
            missing.contains("has no stage \"review\": it has staging"),
            "{missing}"
        );
        // Processes have smaller ids.
        let _gone = run(project.path(), 9000, u32::MAX);
        assert!(found(Some(0), staging).is_ok());
        let _other = run(project.path(), 9001, std::process::id());
        assert!(
            found(Some(0), staging)
                .unwrap_err()
                .contains("--local=PORT")
        );
        assert_eq!(found(Some(9001), staging).unwrap().unwrap()["A"], "9001");
        assert!(
            found(Some(9000), staging)
                .unwrap_err()
                .contains("at port 9000")
        );
        // A killed site leaves its file, and another process may get its id.
        drop(heroku);
        assert_eq!(found(Some(0), staging).unwrap().unwrap()["A"], "9001");
    }
}
