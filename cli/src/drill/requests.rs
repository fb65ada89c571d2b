//! The requests of a drill to one stage: reads, writes with a text of their own, and the count of these.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use stagelink_local::{LocalResponse, send_request};
use stagelink_pipeline::{DrillCount, DrillSettings, DrillWrite};
use tokio::time::{sleep, timeout};

/// The requests of a drill, and the site that they are sent to.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    pub(super) settings: DrillSettings,
    /// URL of the stage's site.
    pub(super) url: String,
}

/// A response's status, or the reason why there is none.
pub(super) type Answer = Result<u16, String>;

impl Requests {
    /// Sends the read.
    pub(super) async fn read(&self, path: &str) -> Answer {
        let answer = self.send("GET", path, &[], String::new()).await;
        answer.map(|response| response.status)
    }

    /// Sends a write with this id.
    pub(super) async fn write(&self, write: &DrillWrite, id: &str) -> Answer {
        let body = write.body().replace("{id}", id);
        let path = write.path.replace("{id}", id);
        let own = write.headers.iter();
        let mut headers: Vec<_> = own.map(|(name, value)| (&**name, &**value)).collect();
        let has_type = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("content-type");
        if !headers.iter().any(has_type) {
            headers.push(("content-type", "application/json"));
        }
        if write.idempotency_key {
            headers.push(("idempotency-key", id));
        }
        let answer = self.send(&write.method, &path, &headers, body).await;
        answer.map(|response| response.status)
    }

    /// Returns how often each of these ids is stored.
    ///
    /// # Errors
    ///
    /// When a page is not answered with success, or the pages do not end.
    pub(super) async fn count(
        &self,
        count: &DrillCount,
        ids: impl Iterator<Item = &str>,
    ) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut stored: BTreeMap<String, usize> = ids.map(|id| (id.to_owned(), 0)).collect();
        if count.path.contains("{id}") {
            for (id, times) in &mut stored {
                let page = self.page(&count.path.replace("{id}", id)).await?;
                *times = page.matches(id.as_str()).count();
            }
            return Ok(stored);
        }
        let mut path = count.path.clone();
        for _ in 0..MOST_PAGES {
            let page = self.page(&path).await?;
            for (id, times) in &mut stored {
                *times += page.matches(id.as_str()).count();
            }
            let Some((next, parameter)) = count.next.as_ref().zip(count.parameter.as_ref()) else {
                return Ok(stored);
            };
            let json: Value = serde_json::from_str(&page)
                .with_context(|| format!("could not read the page at {path}: it is no JSON"))?;
            let next = match json.pointer(next) {
                None | Some(Value::Null) => return Ok(stored),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
            if !next.chars().all(is_plain) {
                bail!("could not go to the next page after {path}: its value needs an encoding");
            }
            let separator = if count.path.contains('?') { '&' } else { '?' };
            path = format!("{}{separator}{parameter}={next}", count.path);
        }
        bail!("could not count the writes: there are more than {MOST_PAGES} pages")
    }

    async fn page(&self, path: &str) -> anyhow::Result<String> {
        let failed = |reason: String| anyhow!("could not count the writes by GET {path}: {reason}");
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.send("GET", path, &[], String::new()).await {
                Ok(response) if is_success(response.status) => {
                    return Ok(String::from_utf8_lossy(&response.body).into_owned());
                }
                Ok(response) => last = format!("it is answered {}", response.status),
                Err(reason) => last = reason,
            }
            sleep(Duration::from_secs(1)).await;
        }
        Err(failed(last))
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<LocalResponse, String> {
        let sent = send_request(&self.url, method, path, headers, body);
        match timeout(PATIENCE, sent).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer in {} s", PATIENCE.as_secs())),
        }
    }
}

/// Returns whether a status is one of success.
pub(super) fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The patience of a client: that of Netlify's functions.
const PATIENCE: Duration = Duration::from_secs(60);

/// Attempts to count, a second apart: it is done after the fault, and is none of the load.
const ATTEMPTS: usize = 90;

const MOST_PAGES: usize = 10_000;
