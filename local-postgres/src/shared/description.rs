//! The file that describes a shared server to the processes that use it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::password::Password;
use crate::private_file;

/// A running server, as its folder describes it.
#[derive(PartialEq, Eq)]
pub(super) struct Description {
    /// The directory of this run of a server.
    pub(super) instance: PathBuf,
    pub(super) port: u16,
    pub(super) password: Password,
    /// The server's version and origin.
    pub(super) text: String,
}

impl Description {
    /// Reads the description in a folder; `None` if there is none, or an unreadable one.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(FILE)).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        Some(Self {
            instance: text("instance")?.into(),
            port: value.get("port")?.as_u64()?.try_into().ok()?,
            password: Password::new(text("password")?),
            text: text("description")?,
        })
    }

    /// Writes the description in one step, readable by this user alone.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let value = json!({
            "instance": self.instance.to_string_lossy(),
            "port": self.port,
            "password": self.password.expose(),
            "description": self.text,
        });
        let unfinished = self.instance.join(FILE);
        private_file::write(&unfinished, &value.to_string())?;
        fs::rename(unfinished, folder.join(FILE))
    }
}

const FILE: &str = "server.json";
