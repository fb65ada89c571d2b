//! Runs a function on this machine: `cargo run --example invoke -- EXECUTABLE` reads events from
//! standard input, one per line, and prints the responses.

use std::io::{BufRead, stdin};
use std::sync::Arc;

use stagelink_local::lambda::{Function, FunctionConfig};

#[tokio::main]
async fn main() {
    let Some(executable) = std::env::args_os().nth(1) else {
        eprintln!("usage: invoke EXECUTABLE");
        std::process::exit(2);
    };
    let mut config = FunctionConfig::new("function", executable);
    config.logs = Arc::new(|line| eprintln!("{}", line.line));
    let function = Function::new(config);
    // Each event is read after the response to the one before it, so blocking this thread delays
    // nothing else.
    for event in stdin().lock().lines().map_while(Result::ok) {
        match function.invoke(event.into()).await {
            Ok(response) => println!("{}", String::from_utf8_lossy(&response)),
            Err(error) => eprintln!("error: {error}"),
        }
    }
    function.shutdown().await;
}
