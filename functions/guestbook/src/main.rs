//! The function `guestbook`: wires the handler to the runtime.

mod entry;
mod handler;
#[cfg(test)]
mod stage_tests;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run(handler::handle).await
}
