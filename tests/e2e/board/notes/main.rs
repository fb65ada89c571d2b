//! A function without dependencies that speaks with the Runtime API, logs, and reports phases of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

/// The headers of a response that is streamed.
const STREAMED: &str = "lambda-runtime-function-response-mode: streaming\r\ncontent-type: application/vnd.awslambda.http-integration-response\r\n";

fn call(api: &str, head: &str, body: &str) -> String {
    call_with(api, head, "", body)
}

fn call_with(api: &str, head: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(api).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn main() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut cold = true;
    loop {
        let event = call(&api, "GET /2018-06-01/runtime/invocation/next", "");
        let (head, event) = event.split_once("\r\n\r\n").unwrap();
        let id = "lambda-runtime-aws-request-id: ";
        let id = head.lines().find_map(|line| line.strip_prefix(id)).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        println!("START RequestId: {id} Version: $LATEST");
        println!(" INFO Lambda runtime invoke{{requestId=\"{id}\"}}: invocation{{stage=staging}}: notes: a line of the function");
        // A connection that stalls in its handshake.
        let stalls = event.contains("/stall");
        let phases: &[(&str, u64)] = if stalls { &[("tcp", 200), ("tls", 40_000)] } else if cold { &[("credentials", 6300), ("tcp", 200), ("tls", 9700), ("login", 9400), ("query", 2100)] } else { &[("query", 1900)] };
        cold = false;
        let mut at = now;
        let mut spans = Vec::new();
        for (phase, us) in phases { spans.push(format!("{{\"phase\":\"{phase}\",\"start_us\":{at},\"duration_us\":{us},\"is_unfinished\":{}}}", stalls && *phase == "tls")); at += us; }
        // The line that says of a request that it runs comes in its second second, and later on a busy machine.
        let slow = if event.contains("/slow") { 10_000_000 } else { 0 };
        std::thread::sleep(std::time::Duration::from_micros(at - now + 1500 + slow));
        let status = if event.contains("/fail") { 500 } else if stalls { 503 } else if event.contains("/none") { 404 } else { 200 };
        let head = format!("POST /2018-06-01/runtime/invocation/{id}/response");
        if event.contains("/stream") {
            call_with(&api, &head, STREAMED, "{\"statusCode\": 200}\0\0\0\0\0\0\0\0streamed");
        } else {
            call(&api, &head, &format!("{{\"statusCode\": {status}, \"body\": \"x\"}}"));
        }
        call(&api, &format!("POST /stagelink/invocation/{id}/spans"), &format!("{{\"spans\":[{}],\"round_trips\":1}}", spans.join(",")));
    }
}
