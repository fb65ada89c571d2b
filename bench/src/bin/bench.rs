//! Compares stagelink with other Postgres clients in a function.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use stagelink_bench::{Benchmark, Suite, Variant};
use stagelink_local_postgres::ServerSource;

/// Compares stagelink with other Postgres clients in a function.
///
/// One small function is written with stagelink, with the driver alone, with deadpool-postgres
/// (`Fast` and `Verified`), with sqlx and with Node. Each variant runs as a process against a
/// Lambda Runtime API and a real Postgres with TLS, in rounds of a random order. The report shows
/// cold starts, warm requests, memory, sizes and round trips; how the variants with a pool recover
/// from an abandoned query, a freeze that loses the connection, and connection storms with and
/// without PgBouncer; and which goals are met. The exit code is 1 where one of them is missed.
#[derive(Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Args {
    /// Measures less, for a first look: 5 rounds of 200 requests, and 40 instances in a storm.
    #[arg(long)]
    quick: bool,

    /// Rounds, each with a new process of every variant [default: 30]. Abandoned queries take a
    /// third of them, freezes a tenth.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,

    /// Warm requests to each process [default: 1000].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    requests: Option<u16>,

    /// Processes of each variant in a connection storm [default: 100].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=MOST_INSTANCES))]
    instances: Option<u16>,

    /// Runs only these suites.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    suites: Vec<Suite>,

    /// Runs only these variants. Ratios need the floor, and a goal needs the variants it names.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    variants: Vec<Variant>,

    /// The program of the variant stagelink of another commit, as target/bench/variant-stagelink of its
    /// checkout: the suite `starts` compares its start.
    #[arg(long, value_name = "PROGRAM")]
    former: Option<PathBuf>,

    /// Skips counting instructions, which needs valgrind (Debian: `apt-get install valgrind`).
    #[arg(long)]
    no_callgrind: bool,

    /// The Postgres that times are measured with: a value of `stagelink dev --postgres` other than
    /// a URL. The default is Heroku's default version.
    #[arg(
        long,
        value_name = "SOURCE",
        env = "STAGELINK_POSTGRES",
        default_value = "npm:17",
        hide_env_values = true
    )]
    postgres: String,

    /// Output folder for `report.md`, `report.json` and the charts.
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
        let postgres: ServerSource = self.postgres.parse()?;
        anyhow::ensure!(
            !matches!(postgres, ServerSource::Url(_)),
            "the benchmark starts its own Postgres, whose certificate it knows: \
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
            former: self.former,
            postgres,
            folder: self.output,
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match bench(Args::parse()).await {
        Ok(missed) if missed.is_empty() => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("missed: {}", missed.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark, and returns the goals that were missed.
async fn bench(args: Args) -> anyhow::Result<Vec<String>> {
    let benchmark = args.benchmark()?;
    let report = benchmark.run().await?;
    let files = report.write(&benchmark.folder)?.join(", ");
    let mut output = std::io::stdout();
    writeln!(output, "\n{}", report.text())
        .and_then(|()| {
            let folder = benchmark.folder.display();
            writeln!(output, "Written to {folder}: {files}")
        })
        .context("could not write to standard output")?;
    Ok(report.missed_goals())
}

/// The server accepts few more connections than this; with more processes it would refuse them
/// instead of the role limit.
const MOST_INSTANCES: i64 = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_benchmark_can_be_made_larger() {
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
    fn url_of_a_postgres_is_refused() {
        let url = "postgres://boss:canary@db.example/postgres";
        let args = Args::parse_from(["bench", "--postgres", url]);
        let error = args.benchmark().unwrap_err().to_string();
        assert!(error.contains("takes no URL"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}
