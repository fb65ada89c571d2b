//! A function without dependencies that speaks with the Runtime API, logs, and reports phases of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

fn call(api: &str, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(api).unwrap();
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
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
        println!("a line of the function");
        let phases: &[(&str, u64)] = if cold { &[("credentials", 6300), ("tcp", 200), ("tls", 9700), ("login", 9400), ("query", 2100)] } else { &[("query", 1900)] };
        cold = false;
        let mut at = now;
        let mut spans = Vec::new();
        for (phase, us) in phases { spans.push(format!("{{\"phase\":\"{phase}\",\"start_us\":{at},\"duration_us\":{us}}}")); at += us; }
        std::thread::sleep(std::time::Duration::from_micros(at - now + 1500));
        let status = if event.contains("/fail") { 500 } else if event.contains("/none") { 404 } else { 200 };
        call(&api, &format!("POST /2018-06-01/runtime/invocation/{id}/response"), &format!("{{\"statusCode\": {status}, \"body\": \"x\"}}"));
        call(&api, &format!("POST /stagelink/invocation/{id}/spans"), &format!("{{\"spans\":[{}],\"round_trips\":1}}", spans.join(",")));
    }
}
