//! A project with two stages on AWS Lambda: moto, functions that run, and real databases.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use stagelink_pipeline::{MigrationFolder, MigrationList, zip_program};
use stagelink_tests::{
    CANARY, Record, ShopClouds, as_superuser, functions, run_command, stagelink_command,
};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::front::Front;
use crate::moto::Moto;

/// A project whose stages are aliases of functions on Lambda.
pub(crate) struct Shop {
    pub(crate) moto: Moto,
    pub(crate) front: Front,
    pub(crate) folder: TempDir,
    pub(crate) record: Record,
    pub(crate) clouds: ShopClouds,
    names: Vec<&'static str>,
    builds: AtomicUsize,
}

/// A finished command. Neither of its outputs has a secret.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Run {
    pub(crate) fn succeeds(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}{}", self.output, self.errors);
        self
    }

    /// Makes sure that the command failed with these words.
    pub(crate) fn fails(&self, words: &[&str]) -> &Self {
        assert!(self.code.is_some_and(|code| code != 0), "{self:?}");
        for word in words {
            assert!(
                self.errors.contains(word),
                "{word:?} is not in: {}",
                self.errors
            );
        }
        self
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.output.lines().count(), 1, "{}", self.output);
        serde_json::from_str(&self.output).expect("a line of JSON")
    }
}

impl Shop {
    /// Makes a project with these functions of the repository, each of which stages share.
    pub(crate) async fn new(names: &[&'static str]) -> Self {
        let clouds = ShopClouds::with_addons().await;
        for (database, stage) in [
            (&clouds.staging, "staging"),
            (&clouds.production, "production"),
        ] {
            as_superuser(&format!(
                "ALTER DATABASE {} SET application_name = 'stagelink:{stage}'",
                database.name()
            ))
            .await;
        }
        let moto = Moto::start().await;
        let record = Record::new([clouds.heroku.api_key().to_owned()]);
        let front = Front::of(moto.url(), &record).await;
        let folder = tempfile::tempdir().expect("a folder");
        let shop = Self {
            moto,
            front,
            folder,
            record,
            clouds,
            names: names.to_vec(),
            builds: AtomicUsize::new(0),
        };
        let shared = names.iter().map(|name| format!("{name} = \"shop-{name}\""));
        let shared = shared.collect::<Vec<_>>().join(", ");
        shop.settings(&format!("[lambda]\nfunctions = {{ {shared} }}\n"));
        for folder in ["migrations", "functions"] {
            fs::create_dir(shop.path(folder)).expect("a folder");
        }
        shop.migration("V1__guestbook.sql", FIRST);
        shop.write("all.env", &shop.variables(None));
        shop.build().await;
        shop
    }

    /// Writes stagelink.toml, with this after the stages.
    pub(crate) fn settings(&self, more: &str) {
        let stages = "[heroku]\npipeline = \"shop\"\n\n[stages.staging]\n\n[stages.production]\n\n";
        self.write("stagelink.toml", &format!("{stages}{more}"));
    }

    /// Returns the variables of functions, for one stage or for the aliases of both, with a secret.
    pub(crate) fn variables(&self, stage: Option<&str>) -> String {
        let (url, token) = (self.clouds.heroku.url(), self.clouds.heroku.api_key());
        let stage = stage.map_or(String::new(), |stage| format!("STAGELINK_STAGE={stage}\n"));
        format!(
            "STAGELINK_HEROKU_PIPELINE=shop\nSTAGELINK_HEROKU_API_URL={url}\nHEROKU_API_KEY={token}\n\
             SHOP_SECRET={CANARY}:\"\\@x\n{stage}"
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    pub(crate) fn migration(&self, name: &str, sql: &str) {
        self.write(&format!("migrations/{name}"), sql);
    }

    /// Writes the archives of another program of each function, as a build with the migrations of the
    /// folder would.
    pub(crate) async fn build(&self) {
        let number = self.builds.fetch_add(1, Ordering::Relaxed);
        let migrations = MigrationFolder::read(&self.path("migrations")).expect("migrations");
        let list = MigrationList::of(&migrations);
        let dist = self.path("dist/lambda").join(ARCH);
        fs::create_dir_all(&dist).expect("a folder");
        for name in &self.names {
            let mut program = list.write_into(&stripped(name).await).expect("a program");
            // What follows the sections is not loaded.
            program.extend(number.to_le_bytes());
            let zip = zip_program(&program).expect("a zip");
            let executable = self.path(&format!("{name}-{number}"));
            write_program(&executable, &program);
            self.front.add_program(&sha256(&zip), executable);
            fs::write(dist.join(format!("{name}.zip")), zip).expect("a file");
        }
    }

    pub(crate) async fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(stagelink_command().await);
        command.env_clear();
        self.moto.configure(&mut command).await;
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("AWS_ENDPOINT_URL", &self.front.url)
            .env("STAGELINK_HEROKU_API_URL", self.clouds.heroku.url())
            .env("HEROKU_API_KEY", self.clouds.heroku.api_key())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, words: &[&str]) -> Run {
        let output = self.command(words).await.output().await;
        self.finished(&output.expect("the command runs"))
    }

    /// Reads the outputs of a command, and searches them for secrets.
    pub(crate) fn finished(&self, output: &Output) -> Run {
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.record.add(&text);
            text
        };
        let run = Run {
            code: output.status.code(),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        };
        self.record.text();
        run
    }

    /// Deploys what is built to a stage, with the variables of both.
    pub(crate) async fn deploy(&self, stage: &str, more: &[&str]) -> Run {
        let words = [
            "deploy",
            stage,
            "--no-build",
            "--yes",
            "--json",
            "--arch",
            ARCH,
        ];
        self.run(&[&words[..], more].concat()).await
    }

    /// Makes the functions on Lambda with a first deploy of staging.
    pub(crate) async fn first_deploy(&self) -> Value {
        let new = ["--role", Moto::ROLE, "--env-file", "all.env"];
        self.deploy("staging", &new).await.succeeds().json()
    }

    pub(crate) async fn promote(&self, more: &[&str]) -> Run {
        let words = ["promote", "--yes", "--json", "--test-limit", "120"];
        self.run(&[&words[..], more].concat()).await
    }

    /// Returns the version that the alias of a function points to; null where there is none.
    pub(crate) async fn version(&self, function: &str, alias: &str) -> Value {
        let ask = ["lambda", "list-aliases", "--function-name", function];
        let aliases = self.moto.aws(&ask).await;
        let aliases = aliases["Aliases"].as_array().cloned().unwrap_or_default();
        let mut found = aliases.iter().filter(|one| one["Name"] == alias);
        found
            .next()
            .map_or(Value::Null, |one| one["FunctionVersion"].clone())
    }

    /// Makes sure that no command line had a secret, and that no file is left.
    pub(crate) fn assert_private(&self) {
        let arguments = self.moto.arguments();
        assert!(arguments.contains("lambda"), "{arguments}");
        assert!(!arguments.contains(CANARY), "{arguments}");
        assert!(
            !arguments.contains(self.clouds.heroku.api_key()),
            "{arguments}"
        );
        let left = self.moto.temporary_files();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Returns the program of a function of the repository, without the symbols of a debug build.
async fn stripped(name: &str) -> Vec<u8> {
    static STRIPPED: OnceCell<BTreeMap<String, Vec<u8>>> = OnceCell::const_new();
    let programs = STRIPPED
        .get_or_init(|| async {
            let folder = tempfile::tempdir().expect("a folder");
            let mut programs = BTreeMap::new();
            for (name, program) in functions().await {
                let stripped = folder.path().join(name);
                let mut strip = Command::new("strip");
                run_command(strip.arg("-o").arg(&stripped).arg(program)).await;
                programs.insert(name.clone(), fs::read(stripped).expect("a program"));
            }
            programs
        })
        .await;
    programs[name].clone()
}

fn write_program(path: &std::path::Path, program: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, program).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its rights");
}

/// Returns the SHA-256 of an archive as Lambda writes it.
fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(openssl::sha::sha256(bytes))
}

/// This machine's processor, as Lambda names it.
pub(crate) const ARCH: &str = match cfg!(target_arch = "aarch64") {
    true => "arm64",
    false => "x86_64",
};

const FIRST: &str = "CREATE TABLE guestbook (id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text \
                     NOT NULL, message text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());\n";
