//! Servers in Docker, on machines that have Docker.

use std::path::PathBuf;
use std::process::Command;

use stagelink_local_postgres::{ErrorKind, Server, ServerOptions, ServerSource};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use super::{connect, installed, open_directory, refused, text};

/// Returns `STAGELINK_POSTGRES` if it names Docker, as `scripts/test-docker` sets
/// it. Then these tests fail on a machine without Docker. Otherwise they check
/// that the start reports the missing Docker.
fn chosen_source() -> Option<String> {
    let source = std::env::var("STAGELINK_POSTGRES").ok()?;
    source.starts_with("docker").then_some(source)
}

fn in_docker() -> ServerSource {
    ServerSource::Docker {
        image: Some(image()),
    }
}

/// Returns the image of `STAGELINK_POSTGRES`, or the default image.
pub(super) fn image() -> String {
    chosen_source()
        .and_then(|source| Some(source.strip_prefix("docker:")?.to_owned()))
        .unwrap_or_else(|| "postgres:17".to_owned())
}

/// Starts a server in Docker. On a machine without Docker, checks the error and returns `None`.
pub(super) async fn start_in_docker(data: Option<PathBuf>) -> Option<Server> {
    let mut options = ServerOptions::new().source(in_docker());
    if let Some(data) = data {
        options = options.data_directory(data);
    }
    match Server::start(options).await {
        Ok(server) => Some(server),
        Err(error) => {
            assert!(chosen_source().is_none(), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
            let message = error.to_string().to_lowercase();
            assert!(message.contains("docker"), "{message}");
            assert!(
                docker(&["image", "inspect", &image()]).is_none(),
                "{message}"
            );
            None
        }
    }
}

/// Returns the output of a docker command, if it succeeds.
pub(super) fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    let stdout = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(stdout)
}

/// Returns the container that publishes a port, and its volumes.
pub(super) fn container(port: u16) -> (String, Vec<String>) {
    let publishes = format!("publish={port}");
    let id = docker(&["ps", "--all", "--quiet", "--filter", &publishes]).unwrap();
    let volumes = "{{range .Mounts}}{{.Name}} {{end}}";
    let volumes = docker(&["inspect", "--format", volumes, &id]).unwrap();
    (id, volumes.split_whitespace().map(str::to_owned).collect())
}

#[tokio::test]
async fn server_in_docker_serves_and_leaves_nothing() {
    let Some(server) = start_in_docker(None).await else {
        return;
    };
    let end = format!(" in Docker ({})", image());
    assert!(server.description().ends_with(&end), "{server:?}");
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    let settings = "select current_setting('ssl_min_protocol_version') || ' ' ||
                    (select string_agg(type || ' ' || auth_method, ', ') from pg_hba_file_rules)";
    let admin = server.connect_as_superuser().await.unwrap();
    assert_eq!(
        text(&admin, settings).await,
        "TLSv1.2 hostssl scram-sha-256"
    );
    assert_eq!(text(&client, "select current_user::text").await, "shop");

    let mut plain: Config = shop.url().parse().unwrap();
    plain.ssl_mode(tokio_postgres::config::SslMode::Disable);
    let code = refused(plain.connect(NoTls)).await;
    assert_eq!(code, SqlState::INVALID_AUTHORIZATION_SPECIFICATION);

    let (id, volumes) = container(server.port());
    assert!(!id.is_empty() && !volumes.is_empty());
    let shown = docker(&["inspect", &id]).unwrap();
    let options = ServerOptions::new().source(in_docker());
    let second = Server::start(options.port(server.port()));
    assert_eq!(second.await.unwrap_err().kind(), ErrorKind::PortInUse);
    assert!(!shown.contains("POSTGRES_PASSWORD="), "{shown}");
    server.stop().await.unwrap();
    assert_eq!(docker(&["inspect", &id]), None);
    for volume in volumes {
        assert_eq!(docker(&["volume", "inspect", &volume]), None);
    }
}

#[tokio::test]
async fn kept_data_in_docker_is_served_in_the_next_run() {
    let directory = open_directory();
    let data = || Some(directory.path().to_owned());
    let Some(first) = start_in_docker(data()).await else {
        return;
    };
    let certificate = first.certificate_pem().unwrap().to_owned();
    let shop = first.create_database("shop", "pw").await.unwrap();
    let client = connect(&first, &shop.url()).await.unwrap();
    client.batch_execute("create table kept ()").await.unwrap();
    let (id, volumes) = container(first.port());
    first.stop().await.unwrap();
    assert_eq!(docker(&["inspect", &id]), None);

    let of_binaries = Server::start(installed().data_directory(directory.path()));
    let error = of_binaries.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(
        error.to_string().contains("Docker with the image"),
        "{error}"
    );

    let second = start_in_docker(data()).await.unwrap();
    assert_eq!(second.certificate_pem(), Some(&*certificate));
    let shop = second.create_database("shop", "pw2").await.unwrap();
    let client = connect(&second, &shop.url()).await.unwrap();
    client.batch_execute("table kept").await.unwrap();
    second.stop().await.unwrap();
    for volume in volumes {
        docker(&["volume", "rm", &volume]).expect("kept");
    }
}
