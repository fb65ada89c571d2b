//! A terminal at which a command runs: what it shows, and the keys of its operator.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::pty::openpty;
use tokio::time::sleep;

/// The operator's side of a terminal.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    /// Opens a terminal. The other side is for the command.
    pub(crate) fn open() -> (Self, OwnedFd) {
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
        (Self { keyboard, screen }, terminal.slave)
    }

    pub(crate) fn screen(&self) -> String {
        self.screen.lock().expect("the screen").clone()
    }

    /// Waits until the screen has a text.
    pub(crate) async fn until(&self, text: &str) {
        for _ in 0..600 {
            if words_of(&self.screen()).contains(text) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{text}: {}", self.screen());
    }

    /// Types a line, and returns what the screen showed before.
    pub(crate) fn type_line(&mut self, line: &str) -> String {
        let before = std::mem::take(&mut *self.screen.lock().expect("the screen"));
        self.keyboard.write_all(line.as_bytes()).expect("a key");
        self.keyboard.write_all(b"\n").expect("a key");
        before
    }
}

/// Returns a text with one space between its words, as it was before it was wrapped.
pub(crate) fn words_of(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
