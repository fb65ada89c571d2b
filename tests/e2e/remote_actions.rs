//! The board of `stagelink dev --remote`: it promotes the real stage once its operator confirms it at the terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_tests::{Answer, send};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::board::browse;
use crate::promote::Shop;

/// Running `stagelink dev --remote` at a terminal.
struct Desk {
    dev: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    board: String,
    key: String,
}

impl Desk {
    async fn new(shop: &Shop, words: &[&str]) -> Self {
        let terminal = openpty(None, None).expect("a terminal");
        let mut output = File::from(terminal.master);
        let keyboard = output.try_clone().expect("the terminal");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                shown.lock().expect("the screen").push_str(&text);
            }
        });
        let mut command = shop.command(&["dev", "--json", "--port", "0"]).await;
        let errors = terminal.slave.try_clone().expect("the terminal");
        command
            .args(words)
            .stdin(terminal.slave)
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut dev = command.spawn().expect("it starts");
        // The name of production's app is asked for at the start.
        let mut at_start = &keyboard;
        if words.contains(&"--production") {
            until(&screen, "shop-production to go on:").await;
            at_start.write_all(b"shop-production\n").expect("keys");
        }
        let mut lines = BufReader::new(dev.stdout.take().expect("its output")).lines();
        let line = timeout(Duration::from_secs(200), lines.next_line()).await;
        let line = line.expect("it is up in time").expect("a line");
        let line = line.unwrap_or_else(|| panic!("{}", screen.lock().expect("the screen")));
        let summary: Value = serde_json::from_str(&line).expect("JSON");
        let url = summary["board"]["url"].as_str().expect("a board");
        let (board, key) = url.split_once("/#").expect("an address");
        Self {
            dev,
            keyboard,
            screen,
            board: board.to_owned(),
            key: key.to_owned(),
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
        ];
        let url = format!("{}{path}", self.board);
        send("POST", &url, &headers, &body.to_string()).await
    }

    /// Looks, and has the plan run; the operator is asked then.
    async fn ask(&self, wish: &Value) {
        let plan = self.post("/api/plans", wish).await;
        assert_eq!(plan.status, 200, "{}", plan.text());
        let id = plan.json()["id"].as_str().expect("an id").to_owned();
        let path = format!("/api/plans/{id}/run");
        let begun = self.post(&path, &json!({})).await;
        assert_eq!(begun.status, 202, "{}", begun.text());
        self.until("within two minutes").await;
    }

    fn screen(&self) -> String {
        self.screen.lock().expect("the screen").clone()
    }

    /// Waits until the screen has a text.
    async fn until(&self, text: &str) {
        until(&self.screen, text).await;
    }

    /// Types a line, and returns what the screen showed before.
    fn type_line(&mut self, line: &str) -> String {
        let before = std::mem::take(&mut *self.screen.lock().expect("the screen"));
        self.keyboard.write_all(line.as_bytes()).expect("a key");
        self.keyboard.write_all(b"\n").expect("a key");
        before
    }

    async fn end(mut self) {
        let pid = self.dev.id().expect("it runs").cast_signed();
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal");
        let ended = timeout(Duration::from_secs(30), self.dev.wait()).await;
        let ended = ended.expect("it ends in time").expect("it ran");
        assert!(ended.success(), "{ended}: {}", self.screen());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn board_changes_the_real_stage_when_its_operator_types_its_name() {
    let shop = Shop::new().await;
    let addition = (
        "V2__mood.sql",
        "ALTER TABLE guestbook ADD COLUMN mood text;",
    );
    shop.deploy_next("two", Some(addition)).await;
    let promote = json!({ "action": "promote", "from": "staging", "to": "production" });
    let roll_back = json!({ "action": "rollback", "stage": "production" });

    let mut desk = Desk::new(&shop, &["--remote", "staging", "--guarded"]).await;
    // The page is of one stage.
    let refused = desk.post("/api/plans", &roll_back).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(
        refused.text().contains("stagelink rollback production`"),
        "{}",
        refused.text()
    );
    // What was typed before the question is no answer, and another word leaves all as it is.
    desk.type_line("production");
    desk.ask(&promote).await;
    let plan = words_of(&desk.type_line("y"));
    for part in [
        "Promote staging to production",
        "V2__mood",
        "type production",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    desk.until("nothing was changed").await;
    assert_eq!(shop.page().await, "<h1>one</h1>\n");

    // The page says where to confirm. Meanwhile no other plan is made.
    let address = format!("{}/#{}", desk.board, desk.key);
    let browser = tokio::spawn(async move { browse("remote.mjs", &[&address]).await });
    desk.until("within two minutes").await;
    let second = desk.post("/api/plans", &promote).await;
    assert_eq!(second.status, 409, "{}", second.text());
    desk.type_line("production");
    let report = browser.await.expect("a browser");
    let texts = report["texts"].as_str().expect("texts");
    shop.project.record.add(texts);
    assert_eq!(shop.page().await, "<h1>two</h1>\n", "{}", desk.screen());
    assert!(!shop.is_locked());
    let fault = json!({ "stage": "staging", "fault": { "type": "restart" } });
    assert_eq!(desk.post("/api/faults", &fault).await.status, 409);
    shop.project.record.add(desk.screen());
    desk.end().await;

    // Production's own page takes it back.
    let words = ["--remote", "production", "--production", "--guarded"];
    let mut desk = Desk::new(&shop, &words).await;
    desk.ask(&roll_back).await;
    desk.type_line("production");
    for _ in 0..600 {
        if shop.page().await == "<h1>one</h1>\n" {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(shop.page().await, "<h1>one</h1>\n", "{}", desk.screen());
    shop.project.record.add(desk.screen());
    shop.project.record.text();
    desk.end().await;
}

/// Waits until a screen has a text.
async fn until(screen: &Mutex<String>, text: &str) {
    let shown = || screen.lock().expect("the screen").clone();
    for _ in 0..600 {
        if words_of(&shown()).contains(text) {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("{text}: {}", shown());
}

/// Returns a text with one space between its words, as it was before it was wrapped.
fn words_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
