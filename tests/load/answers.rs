//! A storm: all instances at once, and what is left when it has passed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::instance::{Instance, Reply, Work};

/// What was answered, and how long it took from the first question to the last answer.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) replies: Vec<Reply>,
    pub(crate) took: Duration,
}

impl Answers {
    /// Sees that all of them are as they should be.
    ///
    /// # Panics
    ///
    /// When one is not: the message counts them by what they say.
    pub(crate) fn all(&self, is_right: impl Fn(&Reply) -> bool) {
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

/// Asks every instance for each kind of work, one after the other, and all instances at
/// the same time.
pub(crate) async fn strike<I: Instance>(instances: &[Arc<I>]) -> Answers {
    all_at_once(instances, |_, instance| async move {
        let mut replies = Vec::new();
        for work in Work::EACH {
            replies.push(instance.ask(work).await);
        }
        replies
    })
    .await
}

/// The same for one kind of work each, which they take in turn.
pub(crate) async fn strike_once<I: Instance>(instances: &[Arc<I>]) -> Answers {
    all_at_once(instances, |number, instance| async move {
        let work = Work::EACH[number % Work::EACH.len()];
        vec![instance.ask(work).await]
    })
    .await
}

/// Asks every instance again until it has a good answer, and waits in between for as long
/// as it is told to.
pub(crate) async fn recover<I: Instance>(instances: &[Arc<I>]) -> Answers {
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

async fn all_at_once<I, F>(instances: &[Arc<I>], ask: impl Fn(usize, Arc<I>) -> F) -> Answers
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
    Answers {
        replies: replies
            .expect("no instance hangs")
            .into_iter()
            .flatten()
            .collect(),
        took: started.elapsed(),
    }
}

/// So long that only what hangs takes longer, on any machine.
const LIMIT: Duration = Duration::from_secs(600);
