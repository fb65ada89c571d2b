//! The site with its stages: the function as real processes, with a real database for each stage.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use stagelink::{Database, Settings};
use stagelink_local::heroku::Stage;
use stagelink_local::netlify::SiteConfig;
use stagelink_local::{Cloud, CloudConfig, StageSite};
use stagelink_local_postgres::{Server, ServerOptions, random_password};

type TestResult<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::test]
async fn note_is_only_in_its_own_stage() -> TestResult {
    let postgres = Server::start(ServerOptions::new()).await?;
    let cloud = start(&postgres).await?;
    let [staging, production] = cloud.stages() else {
        return Err("there must be two stages".into());
    };

    let note = json!({ "text": "hello" });
    let response = staging.request("POST", "/api/notes", Some(&note)).await?;
    assert_eq!(response.status(), 200);
    assert_eq!(
        list(staging).await?,
        json!({ "stage": "staging", "notes": ["hello"] })
    );
    assert_eq!(
        list(production).await?,
        json!({ "stage": "production", "notes": [] })
    );

    let empty = json!({ "text": "" });
    let response = staging.request("POST", "/api/notes", Some(&empty)).await?;
    assert_eq!(response.status(), 400);

    cloud.stop().await;
    postgres.stop().await?;
    Ok(())
}

async fn list(stage: &StageSite) -> TestResult<Value> {
    let response = stage.request("GET", "/api/notes", None).await?;
    Ok(serde_json::from_slice(response.body())?)
}

/// Starts the site with both stages, on free ports.
async fn start(postgres: &Server) -> TestResult<Cloud> {
    let mut stages = Vec::new();
    for stage in [Stage::Staging, Stage::Production] {
        let database = postgres
            .create_database(stage.as_str(), &random_password())
            .await?;
        stages.push((stage, database).into());
    }
    let config = CloudConfig {
        pipeline: "{{name}}".to_owned(),
        stages,
        databases: postgres.database_admin(),
        functions: [("notes".to_owned(), env!("CARGO_BIN_EXE_notes").into())].into(),
        variables: [].into(),
        site: SiteConfig::load(&root())?,
        site_port: 0,
        heroku_port: 0,
    };
    let cloud = Cloud::start(config, |stage, line| eprintln!("[{stage}] {}", line.line)).await?;
    for stage in cloud.stages() {
        migrate(stage).await?;
    }
    Ok(cloud)
}

/// Applies the files of migrations/ in the order of their numbers.
async fn migrate(stage: &StageSite) -> TestResult {
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

/// Returns the project's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
