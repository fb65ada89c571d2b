//! A terminal at which a command runs: what it shows, and the keys of its operator.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use tokio::time::{sleep, timeout};

/// The operator's side of a terminal.
pub(crate) struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<String>>,
    /// It reads until no process has the other side.
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Opens a terminal. The other side is for the command alone: what another test starts meanwhile does not
    /// inherit it.
    pub(crate) fn open() -> (Self, OwnedFd) {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let terminal = posix_openpt(flags).expect("a terminal");
        grantpt(&terminal).expect("a terminal");
        unlockpt(&terminal).expect("a terminal");
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOCTTY.bits())
            .open(ptsname_r(&terminal).expect("its name"))
            .expect("the other side");
        let mut output = File::from(OwnedFd::from(terminal));
        let keyboard = output.try_clone().expect("the terminal");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                shown.lock().expect("the screen").push_str(&text);
            }
        });
        let terminal = Self {
            keyboard,
            screen,
            reader,
        };
        (terminal, slave.into())
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

    /// Waits until no process has the terminal any more, and returns what it shows: all that they wrote.
    pub(crate) async fn end(self) -> String {
        let read = timeout(Duration::from_secs(30), async {
            while !self.reader.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let read = read.await;
        read.unwrap_or_else(|_| panic!("a process still has the terminal: {}", self.screen()));
        self.screen()
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
