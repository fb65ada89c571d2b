//! A project whose functions answer with a text, without a crate of crates.io: a build of one takes a
//! second.

use std::path::Path;

use crate::SmallProject;
use crate::small_project::write;

/// Makes a project with the functions `hello` and `other`, each of which answers with its own name and
/// depends on the project's crate `runtime`. `files` come besides, or in their place.
///
/// # Panics
///
/// When a file cannot be written.
pub fn answer_project(files: &[(&str, &str)]) -> SmallProject {
    let project = SmallProject::with(&[
        ("netlify.toml", "[build]\npublish = \"public\"\n"),
        ("public/index.html", "hello\n"),
    ]);
    write_answering_functions(project.root(), &["hello", "other"]);
    for (path, text) in files {
        project.write(path, text);
    }
    project
}

/// Writes a workspace into a folder, with functions of these names like those of [`answer_project`].
///
/// # Panics
///
/// When a file cannot be written.
pub fn write_answering_functions(root: &Path, names: &[&str]) {
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"functions/*\", \"crates/*\"]\n";
    write(root, "Cargo.toml", workspace);
    write(root, "crates/runtime/Cargo.toml", &manifest("runtime", ""));
    write(root, "crates/runtime/src/lib.rs", RUNTIME);
    for name in names {
        let dependency = "[dependencies]\nruntime = { path = \"../../crates/runtime\" }\n";
        let folder = format!("functions/{name}");
        write(
            root,
            &format!("{folder}/Cargo.toml"),
            &manifest(name, dependency),
        );
        write(root, &format!("{folder}/src/main.rs"), &answering(name));
    }
}

/// Returns the source of a function that answers with a text.
pub fn answering(text: &str) -> String {
    format!("fn main() {{\n    runtime::serve(|| {text:?}.to_owned());\n}}\n")
}

fn manifest(name: &str, rest: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{rest}")
}

/// A client of the Lambda Runtime API.
const RUNTIME: &str = r##"
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub fn serve(answer: impl Fn() -> String) {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("an address");
    loop {
        let Some((head, _)) = ask(&api, "GET", "next", "") else {
            return;
        };
        let id = head
            .iter()
            .find_map(|line| line.strip_prefix("lambda-runtime-aws-request-id: "))
            .expect("an id");
        let body = format!("{{\"statusCode\":200,\"body\":{:?}}}", answer());
        if ask(&api, "POST", &format!("{id}/response"), &body).is_none() {
            return;
        }
    }
}

fn ask(api: &str, method: &str, path: &str, body: &str) -> Option<(Vec<String>, Vec<u8>)> {
    let mut stream = TcpStream::connect(api).ok()?;
    let length = body.len();
    write!(
        stream,
        "{method} /2018-06-01/runtime/invocation/{path} HTTP/1.1\r\nhost: {api}\r\n\
         connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).ok()?;
    Some((head, rest))
}
"##;
