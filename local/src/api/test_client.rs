//! A small HTTP client over a real socket, which sees an answer that breaks off.

use std::collections::HashMap;
use std::io;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).expect("json")
    }

    /// The status and the id of an error answer, or its code, as Neon calls it.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
        let id = body.get("id").or(body.get("code"));
        let id = id.and_then(Value::as_str).expect("an id");
        (self.status, id.to_owned())
    }
}

/// Sends a request to a URL such as `http://127.0.0.1:5001`. Headers without a value
/// are left out.
pub(crate) async fn send<'a>(
    url: &str,
    method: &str,
    path: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &str,
) -> io::Result<Answer> {
    let length = body.len();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n"
    );
    for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("\r\n{body}"));

    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    read(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, answer))
}

/// The answer, unless it broke off.
fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let announced = headers.get("content-length");
    if announced.is_some_and(|length| length.parse() != Ok(body.len())) {
        return None;
    }
    Some(Answer {
        status,
        headers,
        body: body.to_owned(),
    })
}
