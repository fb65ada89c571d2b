//! The request after a freeze in which the connection was lost.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::Serialize;
use stagelink_cli::progress::Step;
use stagelink_local::network::Proxy;
use tokio::task::block_in_place;

use super::super::artifact::Artifact;
use super::super::event::RequestKind;
use super::super::instance::Instance;
use super::super::item_database::ItemDatabase;
use super::super::statistics::Spread;
use super::super::variant::Variant;
use super::reply::Request;

/// The result of one variant for one kind of connection loss.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct Freeze {
    pub(in super::super) variant: Variant,
    pub(super) loss: ConnectionLoss,
    /// The first request after each freeze, timed from the moment when the process resumes.
    pub(super) requests: Vec<Request>,
}

/// A kind of connection loss during a freeze.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ConnectionLoss {
    /// The connection is reset, which the process finds when it resumes.
    Reset,
    /// Packets are dropped silently, as by a NAT gateway that lost the mapping.
    Silent,
}

impl ConnectionLoss {
    pub(super) const ALL: [Self; 2] = [Self::Reset, Self::Silent];
}

/// A process that is stopped, and the network that its connection goes through.
struct FrozenInstance {
    instance: Instance,
    _network: Proxy,
}

/// Measures all variants. In a round all processes are frozen at the same time, since the pause
/// takes longer than all the rest, and resume one after the other.
pub(super) async fn run(
    artifacts: &[Artifact],
    items: &ItemDatabase,
    rounds: usize,
) -> anyhow::Result<Vec<Freeze>> {
    let step = Step::begin("after a freeze");
    let tell = step.teller();
    let mut freezes: Vec<Freeze> = ConnectionLoss::ALL
        .into_iter()
        .flat_map(|loss| artifacts.iter().map(move |artifact| (artifact, loss)))
        .map(|(artifact, loss)| Freeze {
            variant: artifact.variant,
            loss,
            requests: Vec::with_capacity(rounds),
        })
        .collect();
    for round in 0..rounds {
        tell(&format!("round {} of {rounds}", round + 1));
        let mut frozen = Vec::new();
        for loss in ConnectionLoss::ALL {
            for artifact in artifacts {
                frozen.push(FrozenInstance::start(artifact, items, loss).await?);
            }
        }
        for (freeze, request) in freezes.iter_mut().zip(block_in_place(|| thaw(frozen))?) {
            freeze.requests.push(request);
        }
    }
    step.done(&format!(
        "rounds: {rounds}, each with a pause of {} s",
        PAUSE.as_secs()
    ));
    Ok(freezes)
}

/// Waits, then resumes each process and sends it a request.
fn thaw(frozen: Vec<FrozenInstance>) -> anyhow::Result<Vec<Request>> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0_u32..)
            .zip(frozen)
            .map(|(place, frozen)| scope.spawn(move || frozen.thaw(PAUSE + APART * place)))
            .collect();
        let told = asked.into_iter().map(|one| {
            let told = one.join();
            told.map_err(|_| anyhow!("the thread that asks a process panicked"))?
        });
        told.collect()
    })
}

impl FrozenInstance {
    async fn start(
        artifact: &Artifact,
        items: &ItemDatabase,
        loss: ConnectionLoss,
    ) -> anyhow::Result<Self> {
        let network = Proxy::start((Ipv4Addr::LOCALHOST, items.server().port()).into()).await?;
        let variables = artifact.variant.variables(&items.access_at(network.port()));
        let instance = block_in_place(|| -> anyhow::Result<_> {
            let mut instance = Instance::start(artifact, &variables)?;
            instance.run(WARM_REQUESTS)?;
            thread::sleep(TO_SETTLE);
            instance.freeze()?;
            Ok(instance)
        })?;
        match loss {
            ConnectionLoss::Reset => network.cut(),
            ConnectionLoss::Silent => network.lose(),
        }
        Ok(Self {
            instance,
            _network: network,
        })
    }

    /// Resumes the process. The request is ready before, as on Lambda, which resumes a process
    /// because there is a request.
    fn thaw(mut self, after: Duration) -> anyhow::Result<Request> {
        thread::sleep(after);
        self.instance.offer(RequestKind::Item);
        thread::sleep(TO_SETTLE);
        let thawed = Instant::now();
        self.instance.thaw()?;
        let answered = self.instance.wait_for_answers(LIMIT).pop();
        Ok(Request {
            took_ms: answered
                .as_ref()
                .map(|one| (one.at - thawed).as_secs_f64() * 1e3),
            ..Request::of(answered.as_ref())
        })
    }
}

impl Freeze {
    /// Number of requests that got their row.
    pub(super) fn good(&self) -> usize {
        self.requests.iter().filter(|one| one.is_good()).count()
    }

    /// Times of these requests. `None` where there are none.
    pub(super) fn took_ms(&self) -> Option<Spread> {
        let good = self.requests.iter().filter(|one| one.is_good());
        (self.good() > 0).then(|| Spread::of(good.filter_map(|one| one.took_ms)))
    }
}

const WARM_REQUESTS: usize = 20;

/// Time after which a process has finished its work behind an answer, and polls for an event.
const TO_SETTLE: Duration = Duration::from_millis(100);

/// Duration of the freeze. A pool that judges a connection by its age trusts one that was in use
/// less than a few seconds ago.
const PAUSE: Duration = Duration::from_secs(6);

/// Time between two processes that resume, so that they do not share the processors.
const APART: Duration = Duration::from_millis(400);

/// Time limit after which a request has failed.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A variant with one request after a freeze, which takes 15 ms or gets no answer.
    pub(in super::super) fn freeze(
        variant: Variant,
        loss: ConnectionLoss,
        is_good: bool,
    ) -> Freeze {
        let request = Request {
            took_ms: Some(15.0),
            failure: None,
        };
        Freeze {
            variant,
            loss,
            requests: vec![if is_good { request } else { Request::of(None) }],
        }
    }

    #[test]
    fn times_are_those_of_requests_that_got_their_row() {
        let mut measured = freeze(Variant::Sqlx, ConnectionLoss::Silent, true);
        measured.requests.push(Request {
            took_ms: Some(0.1),
            failure: Some("502".to_owned()),
        });
        assert_eq!(measured.good(), 1);
        assert_eq!(measured.took_ms().map(|took| took.median), Some(15.0));
    }
}
