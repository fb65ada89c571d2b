//! Runs a function on this machine: `cargo run --example invoke -- EXECUTABLE`
//! reads events from standard input, one a line, and prints the answers.

use std::io::{BufRead, stdin};
use std::sync::Arc;

use stagelink_local::lambda::{Function, FunctionConfig};

#[tokio::main]
async fn main() {
    let Some(executable) = std::env::args_os().nth(1) else {
        eprintln!("name the function's executable");
        std::process::exit(2);
    };
    let mut config = FunctionConfig::new("function", executable);
    config.logs = Arc::new(|line| eprintln!("{}", line.line));
    let function = Function::new(config);
    // Each event is read when the one before it is answered, so nothing else
    // waits for this thread.
    for event in stdin().lock().lines().map_while(Result::ok) {
        match function.invoke(event.into()).await {
            Ok(answer) => println!("{}", String::from_utf8_lossy(&answer)),
            Err(error) => eprintln!("error: {error}"),
        }
    }
    function.shutdown().await;
}
