//! A whole site with two stages, as `stagelink dev` starts it.

use stagelink_local::heroku::Stage;
use stagelink_local::netlify::SiteConfig;
use stagelink_local::{Cloud, CloudConfig};

use crate::{Record, database, functions, migrate, root, server};

/// Starts a site with the migrated stages staging and production on a free port. Returns it with
/// the record of its functions' logs.
///
/// # Panics
///
/// When it does not start.
pub async fn site() -> (Cloud, Record) {
    let cloud_config = CloudConfig {
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
    };
    let record = Record::new([]);
    let log = record.clone();
    let cloud = Cloud::start(cloud_config, move |_, line| log.add(line.line))
        .await
        .expect("the site comes up");
    for stage in cloud.stages() {
        migrate(stage.variables()).await;
    }
    (cloud, record)
}
