//! Bursts: all instances send requests at once, and retry afterwards until they succeed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::instance::{Instance, Reply, Work};

/// Replies to a burst, and the time from the first request to the last reply.
#[derive(Debug)]
pub(crate) struct BurstReplies {
    pub(crate) replies: Vec<Reply>,
    pub(crate) took: Duration,
}

impl BurstReplies {
    /// Checks each reply.
    ///
    /// # Panics
    ///
    /// When a reply fails the check: the message counts the failures by their text.
    pub(crate) fn check_each(&self, is_right: impl Fn(&Reply) -> bool) {
        let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
        for reply in self.replies.iter().filter(|reply| !is_right(reply)) {
            let Reply {
                work, status, text, ..
            } = reply;
            *wrong
                .entry(format!("{work:?}, {status}: {text}"))
                .or_default() += 1;
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Sends each kind of work to every instance, one after the other, and to all instances at the same
/// time.
pub(crate) async fn burst<I: Instance>(instances: &[Arc<I>]) -> BurstReplies {
    all_at_once(instances, |_, instance| async move {
        let mut replies = Vec::new();
        for work in Work::ALL {
            replies.push(instance.ask(work).await);
        }
        replies
    })
    .await
}

/// Sends one kind of work to every instance, each kind to every third one.
pub(crate) async fn mixed_burst<I: Instance>(instances: &[Arc<I>]) -> BurstReplies {
    all_at_once(instances, |number, instance| async move {
        let work = Work::ALL[number % Work::ALL.len()];
        vec![instance.ask(work).await]
    })
    .await
}

/// Sends requests to every instance until one succeeds, and waits in between as long as the reply's
/// `Retry-After` says.
pub(crate) async fn recover<I: Instance>(instances: &[Arc<I>]) -> BurstReplies {
    all_at_once(instances, |_, instance| async move {
        let mut replies = Vec::new();
        loop {
            let reply = instance.ask(Work::Read).await;
            let wait = reply.retry_after;
            let is_over = reply.is_good() || !reply.is_busy();
            replies.push(reply);
            match wait {
                Some(wait) if !is_over => sleep(wait).await,
                _ => return replies,
            }
        }
    })
    .await
}

async fn all_at_once<I, F>(instances: &[Arc<I>], ask: impl Fn(usize, Arc<I>) -> F) -> BurstReplies
where
    I: Instance,
    F: Future<Output = Vec<Reply>> + Send + 'static,
{
    let started = Instant::now();
    let asked: JoinSet<Vec<Reply>> = instances
        .iter()
        .enumerate()
        .map(|(number, one)| ask(number, Arc::clone(one)))
        .collect();
    let replies = timeout(LIMIT, asked.join_all()).await;
    BurstReplies {
        replies: replies
            .expect("no instance hangs")
            .into_iter()
            .flatten()
            .collect(),
        took: started.elapsed(),
    }
}

/// Time-out that only a hanging request reaches, on any machine.
const LIMIT: Duration = Duration::from_secs(600);
