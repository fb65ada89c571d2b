//! The processor's time and the instructions of stagelink's start, by the source of its credentials.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use stagelink::Stage;
use stagelink_cli::progress::Step;
use stagelink_local::heroku::{Access, Heroku, Stage as HerokuStage};
use stagelink_tests::{Authority, TlsRelay};
use tokio::task::block_in_place;

use super::artifact::Artifact;
use super::goals::Goal;
use super::instance::Instance;
use super::instructions;
use super::item_database::ItemDatabase;
use super::result_table::{ResultTable, absent};
use super::rounds::shuffled_order;
use super::statistics::Spread;
use super::variant::Variant;

/// The starts of all rounds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Starts {
    by_source: Vec<StartsOfSource>,
}

/// The starts by one source.
#[derive(Clone, Debug, Serialize)]
struct StartsOfSource {
    source: Source,
    /// Milliseconds of the processor, of each round.
    samples: Vec<f64>,
    /// Instructions of one start; `None` without callgrind.
    instructions: Option<u64>,
}

/// The source of the credentials of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// `STAGELINK_CREDENTIALS` with SCRAM keys, as `stagelink link` sets it.
    ScramKeys,
    /// `STAGELINK_CREDENTIALS` with the URL alone.
    Password,
    /// Heroku's API, over TLS.
    Provider,
    /// As the first, by the program of another commit.
    Former,
}

/// The local Heroku behind TLS, with a database of staging.
struct TlsHeroku {
    heroku: Heroku,
    token: String,
    /// The root that signed the certificate of the TLS.
    root: String,
    relay: TlsRelay,
}

impl Starts {
    /// Starts the variant stagelink by each source in each round. `former` is its program of another
    /// commit. Callgrind counts instructions and writes its files to `callgrind`, where it is given.
    pub(super) async fn measure(
        artifact: &Artifact,
        items: &ItemDatabase,
        former: Option<PathBuf>,
        rounds: usize,
        callgrind: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let step = Step::begin("processor time of starts");
        let tell = step.teller();
        let access = items.access();
        let heroku = TlsHeroku::start(&access.url).await?;
        let former = former.map(|program| Artifact::of_program(Variant::Stagelink, program));
        let former = former.transpose()?;
        let own = Variant::Stagelink.variables(&access);
        let without_keys = own.iter().map(|(name, value)| {
            let url = value.split("#scram=").next().unwrap_or(value);
            (*name, url.to_owned())
        });
        let mut ways = vec![
            (Source::ScramKeys, artifact, own.clone()),
            (Source::Password, artifact, without_keys.collect()),
            (Source::Provider, artifact, heroku.variables()),
        ];
        ways.extend(former.as_ref().map(|former| (Source::Former, former, own)));
        let starts = |(source, ..): &(Source, _, _)| StartsOfSource {
            source: *source,
            samples: Vec::new(),
            instructions: None,
        };
        let mut by_source: Vec<_> = ways.iter().map(starts).collect();
        for round in 0..rounds {
            tell(&format!("round {} of {rounds}", round + 1));
            for place in shuffled_order(ways.len(), round) {
                let (source, artifact, variables) = &ways[place];
                let time = block_in_place(|| {
                    let instance = Instance::start(artifact, variables)?;
                    instance.processor_time_ms()
                });
                let time = time.with_context(|| format!("of a start by {}", source.words()))?;
                by_source[place].samples.push(time);
            }
        }
        if let Some(folder) = callgrind {
            for ((source, artifact, variables), starts) in ways.iter().zip(&mut by_source) {
                tell(&format!("instructions, {}", source.words()));
                let path = folder.join(format!("callgrind.start.{}", source.name()));
                let count = block_in_place(|| instructions::run(artifact, variables, 1, &path));
                let count = count.with_context(|| format!("of a start by {}", source.words()))?;
                starts.instructions = Some(count);
            }
        }
        step.done(&format!("{rounds} rounds"));
        heroku.stop().await?;
        Ok(Self { by_source })
    }

    pub(super) fn table(&self) -> ResultTable {
        let row = |starts: &StartsOfSource| {
            let spread = Spread::of(starts.samples.iter().copied());
            vec![
                starts.source.words().to_owned(),
                format!("{:.2} ms", spread.median),
                format!(
                    "{:.2} to {:.2}",
                    spread.first_quartile, spread.third_quartile
                ),
                format!(
                    "{:.2}",
                    self.ratio(starts.source, Source::ScramKeys).unwrap_or(1.0)
                ),
                starts
                    .instructions
                    .map_or_else(absent, |count| format!("{:.1} million", count as f64 / 1e6)),
            ]
        };
        let header = [
            "credentials",
            "median",
            "middle half",
            "to the first",
            "instructions",
        ];
        ResultTable {
            title: "Processor time of a start of stagelink, with the kernel's, and its own instructions"
                .to_owned(),
            header: header.map(str::to_owned).to_vec(),
            rows: self.by_source.iter().map(row).collect(),
        }
    }

    pub(super) fn evaluate(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        if let Some(ratio) = self.ratio(Source::ScramKeys, Source::Password) {
            goals.push(Goal {
                description: "SCRAM keys save at least 15 % of a start's processor time",
                measured: format!("{:.0} %", (1.0 - ratio) * 100.0),
                met: ratio <= 0.85,
            });
        }
        if let Some(ratio) = self.ratio(Source::Provider, Source::Password) {
            goals.push(Goal {
                description: "asking a provider takes at most 1.6 times the processor time",
                measured: format!("{ratio:.2}"),
                met: ratio <= 1.6,
            });
        }
        if let Some(ratio) = self.ratio(Source::ScramKeys, Source::Former) {
            goals.push(Goal {
                description: "at most 0.7 of the processor time of the former program's start",
                measured: format!("{ratio:.2}"),
                met: ratio <= 0.7,
            });
        }
        goals
    }

    /// The ratio of two sources, as the median over the rounds.
    fn ratio(&self, one: Source, base: Source) -> Option<f64> {
        let (one, base) = (self.of(one)?, self.of(base)?);
        Some(Spread::of_ratios(one.iter().copied(), base.iter().copied()).median)
    }

    fn of(&self, source: Source) -> Option<&[f64]> {
        let mut all = self.by_source.iter();
        let found = all.find(|one| one.source == source)?;
        Some(&found.samples)
    }
}

impl Source {
    /// The name in the file of callgrind.
    fn name(self) -> &'static str {
        match self {
            Self::ScramKeys => "scram-keys",
            Self::Password => "password",
            Self::Provider => "provider",
            Self::Former => "former",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::ScramKeys => "of deploy time, with SCRAM keys",
            Self::Password => "of deploy time, with the password",
            Self::Provider => "of Heroku's API, over TLS",
            Self::Former => "of deploy time, the former program",
        }
    }
}

impl TlsHeroku {
    async fn start(database_url: &str) -> anyhow::Result<Self> {
        let heroku = Heroku::start(0).await?;
        heroku.create_pipeline(PIPELINE)?;
        heroku.create_app(APP)?;
        heroku.couple(PIPELINE, APP, HerokuStage::Staging)?;
        heroku.set_config_var(APP, "DATABASE_URL", database_url)?;
        let token = heroku.create_token(&Access::Apps(vec![APP.to_owned()]))?;
        let authority = Authority::new("the benchmark's authority");
        let relay = TlsRelay::start(heroku.url(), &authority.certify()).await;
        Ok(Self {
            heroku,
            token,
            root: authority.pem(),
            relay,
        })
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let url = self.relay.url().to_owned();
        vec![
            ("STAGELINK_STAGE", Stage::STAGING.to_string()),
            ("STAGELINK_HEROKU_PIPELINE", PIPELINE.to_owned()),
            ("STAGELINK_HEROKU_API_URL", url),
            ("STAGELINK_PROVIDER_ROOT_CERTIFICATES", self.root.clone()),
            ("HEROKU_API_KEY", self.token.clone()),
        ]
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.heroku.stop().await;
        Ok(())
    }
}

const PIPELINE: &str = "shop";
const APP: &str = "shop-staging";

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Starts with these times.
    pub(crate) fn starts(keys: f64, password: f64, provider: f64, former: f64) -> Starts {
        let of = |source, time: f64, instructions| StartsOfSource {
            source,
            samples: vec![time, time * 2.0, time],
            instructions,
        };
        Starts {
            by_source: vec![
                of(Source::ScramKeys, keys, Some(2_830_000)),
                of(Source::Password, password, None),
                of(Source::Provider, provider, Some(34_970_000)),
                of(Source::Former, former, None),
            ],
        }
    }

    #[test]
    fn goals_are_judged_at_the_limit() {
        let met = |starts: &Starts| {
            let goals = starts.evaluate();
            goals.iter().map(|goal| goal.met).collect::<Vec<_>>()
        };
        assert_eq!(met(&starts(1.7, 2.0, 3.2, 2.5)), [true, true, true]);
        assert_eq!(met(&starts(1.8, 2.0, 3.3, 2.5)), [false, false, false]);
    }
}
