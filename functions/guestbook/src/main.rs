//! The function `guestbook`: wires the handler to the runtime.

mod entry;
mod handler;
#[cfg(test)]
mod stage_tests;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    lambda_http::tracing::init_default_subscriber();
    stagelink::run(handler::handle).await
}
