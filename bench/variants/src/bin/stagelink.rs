//! The function with stagelink.

use lambda_http::{Error, IntoResponse, Request};
use stagelink::params;
use stagelink_bench_variants::{Answer, Question};

async fn handle(request: Request) -> Result<impl IntoResponse, Error> {
    let db = stagelink::client(&request).await?;
    let question = Question::of(&request)?;
    let parameters = params![question.id];
    let query = db.query_cached_opt(question.query(), &parameters);
    let row = match question.in_time(query).await? {
        Some(row) => row.ok_or("there is no such item")?,
        None => return Ok(Answer::GivenUp),
    };
    Ok(Answer::item(row.get(0), row.get(1)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    stagelink::run(handle).await
}
