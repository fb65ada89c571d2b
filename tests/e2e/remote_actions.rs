//! The board of `stagelink dev --remote`: it promotes the real stage once its operator confirms it at the terminal.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use stagelink_tests::{Answer, send};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::board::browse;
use crate::promote::Shop;
use crate::promote::stopped::wait_for_deploy;
use crate::terminal::{Terminal, words_of};

/// Running `stagelink dev --remote` at a terminal.
struct Desk {
    dev: Child,
    terminal: Terminal,
    board: String,
    key: String,
}

impl Desk {
    async fn new(shop: &Shop, words: &[&str]) -> Self {
        let (mut terminal, slave) = Terminal::open();
        let mut command = shop.command(&["dev", "--json", "--port", "0"]).await;
        let errors = slave.try_clone().expect("the terminal");
        command
            .args(words)
            .stdin(slave)
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut dev = command.spawn().expect("it starts");
        // It has the terminal, too.
        drop(command);
        // The name of production's app is asked for at the start.
        if words.contains(&"--production") {
            terminal.until("shop-production to go on:").await;
            terminal.type_line("shop-production");
        }
        let mut lines = BufReader::new(dev.stdout.take().expect("its output")).lines();
        let line = timeout(Duration::from_secs(200), lines.next_line()).await;
        let line = line.expect("it is up in time").expect("a line");
        let line = line.unwrap_or_else(|| panic!("{}", terminal.screen()));
        let summary: Value = serde_json::from_str(&line).expect("JSON");
        let url = summary["board"]["url"].as_str().expect("a board");
        let (board, key) = url.split_once("/#").expect("an address");
        Self {
            dev,
            terminal,
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
        self.terminal.screen()
    }

    /// Waits until the screen has a text.
    async fn until(&self, text: &str) {
        self.terminal.until(text).await;
    }

    /// Types a line, and returns what the screen showed before.
    fn type_line(&mut self, line: &str) -> String {
        self.terminal.type_line(line)
    }

    /// Stops it as Ctrl-C does, and returns what the screen showed.
    async fn end(mut self) -> String {
        let pid = self.dev.id().expect("it runs").cast_signed();
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal");
        let ended = timeout(Duration::from_secs(30), self.dev.wait()).await;
        let ended = ended.expect("it ends in time").expect("it ran");
        assert!(ended.success(), "{ended}: {}", self.screen());
        self.terminal.end().await
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

#[tokio::test(flavor = "multi_thread")]
async fn board_that_is_stopped_gives_the_stage_back_and_says_how_to_go_on() {
    let shop = Shop::new().await;
    let artifact = shop.deploy_next("two", None).await;
    let promote = json!({ "action": "promote", "from": "staging", "to": "production" });
    let held = "SELECT count(*) FROM stagelink_leases WHERE expires_at > clock_timestamp()";

    // At the question nothing has begun.
    let desk = Desk::new(&shop, &["--remote", "staging", "--guarded"]).await;
    desk.ask(&promote).await;
    let screen = words_of(&desk.end().await);
    assert!(!screen.contains("stopped before its end"), "{screen}");
    assert_eq!(shop.production_count(held).await, 0);
    assert_eq!(shop.page().await, "<h1>one</h1>\n");

    // In the middle the lease is given back.
    let mut desk = Desk::new(&shop, &["--remote", "staging", "--guarded"]).await;
    let netlify = &shop.project.netlify;
    let before = shop.production_deploys().len();
    netlify.set_holds_deploys(true);
    netlify.control().clear_requests();
    desk.ask(&promote).await;
    desk.type_line("production");
    wait_for_deploy(&shop, before).await;
    assert_eq!(shop.production_count(held).await, 1);
    let screen = words_of(&desk.end().await);
    netlify.set_holds_deploys(false);
    for part in [
        "! stopped before its end: run `",
        "stagelink promote --from staging --to production`, which goes on, or the same with --abort",
        "the lease on stage production is given back",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert_eq!(shop.production_count(held).await, 0);
    shop.promote().await.succeeds();
    assert_eq!(Shop::artifact_of(&shop.published()), artifact);
    shop.project.record.add(screen);
    shop.project.record.text();
}

#[tokio::test(flavor = "multi_thread")]
async fn command_that_is_stopped_at_its_question_has_changed_nothing() {
    let shop = Shop::new().await;
    shop.deploy_next("two", None).await;
    shop.project.write(
        "migrations/V9__mood.sql",
        "ALTER TABLE guestbook ADD COLUMN mood text;",
    );
    let held = "SELECT count(*) FROM stagelink_leases WHERE expires_at > clock_timestamp()";
    let history = "SELECT count(*) FROM refinery_schema_history";
    let migrated = shop.production_count(history).await;
    for (words, question, name) in [
        (&["promote"][..], "[y/N]", "promotion"),
        (&["migrate", "production"], "[y/N]", "run of migrations"),
    ] {
        let (terminal, slave) = Terminal::open();
        let mut command = shop.command(words).await;
        let errors = slave.try_clone().expect("the terminal");
        command.stdin(slave).stdout(Stdio::null()).stderr(errors);
        let mut child = command.spawn().expect("it starts");
        drop(command);
        terminal.until(question).await;
        let pid = child.id().expect("it runs").cast_signed();
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal");
        let ended = timeout(Duration::from_secs(30), child.wait()).await;
        let ended = ended.expect("it ends in time").expect("it ran");
        assert_eq!(ended.code(), Some(130), "{}", terminal.screen());
        let words = format!("the {name} was stopped by SIGINT: it had changed nothing yet");
        terminal.until(&words).await;
        assert_eq!(shop.production_count(held).await, 0);
        assert_eq!(shop.production_count(history).await, migrated);
        assert_eq!(shop.page().await, "<h1>one</h1>\n");
    }
}
