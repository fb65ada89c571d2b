//! The processes that a process has started, by what Linux tells in `/proc`.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Returns the ids of all processes that a process and its children have started.
///
/// # Panics
///
/// Without `/proc`.
pub fn descendants(of: i32) -> HashSet<i32> {
    let parents: Vec<(i32, i32)> = std::fs::read_dir("/proc")
        .expect("Linux has /proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.1)))
        .collect();
    let mut family = HashSet::from([of]);
    let mut last = vec![of];
    while let Some(parent) = last.pop() {
        for (child, _) in parents.iter().filter(|(_, of)| *of == parent) {
            family.insert(*child);
            last.push(*child);
        }
    }
    family.remove(&of);
    family
}

/// Returns whether a process exists and is not a zombie.
pub fn is_running(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != "Z" && state != "X")
}

/// Returns the command line of a process, with spaces between its words; an empty one when it is gone.
pub fn command_line(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line)
        .replace('\0', " ")
        .trim_end()
        .to_owned()
}

/// Waits until a process has started one whose command line has this part, and returns all that it
/// has started.
///
/// # Panics
///
/// When that takes longer than two minutes.
pub async fn descendants_with(of: i32, part: &str) -> HashSet<i32> {
    descendants_where(of, part, |line| line.contains(part)).await
}

/// Waits until a process has started one whose command line is the one that is waited for, and returns all
/// that it has started. `what` names it.
///
/// # Panics
///
/// When that takes longer than two minutes.
pub async fn descendants_where(of: i32, what: &str, is_it: impl Fn(&str) -> bool) -> HashSet<i32> {
    let found = async {
        loop {
            let family = descendants(of);
            if family.iter().any(|pid| is_it(&command_line(*pid))) {
                return family;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let found = timeout(Duration::from_secs(120), found).await;
    found.unwrap_or_else(|_| panic!("{of} has started no {what}"))
}

/// Waits until none of these processes runs.
///
/// # Panics
///
/// With the command lines of those that still do after a minute.
pub async fn assert_all_end(processes: &HashSet<i32>) {
    let running = || processes.iter().filter(|pid| is_running(**pid));
    let ended = async {
        while running().next().is_some() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(Duration::from_secs(60), ended).await.is_err() {
        let lines: Vec<_> = running().map(|pid| command_line(*pid)).collect();
        panic!("left behind: {lines:?}");
    }
}

/// Returns a process's state and parent from /proc/<pid>/stat. The name in front of them is in
/// parentheses and may contain any character.
fn stat(pid: i32) -> Option<(String, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
