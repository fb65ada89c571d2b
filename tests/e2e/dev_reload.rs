//! A save in a running `stagelink dev`: what it changes is built and served, and no request is lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use stagelink_tests::{
    SmallProject, answer_project, answering, assert_all_end, descendants_with, send,
};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::dev::Dev;

/// Requests that are sent without a pause, and their answers.
struct Requests {
    is_over: Arc<AtomicBool>,
    clients: JoinSet<BTreeMap<String, usize>>,
    /// The number of answers that each client has had.
    answered: Vec<Arc<AtomicUsize>>,
}

impl Requests {
    /// Starts four clients, and waits until each has had an answer. A request that fails fails the test.
    async fn start(url: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let answered: Vec<_> = (0..4).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let mut clients = JoinSet::new();
        for answered in &answered {
            let (url, is_over) = (url.to_owned(), Arc::clone(&is_over));
            let answered = Arc::clone(answered);
            clients.spawn(async move {
                let mut answers = BTreeMap::new();
                while !is_over.load(Ordering::Relaxed) {
                    let answer = send("GET", &url, &[], "").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    *answers.entry(answer.text()).or_default() += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                answers
            });
        }
        let mut requests = Self {
            is_over,
            clients,
            answered,
        };
        requests.each_answered().await;
        requests
    }

    /// Waits until each client has the answer to a request that it has sent from now on.
    async fn each_answered(&mut self) {
        let counts = |of: &Self| -> Vec<_> {
            let answered = of.answered.iter();
            answered
                .map(|count| count.load(Ordering::Relaxed))
                .collect()
        };
        let before = counts(self);
        let end = Instant::now() + Duration::from_secs(120);
        // The first answer may be that to a request which was sent earlier.
        while before
            .iter()
            .zip(counts(self))
            .any(|(before, now)| now < before + 2)
        {
            if let Some(ended) = self.clients.try_join_next() {
                panic!("a client has ended: {ended:?}");
            }
            assert!(Instant::now() < end, "the clients get no answers");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends them once each has an answer of the present program, and returns the number of each answer.
    async fn stop(mut self) -> BTreeMap<String, usize> {
        self.each_answered().await;
        self.is_over.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        while let Some(answers) = self.clients.join_next().await {
            for (answer, count) in answers.expect("each request has an answer") {
                *all.entry(answer).or_default() += count;
            }
        }
        all
    }
}

fn url(dev: &Dev, stage: &str, function: &str) -> String {
    let url = dev.stage(stage)["url"].as_str().expect("a URL");
    format!("{url}/.netlify/functions/{function}")
}

/// Waits for an answer, and makes sure that no older one comes after it.
async fn wait_for(dev: &Dev, url: &str, expected: &str) {
    let reached = async {
        while send("GET", url, &[], "").await.text() != expected {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let reached = timeout(Duration::from_secs(120), reached).await;
    assert!(reached.is_ok(), "no {expected:?}: {}", dev.log());
    for _ in 0..20 {
        assert_eq!(send("GET", url, &[], "").await.text(), expected);
    }
}

async fn wait_for_log(dev: &Dev, text: &str, count: usize) {
    let reached = async {
        while dev.log().matches(text).count() < count {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let reached = timeout(Duration::from_secs(120), reached).await;
    assert!(reached.is_ok(), "no {text:?}: {}", dev.log());
}

/// Number of builds after the first one.
fn builds(dev: &Dev) -> usize {
    dev.log().matches("✓ functions: ").count() - 1
}

/// Saves a file as many editors do: a new one takes its place.
fn save(project: &SmallProject, path: &str, text: &str) {
    let beside = format!("{path}.tmp");
    project.write(&beside, text);
    let root = project.root();
    fs::rename(root.join(beside), root.join(path)).expect("the file can be replaced");
}

const HELLO: &str = "functions/hello/src/main.rs";

/// The pause between two saves after which `stagelink dev` takes the first for finished.
const BURST_PAUSE: Duration = Duration::from_millis(60);

#[tokio::test]
async fn save_under_load_is_served_and_loses_no_request() {
    let project = answer_project(&[]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let staging = url(&dev, "staging", "hello");
    let production = url(&dev, "production", "hello");
    let mut requests = Requests::start(&staging).await;
    wait_for(&dev, &staging, "hello").await;

    save(&project, HELLO, &answering("a new answer"));
    wait_for(&dev, &staging, "a new answer").await;
    wait_for(&dev, &production, "a new answer").await;
    wait_for_log(&dev, "✓ functions: hello served anew", 1).await;
    requests.each_answered().await;

    // A crate that both functions depend on.
    let runtime = project.root().join("crates/runtime/src/lib.rs");
    let text = fs::read_to_string(runtime).expect("a file");
    let text = text.replace("answer())", "format!(\"{}!\", answer()))");
    save(&project, "crates/runtime/src/lib.rs", &text);
    wait_for(&dev, &staging, "a new answer!").await;
    wait_for(&dev, &url(&dev, "staging", "other"), "other!").await;
    wait_for_log(&dev, "✓ functions: hello, other served anew", 1).await;

    let answers = requests.stop().await;
    let kinds: Vec<_> = answers.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        ["a new answer", "a new answer!", "hello"],
        "{answers:?}"
    );
    assert_eq!(builds(&dev), 2, "{}", dev.log());
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

/// A program that waits for a file before it asks for its first event, and one that waits for a file
/// before it answers.
#[tokio::test]
async fn new_program_serves_once_it_has_asked_for_an_event_and_the_old_one_ends_what_it_has() {
    let signs = tempfile::tempdir().expect("a folder");
    let sign = |name: &str| signs.path().join(name);
    let path = |name: &str| format!("{:?}", sign(name));
    let waiting = "fn wait_for(path: &str) {\n    while !std::path::Path::new(path).exists() {\n        \
                   std::thread::sleep(std::time::Duration::from_millis(20));\n    }\n}\n";
    let old = format!(
        "{waiting}fn main() {{ runtime::serve(|| {{\n    if std::fs::remove_file({}).is_ok() {{\n        \
         std::fs::write({}, \"\").unwrap();\n        wait_for({});\n    }}\n    \"old\".to_owned()\n}}) }}\n",
        path("hold"),
        path("held"),
        path("answer"),
    );
    let new = format!(
        "{waiting}fn main() {{\n    std::fs::write({}, \"\").unwrap();\n    wait_for({});\n    \
         runtime::serve(|| \"new\".to_owned())\n}}\n",
        path("begun"),
        path("ask"),
    );
    let project = answer_project(&[(HELLO, &old)]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    assert_eq!(send("GET", &hello, &[], "").await.text(), "old");
    let appears = async |name: &str| {
        let there = async {
            while !sign(name).exists() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let there = timeout(Duration::from_secs(120), there).await;
        assert!(there.is_ok(), "no {name}: {}", dev.log());
    };

    // The new one runs, and has not asked: no request waits for it.
    save(&project, HELLO, &new);
    appears("begun").await;
    for _ in 0..20 {
        assert_eq!(send("GET", &hello, &[], "").await.text(), "old");
    }
    // The old one has a request as the new one begins to serve.
    write_sign(&sign("hold"));
    let held = hello.clone();
    let held = tokio::spawn(async move { send("GET", &held, &[], "").await });
    appears("held").await;
    write_sign(&sign("ask"));
    wait_for(&dev, &hello, "new").await;
    assert!(!held.is_finished(), "the answer came before its sign");
    write_sign(&sign("answer"));
    let answer = held.await.expect("an answer");
    assert_eq!((answer.status.as_u16(), &*answer.text()), (200, "old"));
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

fn write_sign(path: &Path) {
    fs::write(path, "").expect("a file");
}

#[tokio::test]
async fn build_that_fails_is_shown_and_keeps_what_is_served() {
    let project = answer_project(&[]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    save(&project, HELLO, "mod page;\nfn main() { nothing }\n");
    wait_for_log(&dev, "file not found for module `page`", 1).await;
    wait_for_log(&dev, "the site goes on with the programs that it has", 1).await;
    assert_eq!(send("GET", &hello, &[], "").await.text(), "hello");

    // The compiler had not seen the file that was missing.
    save(&project, "functions/hello/src/page.rs", "");
    wait_for_log(&dev, "cannot find value `nothing`", 1).await;
    assert_eq!(send("GET", &hello, &[], "").await.text(), "hello");
    save(&project, HELLO, &answering("mended"));
    wait_for(&dev, &hello, "mended").await;

    // One that is built and does not start.
    save(&project, HELLO, "fn main() { panic!(\"no start\") }\n");
    wait_for_log(&dev, "could not start the function hello", 1).await;
    assert_eq!(send("GET", &hello, &[], "").await.text(), "mended");
    save(&project, HELLO, &answering("mended again"));
    wait_for(&dev, &hello, "mended again").await;

    // A function more, and one less.
    let manifest = fs::read_to_string(project.root().join("functions/hello/Cargo.toml"));
    let manifest = manifest.expect("a file").replace("hello", "third");
    project.write("functions/third/Cargo.toml", &manifest);
    project.write("functions/third/src/main.rs", &answering("third"));
    wait_for(&dev, &url(&dev, "staging", "third"), "third").await;
    fs::remove_dir_all(project.root().join("functions/third")).expect("a folder");
    wait_for_log(&dev, "third removed", 1).await;
    let answer = send("GET", &url(&dev, "staging", "third"), &[], "").await;
    assert_eq!(answer.status, 404);
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn what_is_no_source_starts_no_build_and_a_burst_of_saves_one_or_two() {
    let build_script = (
        "functions/hello/build.rs",
        "fn main() {\n\
         let folder = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n\
         std::fs::write(format!(\"{folder}/src/made.rs\"), \"\").unwrap();\n\
         println!(\"cargo::rerun-if-changed=src\");\n}\n",
    );
    let project = answer_project(&[build_script, ("functions/hello/src/made.rs", "")]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    for path in [
        "target/debug/note.rs",
        ".git/index.rs",
        "functions/hello/target/note.rs",
        "functions/hello/src/.main.rs.swp",
        "functions/hello/src/main.rs~",
        "functions/hello/src/4913",
        "functions/hello/tests/note.rs",
        "functions/hello/benches/note.rs",
        "functions/hello/examples/note.rs",
        "functions/hello/dist/note.rs",
        "dist/functions/note.rs",
        "node_modules/note.rs",
        "public/note.html",
    ] {
        project.write(path, "// written beside the sources\n");
    }
    // A build script that writes the same file with each build starts none either.
    sleep(Duration::from_secs(3)).await;
    assert_eq!(builds(&dev), 0, "{}", dev.log());
    // A machine that holds the test up between two saves makes two bursts of one.
    let (mut pauses, mut last) = (0, Instant::now());
    for number in 0..50 {
        let begun = Instant::now();
        save(&project, HELLO, &answering(&format!("answer {number}")));
        pauses += usize::from(last.elapsed() > BURST_PAUSE);
        last = begun;
        sleep(Duration::from_millis(5)).await;
    }
    wait_for(&dev, &hello, "answer 49").await;
    wait_for_log(&dev, "✓ functions: ", 2).await;
    sleep(Duration::from_secs(3)).await;
    let (builds, most) = (builds(&dev), 2 + pauses);
    assert!((1..=most).contains(&builds), "{builds}: {}", dev.log());
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn configuration_and_variables_are_served_as_they_are_saved() {
    let project = answer_project(&[(
        HELLO,
        "fn main() {\n    runtime::serve(|| std::env::var(\"WORD\").unwrap_or_default());\n}\n",
    )]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    assert_eq!(send("GET", &hello, &[], "").await.text(), "");
    let requests = Requests::start(&hello).await;
    save(&project, ".env.staging", "WORD=new\n");
    wait_for(&dev, &hello, "new").await;
    let of_production = send("GET", &url(&dev, "production", "hello"), &[], "").await;
    assert_eq!(of_production.text(), "");
    // A mistake changes nothing.
    save(&project, ".env.staging", "WORD='newer\n");
    wait_for_log(&dev, "functions keep the variables that they have", 1).await;
    assert_eq!(send("GET", &hello, &[], "").await.text(), "new");

    let redirect =
        "[[redirects]]\nfrom = \"/api/*\"\nto = \"/.netlify/functions/:splat\"\nstatus = 200\n";
    let toml = format!("[build]\npublish = \"public\"\n{redirect}");
    save(&project, "netlify.toml", &toml);
    let site = dev.stage("staging")["url"].as_str().expect("a URL");
    wait_for(&dev, &format!("{site}/api/hello"), "new").await;
    save(&project, "netlify.toml", "[build\n");
    let of_mistake = "the site is served as before";
    wait_for_log(&dev, of_mistake, 1).await;
    // It is told once, and not with each other save.
    save(&project, ".env.staging", "WORD=new\nOTHER=1\n");
    wait_for_log(&dev, "have them", 2).await;
    assert_eq!(dev.log().matches(of_mistake).count(), 1, "{}", dev.log());
    save(
        &project,
        "public/_redirects",
        "/word /.netlify/functions/hello 200\n",
    );
    save(&project, "netlify.toml", &toml);
    wait_for(&dev, &format!("{site}/word"), "new").await;
    let answers = requests.stop().await;
    let kinds: Vec<_> = answers.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["", "new"], "{answers:?}");
    assert_eq!(builds(&dev), 0, "{}", dev.log());
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn file_that_a_program_includes_from_outside_of_its_crate_is_watched() {
    let project = answer_project(&[
        (
            HELLO,
            "fn main() {\n    runtime::serve(|| include_str!(\"../../../data/word.txt\").to_owned());\n}\n",
        ),
        ("data/word.txt", "one"),
    ]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    wait_for(&dev, &hello, "one").await;
    save(&project, "data/word.txt", "two");
    wait_for(&dev, &hello, "two").await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn file_that_a_program_reads_is_watched_in_a_folder_of_any_name_and_behind_a_link() {
    let program = "mod shared;\nmod target;\nfn main() {\n    runtime::serve(|| {\n        let page = \
                   include_str!(\"../.pages/dist/page.txt\");\n        \
                   format!(\"{} {} {page}\", target::WORD, shared::WORD)\n    })\n}\n";
    let word = |word: &str| format!("pub const WORD: &str = {word:?};\n");
    let module = "functions/hello/src/target/mod.rs";
    let page = "functions/hello/.pages/dist/page.txt";
    let shared = "shared/mod.rs";
    let project = answer_project(&[
        (HELLO, program),
        (module, &word("one")),
        (shared, &word("one")),
        (page, "one"),
    ]);
    let link = project.root().join("functions/hello/src/shared");
    symlink("../../../shared", link).expect("a link");
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    wait_for(&dev, &hello, "one one one").await;
    assert_eq!(builds(&dev), 0, "{}", dev.log());
    save(&project, module, &word("two"));
    wait_for(&dev, &hello, "two one one").await;
    save(&project, shared, &word("two"));
    wait_for(&dev, &hello, "two two one").await;
    save(&project, page, "two");
    wait_for(&dev, &hello, "two two two").await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn change_that_one_stage_refuses_is_taken_back_in_all_and_tried_again_with_a_new_program() {
    let answering_unless = |condition: &str| {
        format!(
            "fn main() {{\n    let of = |name| std::env::var(name).unwrap_or_default();\n    \
             assert!(!({condition}));\n    runtime::serve(move || of(\"WORD\"));\n}}\n"
        )
    };
    let bad_in_production = "of(\"WORD\") == \"bad\" && of(\"STAGELINK_STAGE\") == \"production\"";
    let project = answer_project(&[(HELLO, &answering_unless(bad_in_production))]);
    project.write(".env", "WORD=ok\n");
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = ["staging", "production"].map(|stage| url(&dev, stage, "hello"));
    for url in &hello {
        wait_for(&dev, url, "ok").await;
    }
    // Staging has the new value when production has refused it.
    save(&project, ".env", "WORD=bad\n");
    wait_for_log(&dev, "functions keep the variables that they have", 1).await;
    save(&project, ".env", "WORD=ok\n");
    for url in &hello {
        wait_for(&dev, url, "ok").await;
    }

    save(&project, ".env", "WORD=bad\n");
    wait_for_log(&dev, "functions keep the variables that they have", 2).await;
    save(&project, HELLO, &answering_unless("false"));
    for url in &hello {
        wait_for(&dev, url, "bad").await;
    }
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn another_cargo_that_holds_the_lock_is_told_and_waited_for() {
    let slow = "[package]\nname = \"slow\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    let project = answer_project(&[
        ("crates/slow/Cargo.toml", slow),
        ("crates/slow/src/lib.rs", ""),
    ]);
    let held = project.root().join("held");
    let script = format!(
        "fn main() {{\n    while std::path::Path::new({held:?}).exists() {{\n        \
         std::thread::sleep(std::time::Duration::from_millis(20));\n    }}\n}}\n"
    );
    project.write("crates/slow/build.rs", &script);
    let dev = Dev::start(&["--project", project.path()]).await;
    let hello = url(&dev, "staging", "hello");
    project.write("held", "");
    let mut other = Command::new("cargo");
    other
        .args(["build", "--quiet", "--package", "slow"])
        .current_dir(project.root())
        .kill_on_drop(true);
    let mut other = other.spawn().expect("cargo starts");
    let pid = i32::try_from(other.id().expect("it runs")).expect("a process id");
    descendants_with(pid, "build-script-build").await;
    save(&project, HELLO, &answering("after the other"));
    wait_for_log(&dev, "waiting: another cargo works here", 1).await;
    assert_eq!(send("GET", &hello, &[], "").await.text(), "hello");
    fs::remove_file(held).expect("the file");
    wait_for(&dev, &hello, "after the other").await;
    assert!(other.wait().await.expect("it ends").success());
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn dev_that_is_ended_while_it_builds_leaves_nothing_running() {
    let project = answer_project(&[]);
    let dev = Dev::start(&["--project", project.path()]).await;
    let slow = "fn main() { std::thread::sleep(std::time::Duration::from_secs(600)); }\n";
    project.write("functions/hello/build.rs", slow);
    let family = descendants_with(dev.pid(), "build-script-build").await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    assert_all_end(&family).await;
}
