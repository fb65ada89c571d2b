//! Measures stagelink beside other ways to reach Postgres from a function.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use stagelink_bench::{Benchmark, Suite, Variant};
use stagelink_local_postgres::Source;

/// Measures stagelink beside other ways to reach Postgres from a function.
///
/// The same small function is written with stagelink, with the driver alone, with
/// deadpool-postgres (`Fast` and `Verified`), with sqlx and with Node. Each is run as a process
/// against a Lambda Runtime API and a real Postgres with TLS, in rounds that take turns. Shown
/// are cold starts, warm requests, memory, sizes and round trips; how those with a pool come out
/// of an abandoned query, of a freeze that costs the connection, and of storms of instances,
/// through PgBouncer and without; and which goals are met.
#[derive(Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Args {
    /// Measures less, for a first look: 5 rounds of 200 requests, and 40 instances in a storm.
    #[arg(long)]
    quick: bool,

    /// Rounds, each with a new process of every variant. 30 if not given. Abandoned queries
    /// take a third of them, freezes a tenth.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,

    /// Warm requests to each process. 1,000 if not given.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    requests: Option<u16>,

    /// Processes of each variant in a storm. 100 if not given.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=MOST_INSTANCES))]
    instances: Option<u16>,

    /// Measures this alone.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    suites: Vec<Suite>,

    /// Measures these alone. Ratios need the floor, and a goal needs those that it names.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    variants: Vec<Variant>,

    /// Counts no instructions, which needs valgrind
    /// (Debian: `apt-get install valgrind`).
    #[arg(long)]
    no_callgrind: bool,

    /// The Postgres that times are measured with, as for `stagelink dev` but for a URL. Heroku's
    /// default version if not given.
    #[arg(
        long,
        value_name = "SOURCE",
        env = "STAGELINK_POSTGRES",
        default_value = "npm:17",
        hide_env_values = true
    )]
    postgres: String,

    /// Where `report.md`, `report.json` and the plots go.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    output: PathBuf,
}

impl Args {
    fn benchmark(self) -> anyhow::Result<Benchmark> {
        let (rounds, requests, callgrind_requests, instances) = if self.quick {
            (5, 200, 100, 40)
        } else {
            (30, 1_000, 500, 100)
        };
        let postgres: Source = self.postgres.parse()?;
        anyhow::ensure!(
            !matches!(postgres, Source::Url(_)),
            "this needs a Postgres of its own, whose certificate it knows: \
             --postgres takes no URL here"
        );
        let takes_part = |one: &Variant| self.variants.is_empty() || self.variants.contains(one);
        let is_chosen = |one: &Suite| self.suites.is_empty() || self.suites.contains(one);
        Ok(Benchmark {
            variants: Variant::ALL.into_iter().filter(takes_part).collect(),
            suites: Suite::ALL.into_iter().filter(is_chosen).collect(),
            rounds: self.rounds.map_or(rounds, usize::from),
            requests: self.requests.map_or(requests, usize::from),
            instances: self.instances.map_or(instances, usize::from),
            callgrind_requests: (!self.no_callgrind).then_some(callgrind_requests),
            postgres,
            folder: self.output,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match bench(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench(args: Args) -> anyhow::Result<()> {
    let benchmark = args.benchmark()?;
    let report = benchmark.run().await?;
    let files = report.write(&benchmark.folder)?.join(", ");
    let mut output = std::io::stdout();
    writeln!(output, "\n{}", report.text())
        .and_then(|()| {
            let folder = benchmark.folder.display();
            writeln!(output, "Written to {folder}: {files}")
        })
        .context("could not write to standard output")
}

/// More processes than the server takes connections at all would be another storm.
const MOST_INSTANCES: i64 = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_contest_can_be_made_less_quick() {
        let benchmark = |arguments: &[&str]| {
            let arguments = ["bench"].iter().chain(arguments);
            Args::parse_from(arguments).benchmark().unwrap()
        };
        let quick = benchmark(&[
            "--quick",
            "--requests",
            "300",
            "--variants",
            "node,floor",
            "--postgres",
            "npm",
        ]);
        assert_eq!((quick.rounds, quick.requests), (5, 300));
        assert_eq!(quick.variants, [Variant::Floor, Variant::Node]);
        let whole = benchmark(&["--no-callgrind", "--postgres", "local"]);
        assert_eq!(whole.variants, Variant::ALL);
        assert_eq!(whole.suites, Suite::ALL);
        assert_eq!((whole.instances, quick.instances), (100, 40));
        let storms = benchmark(&["--suites", "storms", "--instances", "50"]);
        assert_eq!(storms.suites, [Suite::Storms]);
        assert_eq!(storms.instances, 50);
        assert_eq!((whole.rounds, whole.callgrind_requests), (30, None));
    }

    #[test]
    fn postgres_of_someone_else_is_refused() {
        let url = "postgres://boss:canary@db.example/postgres";
        let args = Args::parse_from(["bench", "--postgres", url]);
        let error = args.benchmark().unwrap_err().to_string();
        assert!(error.contains("takes no URL"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
