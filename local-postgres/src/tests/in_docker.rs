//! Servers in Docker, where there is Docker.

use std::path::PathBuf;
use std::process::Command;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use super::{connect, installed, open_directory, refused, text};
use crate::ErrorKind;
use crate::docker::DEFAULT_IMAGE;
use crate::{Options, Server, Source};

/// What `STAGELINK_POSTGRES` says, as in `scripts/test-docker`, if that is Docker.
/// Then a machine without Docker fails these tests; else it has to say that it
/// has none.
fn chosen() -> Option<String> {
    let source = std::env::var("STAGELINK_POSTGRES").ok()?;
    source.starts_with("docker").then_some(source)
}

fn in_docker() -> Source {
    Source::Docker {
        image: Some(image()),
    }
}

pub(super) fn image() -> String {
    chosen()
        .and_then(|source| Some(source.strip_prefix("docker:")?.to_owned()))
        .unwrap_or_else(|| DEFAULT_IMAGE.to_owned())
}

/// Starts a server in Docker; on a machine without Docker it has to be said.
pub(super) async fn start_in_docker(data: Option<PathBuf>) -> Option<Server> {
    let server = Server::start(Options {
        source: in_docker(),
        data,
        ..Options::default()
    });
    match server.await {
        Ok(server) => Some(server),
        Err(error) => {
            assert!(chosen().is_none(), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::Missing, "{error:?}");
            let said = error.to_string().to_lowercase();
            assert!(said.contains("docker"), "{said}");
            assert!(docker(&["image", "inspect", &image()]).is_none(), "{said}");
            None
        }
    }
}

/// What a docker command prints, if it works.
pub(super) fn docker(arguments: &[&str]) -> Option<String> {
    let output = Command::new("docker").args(arguments).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(said)
}

/// The container behind a port, and its volumes.
pub(super) fn container(port: u16) -> (String, Vec<String>) {
    let publishes = format!("publish={port}");
    let id = docker(&["ps", "--all", "--quiet", "--filter", &publishes]).unwrap();
    let volumes = "{{range .Mounts}}{{.Name}} {{end}}";
    let volumes = docker(&["inspect", "--format", volumes, &id]).unwrap();
    (id, volumes.split_whitespace().map(str::to_owned).collect())
}

#[tokio::test]
async fn server_in_docker_serves_the_same_way_and_leaves_nothing() {
    let Some(server) = start_in_docker(None).await else {
        return;
    };
    let end = format!(" in Docker ({})", image());
    assert!(server.description().ends_with(&end), "{server:?}");
    let shop = server.create_database("shop", "pw").await.unwrap();
    let client = connect(&server, &shop.url()).await.unwrap();
    let settings = "select current_setting('ssl_min_protocol_version') || ' ' ||
                    (select string_agg(type || ' ' || auth_method, ', ') from pg_hba_file_rules)";
    let admin = server.admin().await.unwrap();
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
    let taken = Server::start(Options {
        source: in_docker(),
        port: server.port(),
        ..Options::default()
    });
    assert_eq!(taken.await.unwrap_err().kind(), ErrorKind::PortInUse);
    assert!(!shown.contains("POSTGRES_PASSWORD="), "{shown}");
    server.stop().await.unwrap();
    assert_eq!(docker(&["inspect", &id]), None);
    for volume in volumes {
        assert_eq!(docker(&["volume", "inspect", &volume]), None);
    }
}

#[tokio::test]
async fn kept_data_in_docker_is_there_in_the_next_run() {
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

    let elsewhere = Server::start(Options {
        data: data(),
        ..installed()
    });
    let error = elsewhere.await.unwrap_err();
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
