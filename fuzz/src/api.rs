//! An API on this machine that gives any answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// An answer of an API.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, from 200 to 599.
    pub status: u16,
    headers: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Reads an answer: its status, the headers `Retry-After` and `Next-Range` (`-`
    /// where there is none, `_` for a space), and its body, with a space between them.
    /// What would not be HTTP is no answer.
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let status = parts.next()?.parse().ok()?;
        let mut headers = String::new();
        for name in ["retry-after", "next-range"] {
            let value = parts.next()?;
            if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            if value != "-" {
                headers.push_str(&format!("{name}: {}\r\n", value.replace('_', " ")));
            }
        }
        let body = match status {
            // They have none, whatever else is said.
            204 | 304 => "",
            _ => parts.next().unwrap_or_default(),
        };
        (200..600).contains(&status).then_some(Self {
            status,
            headers,
            body: body.to_owned(),
        })
    }

    fn to_response(&self) -> String {
        let Self {
            status,
            headers,
            body,
        } = self;
        let length = body.len();
        format!("HTTP/1.1 {status} said\r\n{headers}content-length: {length}\r\n\r\n{body}")
    }
}

/// An API on this machine that gives any answers.
pub struct Api {
    runtime: Runtime,
    url: String,
    answers: Answers,
}

/// Those to come, the next one last; the very last goes on for ever.
type Answers = Arc<Mutex<Vec<Answer>>>;

impl Api {
    /// Starts it on a free port.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn start() -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("a port"));
        let answers = Answers::default();
        let given = answers.clone();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let given = given.clone();
                // However a connection ends is up to the client.
                tokio::spawn(async move { serve(client, &given).await.ok() });
            }
        });
        Self {
            runtime,
            url,
            answers,
        }
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Does some work while the API gives these answers, one after the other; the last
    /// one for ever.
    pub fn answering<T>(&self, answers: &[Answer], work: impl Future<Output = T>) -> T {
        *lock(&self.answers) = answers.iter().rev().cloned().collect();
        self.runtime.block_on(work)
    }
}

async fn serve(mut client: TcpStream, answers: &Answers) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (read, mut write) = client.split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        if line.is_empty() {
            let response = {
                let mut answers = lock(answers);
                let next = match answers.len() {
                    1 => answers.first().cloned(),
                    _ => answers.pop(),
                };
                next.map(|answer| answer.to_response()).unwrap_or_default()
            };
            write.write_all(response.as_bytes()).await?;
        }
    }
    Ok(())
}

fn lock(answers: &Answers) -> MutexGuard<'_, Vec<Answer>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}
