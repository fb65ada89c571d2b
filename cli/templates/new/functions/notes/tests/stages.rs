//! The function as a real process, with a real database for each stage.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stagelink::{Database, Settings};
use stagelink_local::heroku::Stage;
use stagelink_local::netlify::SiteConfig;
use stagelink_local_postgres::{ServerOptions, Server, random_password};
use stagelink_local::{Cloud, CloudConfig, StageSite};

type Done<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::test]
async fn note_is_seen_in_its_own_stage_alone() -> Done {
    let postgres = Server::start(ServerOptions::new()).await?;
    let cloud = start(&postgres).await?;
    let [staging, production] = cloud.stages() else {
        return Err("there are two stages".into());
    };

    let note = json!({ "text": "hello" });
    let answer = staging.request("POST", "/api/notes", Some(&note)).await?;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        read(staging).await?,
        json!({ "stage": "staging", "notes": ["hello"] })
    );
    assert_eq!(
        read(production).await?,
        json!({ "stage": "production", "notes": [] })
    );

    let empty = json!({ "text": "" });
    let answer = production.request("POST", "/api/notes", Some(&empty)).await?;
    assert_eq!(answer.status(), 400);

    cloud.stop().await;
    postgres.stop().await?;
    Ok(())
}

async fn read(stage: &StageSite) -> Done<Value> {
    let answer = stage.request("GET", "/api/notes", None).await?;
    Ok(serde_json::from_slice(answer.body())?)
}

/// The site with both stages, on free ports.
async fn start(postgres: &Server) -> Done<Cloud> {
    let mut stages = Vec::new();
    for stage in [Stage::Staging, Stage::Production] {
        let database = postgres
            .create_database(stage.as_str(), &random_password())
            .await?;
        stages.push((stage, database));
    }
    let cloud_config = CloudConfig {
        pipeline: "local".to_owned(),
        stages,
        databases: postgres.database_admin(),
        functions: [("notes".to_owned(), env!("CARGO_BIN_EXE_notes").into())].into(),
        variables: [].into(),
        site: SiteConfig::load(&root())?,
        site_port: 0,
        heroku_port: 0,
    };
    let cloud = Cloud::start(cloud_config, |stage, line| eprintln!("[{stage}] {}", line.line)).await?;
    for stage in cloud.stages() {
        migrate(stage).await?;
    }
    Ok(cloud)
}

/// Runs the files of migrations/ by their numbers, over the way that functions take.
async fn migrate(stage: &StageSite) -> Done {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root().join("migrations"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name
            .strip_prefix('V')
            .and_then(|name| name.split_once("__"));
        if let Some((number, _)) = number {
            files.push((number.parse::<u32>()?, path));
        }
    }
    files.sort();
    let db = Database::new(Settings::from_vars(stage.variables()))
        .client()
        .await?;
    for (_, path) in files {
        db.batch_execute(&std::fs::read_to_string(path)?).await?;
    }
    Ok(())
}

/// The project's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
