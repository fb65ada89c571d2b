//! The environment of one URL source: a database, a Heroku API and warm instances.

use std::time::Instant;

use anyhow::Context as _;
use futures_util::future::{join_all, try_join_all};
use stagelink::{Database, Settings};
use stagelink_cli::migrate;
use stagelink_local::heroku::{Access, Heroku, Stage};
use stagelink_local::lambda::{Function, FunctionConfig};
use stagelink_local_postgres::{Database as LocalDatabase, Server, random_password};
use stagelink_tests::{Load, LoadReport, Record, StoredWrites, Target, root};

use super::url_source::{APP, DatabaseLocation, PIPELINE};
use super::{Programs, RotationPlan, UrlSource};

/// The environment of one URL source, independent of the others.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) source: UrlSource,
    database: LocalDatabase,
    heroku: Heroku,
    /// The add-on by which the app has the database.
    addon: String,
    /// One function per instance, so that each instance gets its share of the requests.
    instances: Vec<Function>,
    record: Record,
}

impl Environment {
    /// Sets up the environment, and waits until all instances are warm.
    pub(crate) async fn set_up(
        source: UrlSource,
        plan: &RotationPlan,
        programs: &Programs,
        postgres: &Server,
    ) -> anyhow::Result<Self> {
        let name = format!("demo_{}_{}", std::process::id(), source.program());
        let database = postgres.create_database(&name, &random_password()).await?;
        let heroku = Heroku::start(0).await?;
        heroku.create_pipeline(PIPELINE)?;
        heroku.create_app(APP)?;
        heroku.couple(PIPELINE, APP, Stage::Staging)?;
        let addon = heroku.attach_postgres(APP, &database.url())?;
        let token = heroku.create_token(&Access::Apps(vec![APP.to_owned()]))?;
        let known = DatabaseLocation {
            database_url: &database.url(),
            heroku_url: heroku.url(),
            heroku_token: &token,
            cache: plan.cache,
        };

        let settings = Settings::from_vars(&UrlSource::Stagelink.variables(known));
        migrate::apply(&Database::new(settings), &root().join("migrations")).await?;

        let mut config = FunctionConfig::new(source.program(), programs.of(source));
        config.environment = source.variables(known);
        config.max_instances = 1;
        let instances: Vec<Function> = (0..plan.instances)
            .map(|_| Function::new(config.clone()))
            .collect();
        try_join_all(instances.iter().map(Function::warm_up))
            .await
            .with_context(|| format!("the function {} does not start", source.program()))?;
        Ok(Self {
            source,
            database,
            heroku,
            addon,
            instances,
            record: Record::new([token]),
        })
    }

    /// Starts a load on each instance.
    pub(crate) fn start_loads(&self, plan: &RotationPlan) -> Vec<Load> {
        let load = stagelink_tests::Plan {
            // What comes while an instance is at work waits: it is sent all the same.
            concurrency: plan.rate as usize,
            rate: Some(plan.rate),
            writes_percent: 50,
            has_keys: true,
        };
        let start = |function: &Function| {
            let target = Target::Function {
                function: function.clone(),
                record: self.record.clone(),
            };
            Load::start(target, load)
        };
        self.instances.iter().map(start).collect()
    }

    /// Rotates the password as Heroku does with a default credential: changes the password, ends
    /// the sessions, and then changes the config var. Returns the moment when the last session
    /// had ended.
    pub(crate) async fn rotate(&self, postgres: &Server) -> anyhow::Result<Instant> {
        let databases = postgres.database_admin();
        let rotated = databases.rotate_password(&self.database).await?;
        while databases.stats(&rotated).await?.connections > 0 {}
        let at = Instant::now();
        self.heroku.set_database_url(&self.addon, &rotated.url())?;
        Ok(at)
    }

    /// Compares the answers to the writes with the rows in the database.
    pub(crate) async fn kept(
        &self,
        tallies: &[LoadReport],
        postgres: &Server,
    ) -> anyhow::Result<StoredWrites> {
        let db = postgres.connect_as_superuser_to(&self.database).await?;
        let kept = join_all(tallies.iter().map(|tally| tally.compare_with(&db))).await;
        let mut sum = StoredWrites {
            confirmed: 0,
            unconfirmed: 0,
        };
        for kept in kept {
            let kept = kept.map_err(|wrong| {
                let program = self.source.program();
                anyhow::anyhow!("the rows and the answers of {program} do not agree: {wrong}")
            })?;
            sum.confirmed += kept.confirmed;
            sum.unconfirmed += kept.unconfirmed;
        }
        Ok(sum)
    }

    /// Number of requests to Heroku's API.
    pub(crate) fn heroku_calls(&self) -> usize {
        self.heroku.requests().len()
    }

    /// Shuts down the instances and the Heroku API.
    pub(crate) async fn end(self) {
        join_all(self.instances.iter().map(Function::shutdown)).await;
        self.heroku.stop().await;
    }
}
