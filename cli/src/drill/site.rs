//! The running site of a drill: that of a `stagelink dev` of the project, or of one that it starts.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::args::LocalOptions;
use crate::child_process::ProcessGroup;
use crate::local_clouds::{self, RunningStages};
use crate::progress::Step;

/// A running site.
pub(super) struct DrillSite {
    pub(super) stages: RunningStages,
    /// The `stagelink dev` that the drill has started.
    started: Option<ProcessGroup>,
}

impl DrillSite {
    /// Finds the running site of the project, or starts one.
    ///
    /// # Errors
    ///
    /// When several run and none is chosen, the chosen one does not run, or none can be started.
    pub(super) async fn open(options: &LocalOptions) -> anyhow::Result<Self> {
        let is_chosen = options.local.is_some_and(|port| port != 0);
        if is_chosen || local_clouds::is_running(&options.project) {
            let stages = local_clouds::running(options)?;
            return Ok(Self {
                stages,
                started: None,
            });
        }
        Self::start(&options.project).await
    }

    async fn start(project: &Path) -> anyhow::Result<Self> {
        let step = Step::begin_long("stagelink dev");
        let program = std::env::current_exe().context("could not find this program")?;
        let mut command = Command::new(program);
        command
            .args(["dev", "--json", "--port", "0", "--project"])
            .arg(project)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut group =
            ProcessGroup::start(&mut command).context("could not start `stagelink dev`")?;
        let output = group.child.stdout.take();
        let output = output.context("could not read what `stagelink dev` prints")?;
        let mut lines = BufReader::new(output).lines();
        let line = lines.next_line().await?;
        let Some(line) = line else {
            bail!("could not start `stagelink dev`: its error is above");
        };
        let up: serde_json::Value = serde_json::from_str(&line)?;
        let url = up["stages"][0]["url"].as_str();
        let port = url.and_then(|url| url.rsplit(':').next()?.parse().ok());
        let port: u16 = port.context("could not find the port of `stagelink dev`")?;
        let stages = local_clouds::running(&LocalOptions {
            local: Some(port),
            project: project.to_owned(),
        })?;
        // It goes on printing, and would wait if no one read.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        step.done(&format!("runs at port {port}"));
        Ok(Self {
            stages,
            started: Some(group),
        })
    }

    /// Ends the `stagelink dev` that was started for the drill.
    pub(super) async fn close(mut self) {
        let Some(group) = &mut self.started else {
            return;
        };
        let id = group.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // It fails only if the process is gone.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        // What is left then is killed.
        let _ = timeout(GRACE, group.wait()).await;
    }
}

const GRACE: Duration = Duration::from_secs(30);
