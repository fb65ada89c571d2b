//! The arguments of the command line.

mod build;
mod completions;
mod credentials;
mod deploy;
mod dev;
mod doctor;
mod drill;
mod env;
mod fault;
mod history;
mod invoke;
mod link;
mod local;
mod mark;
mod migrate;
mod needs;
mod new;
mod platform;
mod promote;
mod psql;
mod stage;
mod status;

use clap::{ArgAction, Parser, Subcommand};

pub use self::build::BuildOptions;
pub use self::completions::CompletionsOptions;
pub use self::credentials::CredentialsOptions;
pub use self::deploy::DeployOptions;
pub use self::dev::DevOptions;
pub use self::doctor::DoctorOptions;
pub use self::drill::DrillOptions;
pub use self::env::EnvOptions;
pub use self::fault::{FaultCommand, FaultOptions};
pub use self::history::HistoryOptions;
pub use self::invoke::InvokeOptions;
pub use self::link::LinkOptions;
pub use self::local::LocalOptions;
pub use self::mark::{MarkCommand, StageOptions};
pub use self::migrate::{
    AllowedDisagreement, DriftOptions, MigrateCommand, MigrateOptions, NewMigrationOptions,
    WidenHistoryOptions,
};
pub use self::needs::NeedsOptions;
pub use self::new::{NewCommand, NewFunctionOptions, NewOptions, Vcs};
pub use self::platform::{LambdaDeployOptions, LambdaUrl, Platform};
pub use self::promote::{PromoteOptions, RollbackOptions};
pub use self::psql::PsqlOptions;
pub use self::stage::StageArgument;
pub use self::status::StatusOptions;

/// Links serverless functions to PaaS databases, stage by stage.
///
/// `stagelink new NAME` makes a project. In it, `stagelink` alone runs the site on this machine.
#[derive(Debug, Parser)]
#[command(name = "stagelink", version, max_term_width = 100)]
pub struct Args {
    /// Shows warnings on standard error; -vv and -vvv show more.
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 900)]
    pub verbose: u8,

    /// The command to run; `dev` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a new project that builds, passes its tests, and runs.
    ///
    /// The project is a Cargo workspace with one function, its table, a page, a test on local
    /// stages, and a GitHub Actions workflow that deploys to staging and promotes the same programs
    /// to production. The command changes no existing file.
    ///
    /// `stagelink new function NAME` adds a function to a project.
    New(NewOptions),
    /// Runs the whole site on this machine, until Ctrl-C.
    ///
    /// Starts a Postgres with a database for each stage, a local Heroku with their pipeline, and
    /// the site with its functions, once per stage: production at localhost:8888, staging
    /// at staging.localhost:8888. Each function is built, and runs as a process that stays
    /// warm between requests, as on AWS Lambda. Migrations are applied to each database as it starts,
    /// and when a file appears. A save is built and served, and no request is lost. Ctrl-C stops
    /// everything and leaves nothing behind.
    Dev(DevOptions),
    /// Invokes a function of the running `stagelink dev`: a scheduled one, or any with an event.
    ///
    /// Without --data a scheduled function gets the request that Netlify sends by its schedule: POST,
    /// the header X-NF-Event: schedule, and a body with the time of the next run. With --data any
    /// function gets that JSON as its event, as it is. The response is printed, and the log of
    /// `stagelink dev` has the function's lines.
    ///
    /// Exits with 0, with 1 where the function failed or answered with a status of 400 or more, and
    /// with 2 where no `stagelink dev` runs or the arguments are wrong.
    Invoke(InvokeOptions),
    /// Builds the functions for Netlify and AWS Lambda.
    ///
    /// Each function becomes one program with the C library and OpenSSL linked in, so that it needs
    /// nothing of the platform's image. Programs for x86_64 go to dist/functions, from which Netlify
    /// deploys them; a zip of each program for AWS Lambda goes to dist/lambda. The command then
    /// starts each program and sends it a request.
    Build(BuildOptions),
    /// Links a Netlify site: gives each deploy context the database of its stage.
    ///
    /// The production context gets the database of stage production, the branch `staging` that of
    /// stage staging, and a deploy preview that of its pull request's review app, if there is one.
    /// The command finds each stage's database in the Heroku pipeline, connects to it, and sets its
    /// credentials as a secret variable of that context alone. It first shows what it is going to
    /// set, and asks.
    ///
    /// stagelink.toml names the site, the pipeline and the stages; the command writes it where the
    /// project has none. STAGELINK_HEROKU_PIPELINE overrides its pipeline. HEROKU_API_KEY holds a
    /// Heroku token that may read all stages and stays on this machine; by default it is that of
    /// the Heroku command line. NETLIFY_AUTH_TOKEN holds a token of Netlify; by default it is that
    /// of the Netlify command line.
    Link(LinkOptions),
    /// Shows or changes the stage mark of a database.
    ///
    /// The mark names the stage that a database belongs to. A function refuses a database that is
    /// marked as another stage's.
    ///
    /// The command finds the database as a function of the stage does, by the same variables:
    /// STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY, those of another provider, or DATABASE_URL.
    /// The project's stagelink.toml comes first, where there is one; STAGELINK_PROVIDER with its
    /// variables takes its place. The token is by default that of the Heroku command line.
    #[command(subcommand)]
    Mark(MarkCommand),
    /// Prints the deploy-time credentials of a stage, which are a secret.
    ///
    /// The output is the value for the variable STAGELINK_CREDENTIALS of that stage's functions.
    /// With it a cold start neither calls the provider nor hashes the password.
    ///
    /// The command finds the database by the variables of a provider, ignores STAGELINK_CREDENTIALS,
    /// connects to the database, and refuses one that is marked as another stage's. Run it again
    /// after the password has changed. Until then, functions that also have the provider's variables
    /// fetch the new password from the provider.
    Credentials(CredentialsOptions),
    /// Applies the project's migrations to a stage's database.
    ///
    /// The files `migrations/VNUMBER__NAME.sql` that are new to the database are applied in the
    /// order of their numbers, each in a transaction of its own. A statement that Postgres refuses in
    /// a transaction, such as CREATE INDEX CONCURRENTLY, has a file of its own. The command shows
    /// the plan, and asks.
    ///
    /// A busy table never keeps the site waiting: a statement that does not get its lock within a
    /// second is rolled back with its file, and tried again. Of two runs at a time one works and the
    /// other waits. A run that was interrupted can begin again.
    ///
    /// The command finds the database as a function of the stage does, by the same variables, and
    /// connects to it without a pooler.
    Migrate(MigrateOptions),
    /// Builds the project, and deploys it to a stage on Netlify.
    ///
    /// The command builds the functions, and makes one artifact of them and the files that
    /// netlify.toml publishes, known by its digest. It shows the plan: the stage that Netlify's context
    /// says, the digest, the commit, and the migrations of class before, which are applied first. It
    /// asks, applies them, uploads what Netlify does not have, and waits until the deploy is ready. A
    /// deploy of another stage, or one that the stage's database cannot run, is refused.
    ///
    /// A run that was interrupted is gone on with by the next one. One command at a time changes a
    /// stage.
    ///
    /// NETLIFY_AUTH_TOKEN holds a token of Netlify; by default it is that of the Netlify command line.
    /// The stage's database is found as `stagelink migrate` finds it.
    Deploy(DeployOptions),
    /// Promotes: what one stage runs goes live in another one, as it was tested.
    ///
    /// It promotes the artifact that the source runs, by its digest: the programs, static
    /// files, redirects and headers of its deploy. It gets the target's own variables and database, and
    /// has answered with them before it is live. The schema that it needs is there first: migrations of
    /// class before are applied, and the command stops where others are missing.
    ///
    /// The command shows the plan, and asks. Killed at any point, it goes on when it is run again, or
    /// takes back what it did with --abort. A step that fails is taken back at once. Of two at a time one
    /// works, and the other says so.
    ///
    /// Needs a Netlify site with a deploy in production, and one of the source that `stagelink deploy`
    /// or a build with `stagelink build` made. The target's database is found as `stagelink migrate`
    /// does.
    Promote(PromoteOptions),
    /// Takes a stage back to the deploy that was live before.
    ///
    /// The command makes sure that the schema still carries that deploy's code, and that it answers at
    /// its own address with the stage's database, before it publishes it. That is one atomic change, and
    /// no migration is taken back.
    Rollback(RollbackOptions),
    /// Shows the migrations that built functions need, and whether a stage's database can run them.
    ///
    /// `stagelink build` writes the names, classes and checksums of the project's migrations into
    /// each program. It needs those that are not of class after, and may run where these are applied
    /// and each migration of after that is applied is in its list. What other means have built says
    /// nothing, and its needs are unknown.
    ///
    /// With --stage the command exits with 0 if the database can run all of them as it is, with 1 if
    /// it needs migrations first, cannot run them, or that is unknown, and with 2 after an error.
    /// Nothing is changed.
    Needs(NeedsOptions),
    /// Shows what each stage has: code, database, migrations, credentials.
    ///
    /// The command looks everything up side by side: the deploys and variables of the Netlify site,
    /// the plan at Heroku, and a connection to each database, as the stage's functions make it. Below
    /// the table it says in what the stages differ. It changes nothing, and what it cannot know it
    /// says with the reason.
    ///
    /// The stages are those of stagelink.toml. Without the file they are production and staging of
    /// STAGELINK_HEROKU_PIPELINE, or the one of STAGELINK_STAGE.
    ///
    /// Exits with 0 when all could be looked up, with 1 when something could not, and with 2 when
    /// the settings cannot be used.
    Status(StatusOptions),
    /// Shows the deploys that are recorded in a stage's database, the newest first.
    ///
    /// Each command that changes the code of a stage records who ran it, when, with which artifact and
    /// from which commit, and how it ended. Code that was deployed by other means is not recorded.
    /// Records of another stage, from whose database this one was copied, are left out.
    ///
    /// Nothing is changed.
    History(HistoryOptions),
    /// Finds what is wrong with the stages, with a line of advice for each.
    ///
    /// The command looks at the way to each stage's database and at the database: tokens, apps,
    /// attachments, TLS, the stage mark, versions, connection limits, migrations, and more. Its
    /// queries are read-only, over one connection per stage. It changes nothing.
    ///
    /// It prints what it found and what it could not check. Each check has a stable id, with a
    /// section in docs/guides/troubleshooting.md.
    ///
    /// Exits with 0 if there is no error, and with --strict no warning; with 1 for warnings with
    /// --strict; with 2 for errors, also of its arguments and settings.
    Doctor(DoctorOptions),
    /// Lists the environment variables that a stage's functions get on Netlify.
    ///
    /// For each variable the command shows where it comes from (the site, or the account that owns
    /// it, and the deploy context whose value counts), its size, and whether it is a secret. It shows
    /// no value but those of stagelink's own settings that are no secret, such as STAGELINK_STAGE.
    ///
    /// The sizes count against the 4096 bytes that AWS Lambda allows a function. A deploy keeps the
    /// values that it was made with, so a variable that was changed later has its new value in the
    /// next deploy.
    ///
    /// Exits with 0, with 1 when Netlify could not be asked, and with 2 when the settings cannot be
    /// used.
    Env(EnvOptions),
    /// Opens psql on a stage's database, with the credentials that the provider gives now.
    ///
    /// The command connects first, and refuses a database that is marked as another stage's. psql gets
    /// the password in its environment, never on its command line. It demands of the server the proof
    /// that the SDK got: SCRAM channel binding, or a certificate that verifies.
    ///
    /// On a stage of kind production the session is read-only unless --write is given. That stops
    /// mistakes alone: `default_transaction_read_only` is on, and a statement such as BEGIN READ WRITE
    /// undoes it. A role without the right to write, or a follower, stops more.
    ///
    /// Exits with the code of psql; with 1 when psql was not started, and with 2 when the options or
    /// the settings cannot be used.
    Psql(PsqlOptions),
    /// Makes the local clouds of the running `stagelink dev` misbehave, on purpose.
    ///
    /// A fault changes what the functions of a local stage meet: the network to their database, the
    /// database, the provider's API, or their own processes. It lasts for --for, until `stagelink fault
    /// clear`, or until `stagelink dev` ends. The connections of each local stage lead through a proxy of
    /// `stagelink dev`, which passes the bytes on as they are, so TLS and channel binding stay those of
    /// the server.
    ///
    /// No fault reaches anything but the local clouds.
    Fault(FaultOptions),
    /// Sends load to a local stage, injects each fault in turn, and shows what the clients saw.
    ///
    /// The stage is one of the running `stagelink dev` of the project; where none runs, the command starts
    /// one, and ends it. stagelink.toml declares what is sent, in the table `[drill]`: a read, a write, and
    /// where the writes are counted. For each fault the table has the requests, those that failed, the
    /// slowest, and what became of the writes: kept once, lost, doubled, in doubt. Without a declared
    /// write and its count it says not checked.
    ///
    /// Expected are no failed read (but that of a killed instance), and no lost or doubled write. A write
    /// may fail; with an idempotency key it is then sent once more, and must be there once.
    ///
    /// Exits with 0 if all is as expected, with 1 if not, and with 2 for wrong arguments or requests that
    /// are not declared. Only local stages are ever touched.
    Drill(DrillOptions),
    /// Prints the script by which a shell completes this command's arguments.
    ///
    /// bash: `source <(stagelink completions bash)` in ~/.bashrc. zsh: the same in ~/.zshrc, after
    /// `compinit`. fish: `stagelink completions fish > ~/.config/fish/completions/stagelink.fish`.
    /// PowerShell: `stagelink completions powershell | Out-String | Invoke-Expression` in $PROFILE.
    Completions(CompletionsOptions),
}

impl Default for Command {
    fn default() -> Self {
        Self::Dev(DevOptions::parse_from(["dev"]))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn default_command_is_dev() {
        let args = Args::parse_from(["stagelink"]);
        let Command::Dev(options) = args.command.unwrap_or_default() else {
            panic!("another command");
        };
        assert_eq!(options.port, 8888);
        assert!(!options.json);
    }

    #[test]
    fn verbose_flag_counts_before_and_after_the_command() {
        for arguments in [["stagelink", "-vv", "dev"], ["stagelink", "dev", "-vv"]] {
            assert_eq!(Args::parse_from(arguments).verbose, 2, "{arguments:?}");
        }
        assert_eq!(Args::parse_from(["stagelink"]).verbose, 0);
    }

    #[test]
    fn postgres_source_with_a_password_is_not_in_the_debug_output() {
        let url = "postgres://boss:c4n4ry@localhost/postgres";
        let args = Args::try_parse_from(["stagelink", "dev", "--postgres", url]).unwrap();
        assert!(!format!("{args:?}").contains("c4n4ry"));
    }
}
