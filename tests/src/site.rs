//! A whole site with two stages, as `stagelink dev` starts it.

use stagelink_local::heroku::Stage;
use stagelink_local::lambda::LogLine;
use stagelink_local::netlify::SiteConfig;
use stagelink_local::{Cloud, CloudConfig, Error, StageSite};

use crate::{Record, database, functions, migrate, root, server};

/// Starts a site with the migrated stages staging and production on a free port. Returns it with
/// the record of its functions' logs.
///
/// # Panics
///
/// When it does not start.
pub async fn site() -> (Cloud, Record) {
    let record = Record::new([]);
    let log = record.clone();
    let migrate_stages = async |stages: &[StageSite]| {
        for stage in stages {
            migrate(stage.variables()).await;
        }
        Ok::<_, Error>(())
    };
    let log = move |_: &str, line: LogLine| log.add(line.line);
    let cloud = Cloud::start_with(cloud_config().await, log, migrate_stages)
        .await
        .expect("the site comes up");
    (cloud, record)
}

/// Returns the configuration of a site with the stages staging and production, each with an empty
/// database, on free ports.
///
/// # Panics
///
/// When Postgres or the functions are missing.
pub async fn cloud_config() -> CloudConfig {
    CloudConfig {
        pipeline: "shop".to_owned(),
        stages: vec![
            (Stage::Staging, database().await).into(),
            (Stage::Production, database().await).into(),
        ],
        databases: server().await.database_admin(),
        functions: functions().await.clone(),
        variables: std::collections::BTreeMap::default(),
        site: SiteConfig::load(root()).expect("netlify.toml is good"),
        site_port: 0,
        heroku_port: 0,
    }
}
