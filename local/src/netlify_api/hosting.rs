//! Serves deploys: their files, and their functions as processes.

use std::sync::Arc;

use super::NetlifyApi;
use super::app_state::AppState;
use super::hosted_deploy::DeployFolder;
use super::live_hosts::LiveHosts;
use crate::Error;
use crate::lambda::LogLine;
use crate::netlify::{BoundSite, Site, Timeouts};
use crate::requests::RequestLog;

/// A running server of the deploys that are ready, as the API has them at each moment.
///
/// Each deploy has the host name `<id>--<site>.localhost`. The newest ready deploy of a branch also
/// has `<branch>--<site>.localhost`, and the published deploy `<site>.localhost`. A request gets the
/// deploy that the host leads to as it arrives: a deploy that becomes ready is served from then on, a
/// deploy that is published replaces the other one between two requests, and a deleted deploy is
/// an unknown host.
///
/// The functions run from the uploaded archives, from their first request on, with the variables that
/// Netlify documents for functions: `URL`, `SITE_NAME`, `SITE_ID`, those of their deploy's context
/// with the scope of functions, as they were when the deploy became ready, and those of the deploy
/// itself. The redirects and headers are those of the uploaded files.
///
/// While it runs, the URLs in the API's responses lead to it. Dropping it ends the processes;
/// [`stop`](Hosting::stop) also waits for their end.
#[derive(Debug)]
pub struct Hosting {
    site: Site,
    hosts: LiveHosts,
    _port: HostedPort,
}

/// The port in the API's URLs. Dropping it brings the addresses of Netlify back.
struct HostedPort {
    state: AppState,
    port: u16,
}

impl NetlifyApi {
    /// Serves the deploys. `log` is called for each line of a function's log.
    ///
    /// A deploy that becomes ready later and cannot be served is answered with 502 and the reason.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] for a function of a ready deploy that is not a Rust program in a valid
    /// archive, and for a ready deploy whose netlify.toml is invalid; [`ErrorKind::System`] for an
    /// error of the operating system.
    ///
    /// [`ErrorKind::Input`]: crate::ErrorKind::Input
    /// [`ErrorKind::System`]: crate::ErrorKind::System
    pub async fn host(
        &self,
        log: impl Fn(LogLine) + Send + Sync + 'static,
    ) -> Result<Hosting, Error> {
        self.host_with_requests(&RequestLog::default(), log).await
    }

    /// Serves the deploys as [`host`](Self::host) does, and records their requests.
    ///
    /// The stage of a record is the `STAGELINK_STAGE` of the deploy's variables or, without one, the
    /// deploy's context.
    ///
    /// # Errors
    ///
    /// As [`host`](Self::host).
    pub async fn host_with_requests(
        &self,
        requests: &RequestLog,
        log: impl Fn(LogLine) + Send + Sync + 'static,
    ) -> Result<Hosting, Error> {
        let folder = DeployFolder::new(requests.clone(), Arc::new(log));
        let hosts = LiveHosts::new(self.state.clone(), folder);
        hosts.open_ready().await?;
        let bound = BoundSite::bind_finder(0, Arc::new(hosts.clone())).await?;
        let site = bound.serve(Timeouts::default());
        Ok(Hosting {
            _port: HostedPort::new(self.state.clone(), site.port()),
            site,
            hosts,
        })
    }

    /// Sets whether visitors of the sites' own addresses wait, as a test that acts between the publishing
    /// of a deploy and its first answer there needs it. A deploy's address and a branch's answer
    /// meanwhile. With false, those that waited get the deploy that is published then.
    pub fn set_holds_visitors(&self, holds: bool) {
        self.state.account().holds_visitors.send_replace(holds);
    }
}

impl Hosting {
    /// URL of a host name, without a trailing slash.
    pub fn url(&self, host: &str) -> String {
        self.site.url(host)
    }

    /// Stops accepting requests, waits for the running ones, and ends the functions.
    pub async fn stop(self) {
        self.site.stop().await;
        self.hosts.shut_down().await;
    }
}

impl HostedPort {
    fn new(state: AppState, port: u16) -> Self {
        state.account().hosted_port = Some(port);
        Self { state, port }
    }
}

impl Drop for HostedPort {
    fn drop(&mut self) {
        let mut account = self.state.account();
        if account.hosted_port == Some(self.port) {
            account.hosted_port = None;
        }
    }
}

impl std::fmt::Debug for HostedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.port.fmt(f)
    }
}
