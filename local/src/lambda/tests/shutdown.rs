//! The shutdown of a function, which leaves no process.

use std::process::Stdio;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use super::{Gate, TIMEOUT, echo, event, example, invoke, wait_for_exit};
use crate::lambda::{InvokeError, LogStream};

#[tokio::test]
async fn shutdown_lets_processes_finish_and_leaves_none() {
    let (function, mut logs) = echo(|_| {});
    let gate = Gate::new().await;
    let running = function.invoke(gate.event("/gate"));
    let stop = async {
        let held = gate.accept().await;
        let (_, (grandchild, _)) =
            tokio::join!(invoke(&function, gate.event("/fork")), gate.hold());
        let pids = function.process_ids();
        function.shutdown().await;
        drop(held);
        (pids, grandchild)
    };
    let (running, (pids, grandchild)) = tokio::join!(running, stop);
    assert!(matches!(running, Err(InvokeError::ShutDown)));
    assert_eq!(pids.len(), 2);
    for pid in pids {
        let pid = Pid::from_raw(pid.try_into().unwrap());
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    }
    wait_for_exit(grandchild).await;
    logs.wait_for_line(LogStream::Stdout, "closed its pool")
        .await;
    let later = function.invoke(event("/")).await;
    assert!(matches!(later, Err(InvokeError::ShutDown)));
    assert_eq!(
        (function.instance_count(), function.started_count()),
        (0, 2)
    );
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_instances() {
    let (function, _logs) = echo(|_| {});
    let gate = Gate::new().await;
    let (_, (process, _)) = tokio::join!(invoke(&function, gate.event("/hold")), gate.hold());
    drop(function);
    wait_for_exit(process).await;
}

#[test]
fn dropping_the_async_runtime_kills_the_processes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_function, process) = runtime.block_on(async {
        let (function, _logs) = echo(|_| {});
        let gate = Gate::new().await;
        let (_, (process, _)) = tokio::join!(invoke(&function, gate.event("/fork")), gate.hold());
        (function, process.into_std().unwrap())
    });
    drop(runtime);
    process.set_nonblocking(false).unwrap();
    process.set_read_timeout(Some(TIMEOUT)).unwrap();
    let read = std::io::Read::read(&mut &process, &mut [0]);
    assert!(matches!(read, Ok(0)), "{read:?}");
}

#[tokio::test]
async fn function_ends_by_itself_when_its_host_is_killed() {
    let gate = Gate::new().await;
    let mut host = Command::new(example("invoke"))
        .arg(example("echo_function"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut events = host.stdin.take().unwrap();
    events.write_all(&gate.event("/hold")).await.unwrap();
    events.write_all(b"\n").await.unwrap();
    let (function, _) = gate.hold().await;
    let mut responses = BufReader::new(host.stdout.take().unwrap()).lines();
    assert!(responses.next_line().await.unwrap().is_some());
    host.kill().await.unwrap();
    wait_for_exit(function).await;
}
