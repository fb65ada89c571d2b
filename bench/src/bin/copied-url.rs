//! A guestbook whose database URL was copied into its environment.

use lambda_http::{Error, Request, run, service_fn};
use stagelink_bench::{answer, env_var, open_pool};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let pool = &open_pool(&env_var("DATABASE_URL")?)?;
    run(service_fn(async |request: Request| {
        answer(&request, Ok(pool.clone())).await
    }))
    .await
}
