//! The number of connections and the time limits, as operators set them.

use super::*;

/// The table of the variables, which the public docs show.
#[test]
fn numbers_have_the_defaults_of_the_table_and_are_set_by_their_variables() {
    let rows = include_str!("../mod.rs").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("/// | `STAGELINK_"));
    let last_number = |row: &str| -> Option<(String, u64)> {
        let (name, rest) = row.split_once('`')?;
        let cell = rest.trim_end_matches(" |").rsplit('|').next()?;
        let number = cell.rsplit('`').nth(1)?.parse().ok()?;
        Some((format!("STAGELINK_{name}"), number))
    };
    let defaults: Vec<_> = rows.filter_map(last_number).collect();
    assert!(defaults.len() >= 7, "{defaults:?}");
    type Read = fn(&Limits) -> u64;
    let read: [(&'static str, Read); 7] = [
        ("STAGELINK_POOL_SIZE", |limits| {
            limits.pool_size.get() as u64
        }),
        ("STAGELINK_IDLE_TIMEOUT_MS", |limits| {
            limits.idle.as_millis() as u64
        }),
        ("STAGELINK_RESOLVE_TIMEOUT_MS", |limits| {
            limits.resolve.as_millis() as u64
        }),
        ("STAGELINK_CONNECT_TIMEOUT_MS", |limits| {
            limits.connect.as_millis() as u64
        }),
        ("STAGELINK_WAIT_TIMEOUT_MS", |limits| {
            limits.wait.as_millis() as u64
        }),
        ("STAGELINK_RETRY_TIMEOUT_MS", |limits| {
            limits.retry.as_millis() as u64
        }),
        ("STAGELINK_MAX_MESSAGE_BYTES", |limits| {
            limits.message_bytes.get() as u64
        }),
    ];
    for (name, default) in &defaults {
        let (name, read) = read.iter().find(|(of, _)| of == name).expect("a limit");
        assert_eq!(read(&with(&[]).unwrap().limits), *default, "{name}");
        assert_eq!(read(&Limits::default()), *default, "{name}");
        assert_eq!(
            read(&with(&[(name, "1234")]).unwrap().limits),
            1234,
            "{name}"
        );
    }
}

#[test]
fn unreadable_number_names_the_variable_and_not_the_value() {
    for name in [
        "STAGELINK_POOL_SIZE",
        "STAGELINK_IDLE_TIMEOUT_MS",
        "STAGELINK_MAX_MESSAGE_BYTES",
        "STAGELINK_RESOLVE_TIMEOUT_MS",
        "STAGELINK_CONNECT_TIMEOUT_MS",
        "STAGELINK_WAIT_TIMEOUT_MS",
        "STAGELINK_RETRY_TIMEOUT_MS",
    ] {
        for value in ["c4n4ry", "0", "-1", "1.5"] {
            let error = with(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name));
            assert!(!format!("{error:?}").contains(value));
        }
    }
}

/// A pool allocates its places at once: a larger number would end the process.
#[test]
fn pool_that_no_database_would_fill_is_refused() {
    let largest = with(&[("STAGELINK_POOL_SIZE", "10000")]).unwrap();
    assert_eq!(largest.limits.pool_size.get(), 10_000);
    let most = "18446744073709551615";
    for (name, value) in [
        ("STAGELINK_POOL_SIZE", "10001"),
        ("STAGELINK_POOL_SIZE", most),
        ("AWS_LAMBDA_MAX_CONCURRENCY", most),
    ] {
        let error = with(&[(name, value)]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Settings);
        assert!(error.to_string().contains("10000 connections"), "{error}");
    }
}
