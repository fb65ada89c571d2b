//! A function whose response is sent while the database still makes it: as many lines of
//! 1,000 bytes as `?count=` asks for, in little memory.

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use http_body_util::StreamBody;
use lambda_http::{Request, RequestExt as _, Response};
use stagelink::{Database, Error, Problem, params};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    stagelink::init_log_subscriber();
    stagelink::run_with_streaming_response(lines).await
}

async fn lines(
    request: Request,
) -> Result<Response<StreamBody<impl Stream<Item = Result<Frame<Bytes>, Error>>>>, Problem> {
    let parameters = request.query_string_parameters();
    let count = parameters.first("count").unwrap_or("10").parse::<i64>();
    let count =
        count.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "count is a whole number."))?;
    let sql = "SELECT rpad(n || ' ' || pg_backend_pid() || ' ', 999, '.') \
               FROM generate_series(1, $1) AS n";
    let rows = Database::from_request(&request)
        .rows(sql, &params![count])
        .await?;
    let lines = rows.map(|row| {
        let line: String = row?.get(0);
        Ok(Frame::data(Bytes::from(line + "\n")))
    });
    let response = Response::builder().header(CONTENT_TYPE, "text/plain");
    let response = response.body(StreamBody::new(lines));
    Ok(response.expect("a response of good parts"))
}
