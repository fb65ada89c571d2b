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
pub(crate) use self::platform::PlatformOption;
pub use self::platform::{LambdaDeployOptions, LambdaUrl, Platform};
pub use self::promote::{PromoteOptions, RollbackOptions};
pub use self::psql::PsqlOptions;
pub use self::stage::StageArgument;
pub use self::status::StatusOptions;

/// Links serverless functions to PaaS databases, stage by stage.
///
/// `stagelink new NAME` creates a project. In it, `stagelink` without a command runs the site on
/// this machine.
///
/// Exit code of a command, unless its help says otherwise: 0; 1 after an error; 2 for wrong
/// arguments.
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
    /// Creates a project: one function with its table, a page, tests, and CI.
    ///
    /// The project is a Cargo workspace that builds, passes its tests and runs at once. Its GitHub
    /// Actions workflows deploy to staging, promote the same programs to production, and roll back.
    /// The command changes no existing file.
    ///
    /// `stagelink new function NAME` adds a function to a project.
    New(NewOptions),
    /// Runs the whole site on this machine, until Ctrl-C.
    ///
    /// Starts a Postgres with a database for each stage, a local Heroku with the pipeline, and the
    /// site with its functions for each stage: production at localhost:8888, staging at
    /// staging.localhost:8888. Functions stay running between requests, as on AWS Lambda.
    ///
    /// The command applies the migrations to each database at the start and when a file appears. It
    /// builds and serves each saved change without losing a request. By default nothing is left
    /// behind at the end.
    Dev(DevOptions),
    /// Invokes a function of the running `stagelink dev`, as its schedule does or with an event.
    ///
    /// Without --data a scheduled function gets the request that Netlify sends for a schedule:
    /// POST, with the header X-NF-Event: schedule, and the time of the next run in the body. With
    /// --data any function gets that JSON as its event. The command prints the response. The log
    /// lines of the function appear in `stagelink dev`.
    ///
    /// Exit code: 0; 1 if the function failed or answered with a status of 400 or more; 2 if no
    /// `stagelink dev` runs or the arguments are wrong.
    Invoke(InvokeOptions),
    /// Builds the functions for Netlify and AWS Lambda.
    ///
    /// Each function becomes one program with the C library linked in, so that it needs
    /// no library of the platform's image. Programs for x86_64 go to dist/functions, from which
    /// Netlify deploys them; a zip of each program for AWS Lambda goes to dist/lambda. The command
    /// then starts each program and sends it a request.
    Build(BuildOptions),
    /// Links a Netlify site: gives each deploy context the credentials of its stage's database.
    ///
    /// The production context gets those of stage production, the branch `staging` those of stage
    /// staging, and a deploy preview those of its pull request's review app, if there is one. The
    /// command finds each stage's database in the Heroku pipeline, connects to it, and sets its
    /// credentials as a secret variable only of that context. It shows the plan first, and asks.
    ///
    /// The site, the pipeline and the stages are those of stagelink.toml; the command writes the
    /// file if the project has none. STAGELINK_HEROKU_PIPELINE overrides its pipeline.
    /// HEROKU_API_KEY holds a Heroku token that may read all stages; it stays on this machine.
    /// NETLIFY_AUTH_TOKEN holds a Netlify token. By default both are those of the logged-in command
    /// lines.
    Link(LinkOptions),
    /// Shows or changes the stage mark of a database.
    ///
    /// The mark names the stage that a database belongs to. A function refuses a database that is
    /// marked as another stage's.
    ///
    /// The command finds the database as the stage's functions do: by stagelink.toml, else by
    /// STAGELINK_HEROKU_PIPELINE and HEROKU_API_KEY, the variables of another provider, or
    /// DATABASE_URL. STAGELINK_PROVIDER with its variables overrides the file. The token is by
    /// default that of the Heroku command line.
    #[command(subcommand)]
    Mark(MarkCommand),
    /// Prints the deploy-time credentials of a stage, a secret.
    ///
    /// The output is the value of STAGELINK_CREDENTIALS for that stage's functions. With it a cold
    /// start neither calls the provider nor hashes the password.
    ///
    /// The command finds the database by the variables of a provider and ignores
    /// STAGELINK_CREDENTIALS. It connects, and refuses a database that is marked as another
    /// stage's. Run it again after the password has changed. Until then, functions that also have
    /// the provider's variables fetch the new password themselves.
    Credentials(CredentialsOptions),
    /// Applies the project's migrations to a stage's database.
    ///
    /// The command applies the files `migrations/VNUMBER__NAME.sql` that the database does not have
    /// yet, in the order of their numbers, each in a transaction of its own. A statement that
    /// Postgres refuses in a transaction, such as CREATE INDEX CONCURRENTLY, needs a file of its
    /// own. The command shows the plan first, and asks.
    ///
    /// A statement that does not get its lock within a second is rolled back with its file and
    /// retried, so that a busy table delays no request for longer. One run at a time changes a
    /// database; a second one waits. An interrupted run can be repeated.
    ///
    /// The command finds the database as the stage's functions do, and connects to it without a
    /// pooler.
    Migrate(MigrateOptions),
    /// Builds the project and deploys it to a stage, on Netlify or AWS Lambda.
    ///
    /// The command builds the functions and the artifact: the programs and the files that
    /// netlify.toml publishes, identified by a digest. It shows the plan: the stage of the deploy
    /// context, the digest, the commit, and the migrations of class before. It asks, applies
    /// these migrations, uploads the files that Netlify does not have, and waits until the deploy
    /// is ready and has passed its test. On AWS Lambda it publishes a version of each function and
    /// moves the stage's alias to it.
    ///
    /// The command refuses a deploy of another stage, and one that the stage's database cannot run.
    /// One command at a time changes a stage. Run an interrupted command again, and it continues.
    ///
    /// NETLIFY_AUTH_TOKEN holds a Netlify token; by default that of the Netlify command line. The
    /// command finds the stage's database as `stagelink migrate` does.
    Deploy(DeployOptions),
    /// Puts live in production the artifact that staging runs.
    ///
    /// The artifact is identified by its digest: the programs, static files, redirects and headers
    /// of staging's deploy. It gets production's own variables and database, and must answer with
    /// them before it is live. The command applies the migrations of class before that it needs,
    /// and stops if others are missing. --from and --to name other stages.
    ///
    /// The command shows the plan first, and asks. If a step fails, the command undoes what it did.
    /// One command at a time changes a stage. Run an interrupted promotion again, and it continues,
    /// or undo it with --abort.
    ///
    /// It needs a deploy in production, and a deploy of staging that `stagelink deploy` or a build
    /// with `stagelink build` made. It finds production's database as `stagelink migrate` does.
    Promote(PromoteOptions),
    /// Puts the previous deploy of a stage live again.
    ///
    /// Before it publishes that deploy, the command checks that the schema still fits its code, and
    /// that it answers at its own address with the stage's database. Publishing is one atomic
    /// change. Migrations stay applied.
    ///
    /// The previous deploy is the one that the current one replaced. So a second rollback undoes the
    /// first one, as on Heroku; --to goes further back.
    Rollback(RollbackOptions),
    /// Shows the migrations that built functions need, and whether a stage's database can run them.
    ///
    /// `stagelink build` writes the names, classes and checksums of the project's migrations into
    /// each program. A program needs the listed migrations that are not of class after. It can
    /// run where these are applied, and where no migration of class after is applied that it does
    /// not list. The needs of a program that another tool built are unknown.
    ///
    /// Exit code with --stage: 0 if the database can run all programs as it is; 1 if it needs
    /// migrations first, cannot run them, or that is unknown; 2 after an error. The command changes
    /// nothing.
    Needs(NeedsOptions),
    /// Shows what each stage has: code, database, migrations, credentials.
    ///
    /// The command asks Netlify for the deploys and variables of the site and Heroku for the plan,
    /// and connects to each database as the stage's functions do. Below the table it lists the
    /// differences between the stages. It changes nothing. For a value that it cannot look up it
    /// prints the reason.
    ///
    /// The stages are those of stagelink.toml. Without the file they are production and staging of
    /// STAGELINK_HEROKU_PIPELINE, or the one of STAGELINK_STAGE.
    ///
    /// Exit code: 0 if everything could be looked up, 1 if something could not, 2 if the settings
    /// cannot be used.
    Status(StatusOptions),
    /// Shows the recorded deploys of a stage, the newest first.
    ///
    /// Each command that changes the code of a stage records in the stage's database who ran it and
    /// when, the artifact, the commit and the outcome. Code that was deployed by other means is not
    /// recorded. Records of another stage, from whose database this one was copied, are left out.
    /// The command changes nothing.
    History(HistoryOptions),
    /// Finds problems of the stages, and advises what to do about each.
    ///
    /// The command examines the way to each stage's database and the database itself: tokens, apps,
    /// attachments, TLS, the stage mark, versions, connection limits, migrations, and more. Its
    /// queries are read-only, over one connection per stage. It changes nothing.
    ///
    /// It lists the problems, and the checks that it could not make. Each check has a stable id,
    /// with a section in docs/guides/troubleshooting.md.
    ///
    /// Exit code: 0 if there is no error (with --strict, no warning either); 1 for warnings with
    /// --strict; 2 for errors, including wrong arguments and settings.
    Doctor(DoctorOptions),
    /// Lists the environment variables that a stage's functions get on Netlify.
    ///
    /// For each variable the command shows its origin (the site, or the account that owns it, and
    /// the deploy context whose value counts), its size, and whether it is a secret. It shows
    /// values only of stagelink's own settings that are no secret, such as STAGELINK_STAGE.
    ///
    /// AWS Lambda allows a function 4,096 bytes of variables. A deploy keeps the values that it was
    /// made with, so a changed value reaches functions with the next deploy.
    ///
    /// Exit code: 0; 1 if Netlify could not be asked; 2 if the settings cannot be used.
    Env(EnvOptions),
    /// Opens psql on a stage's database, with the provider's current credentials.
    ///
    /// The command connects first, and refuses a database that is marked as another stage's. psql
    /// gets the password in its environment, never on its command line. psql authenticates the
    /// server as the SDK does: by SCRAM channel binding, or by a certificate.
    ///
    /// On a stage of kind production the session is read-only unless --write is given
    /// (`default_transaction_read_only`). This only prevents mistakes: a statement such as BEGIN
    /// READ WRITE undoes it. For real protection use a role without write privileges, or a
    /// follower.
    ///
    /// Exit code: that of psql; 1 if psql was not started; 2 if the options or the settings cannot
    /// be used.
    Psql(PsqlOptions),
    /// Injects faults into the local clouds of the running `stagelink dev`.
    ///
    /// A fault affects the network to a local stage's database, the database, the provider's API,
    /// or the function's processes. It lasts for the time of --for, until `stagelink fault clear`,
    /// or until `stagelink dev` ends. No fault affects anything but the local clouds.
    Fault(FaultOptions),
    /// Sends load to a local stage, injects each fault in turn, and reports what the clients saw.
    ///
    /// The table `[drill]` of stagelink.toml declares the requests: a read, a write, and a request
    /// that counts the stored writes. For each fault the command reports the number of requests,
    /// the failed ones, the slowest one, and the writes that were stored once, lost, stored twice,
    /// or in doubt. Without a declared write and count it prints "not checked". The command uses
    /// the running `stagelink dev` of the project, or starts one and ends it.
    ///
    /// Expected: no failed read (except that of a killed instance), and no lost or doubled write. A
    /// write may fail; if it has an idempotency key, the command sends it once more, and it must be
    /// stored once.
    ///
    /// Exit code: 0 if all is as expected, 1 if not, 2 for wrong arguments or undeclared requests.
    /// The command uses local stages only.
    Drill(DrillOptions),
    /// Prints the script for a shell's completion of this command's arguments.
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
