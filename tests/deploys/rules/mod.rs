//! The rules of `_redirects`, `_headers` and netlify.toml: the local site reads and applies them as
//! Netlify's own parsers and engine do, which npm carries.

mod generator;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use stagelink_local::netlify::{
    HeaderBlock, HeaderRule, Redirect, RedirectRule, engine_answer, merged_rules,
};
use stagelink_tests::{root, target_folder};

use generator::{Generator, Request};

/// The texts of a site's files.
#[derive(Debug, Default)]
struct Texts {
    toml: String,
    redirects: String,
    headers: String,
}

/// A site, what the local site makes of it, and the requests to compare.
struct Case {
    name: String,
    texts: Texts,
    rules: Vec<RedirectRule>,
    blocks: Vec<HeaderBlock>,
    warnings: Vec<String>,
    /// Indices of the rules that the local site applies, and those rules.
    matched: Vec<(usize, Redirect)>,
    requests: Vec<Request>,
}

impl Case {
    fn new(name: String, texts: Texts, generator: &mut Generator) -> Self {
        let Texts {
            toml,
            redirects,
            headers,
        } = &texts;
        let (rules, blocks, warnings) = merged_rules(toml, redirects, headers)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let matched = rules
            .iter()
            .enumerate()
            // The engine does not decode a pattern, as the local site does.
            .filter(|(_, rule)| !rule.from.contains('%'))
            .filter_map(|(index, rule)| Some((index, Redirect::new(rule).ok()?)))
            .collect();
        let mut requests: Vec<Request> = (0..20).map(|_| generator.request()).collect();
        let patterns = rules.iter().map(|rule| &rule.from);
        for pattern in patterns.chain(blocks.iter().map(|block| &block.path)) {
            requests.extend(generator.requests_for(pattern));
        }
        Self {
            name,
            rules,
            blocks,
            warnings,
            matched,
            requests,
            texts,
        }
    }

    fn to_json(&self) -> Value {
        let matched: Vec<usize> = self.matched.iter().map(|(index, _)| *index).collect();
        let requests: Vec<Value> = self.requests.iter().map(Request::to_json).collect();
        json!({
            "toml": self.texts.toml,
            "redirects": self.texts.redirects,
            "headers": self.texts.headers,
            "matched": matched,
            "requests": requests,
        })
    }

    /// Compares all with Netlify's answer. Returns how many requests a rule matched.
    fn compare(&self, answer: &Value) -> usize {
        let context = format!("{}: {:#?}", self.name, self.texts);
        let rules: Vec<Value> = self.rules.iter().map(rule_json).collect();
        assert_eq!(Value::from(rules), answer["redirects"], "{context}");
        let blocks: Vec<Value> = self
            .blocks
            .iter()
            .map(|block| json!({"path": block.path, "values": block.values}))
            .collect();
        assert_eq!(Value::from(blocks), answer["headers"], "{context}");
        for (what, errors) in [
            ("redirect", "redirectErrors"),
            ("headers rule", "headerErrors"),
        ] {
            let what = format!("the {what} is ignored");
            let ignored = self
                .warnings
                .iter()
                // Netlify says nothing about such a line.
                .filter(|warning| warning.contains(&what) && !warning.contains("neither a path"));
            let ignored: Vec<&String> = ignored.collect();
            let errors = answer[errors].as_array().expect("errors");
            assert_eq!(
                ignored.len(),
                errors.len(),
                "{ignored:?} {errors:?} {context}"
            );
        }
        let redirects: Vec<Redirect> = self.matched.iter().map(|(_, rule)| rule.clone()).collect();
        let headers: Vec<Option<HeaderRule>> = self
            .blocks
            .iter()
            .map(|block| HeaderRule::new(block, &mut Vec::new()).ok())
            .collect();
        let mut hits = 0;
        for (index, request) in self.requests.iter().enumerate() {
            let found = self.answer(&redirects, request);
            let netlify = answer["matches"][index].as_array().map(|found| {
                (
                    decoded(found[0].as_str().unwrap_or_default()),
                    found[1].as_u64().unwrap_or_default(),
                    found[2] == json!(true),
                )
            });
            assert_eq!(found, netlify, "{request:?} {context}");
            hits += usize::from(found.is_some());
            for (block, header) in headers.iter().enumerate() {
                if let Some(header) = header {
                    let is_match = header.is_match(&request.path);
                    let netlify = &answer["headerMatches"][index][block];
                    let path = &self.blocks[block].path;
                    assert_eq!(json!(is_match), *netlify, "{path} {request:?}");
                    hits += usize::from(is_match);
                }
            }
        }
        hits
    }

    fn answer(&self, rules: &[Redirect], request: &Request) -> Option<(String, u64, bool)> {
        let mut headers = HeaderMap::new();
        let language = request.language.parse().expect("a header");
        headers.insert("accept-language", language);
        let mut cookies = format!("nf_country={}", request.country);
        if let Some(cookie) = &request.cookie {
            cookies.push_str(&format!("; {cookie}=1"));
        }
        headers.insert("cookie", cookies.parse().expect("a header"));
        let query = Some(request.query.as_str()).filter(|query| !query.is_empty());
        let (to, status, force) = engine_answer(rules, &request.path, query, &headers)?;
        Some((decoded(&to), status.into(), force))
    }
}

/// Returns the rule as Netlify's parser does.
fn rule_json(rule: &RedirectRule) -> Value {
    let conditions: serde_json::Map<String, Value> = rule
        .conditions
        .iter()
        .map(|(name, values)| {
            let is_list = ["Country", "Language", "Role"].contains(&name.as_str());
            let value = if is_list {
                json!(values)
            } else {
                json!(values[0])
            };
            (name.clone(), value)
        })
        .collect();
    let mut json = json!({
        "from": rule.from,
        "query": rule.query,
        "to": rule.to,
        "force": rule.force,
        "conditions": conditions,
        "headers": rule.headers,
    });
    if let Some(status) = rule.status {
        json["status"] = json!(status);
    }
    if let Some(signed) = &rule.signed {
        json["signed"] = json!(signed);
    }
    json
}

/// Decodes a destination: the engine gets a decoded path, as from the Netlify CLI.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Asks Netlify's parsers and engine about the sites.
fn ask_netlify(cases: &[Case]) -> Vec<Value> {
    let tools = target_folder().join("tools/netlify-rules-1");
    let output = Command::new(root().join("tests/deploys/rules/install"))
        .arg(&tools)
        .stdin(Stdio::null())
        .output()
        .expect("the script that installs Netlify's parsers runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "Netlify's parsers cannot be installed; that needs node, npm and flock (apt-get install npm \
         util-linux): {errors}"
    );
    let node = String::from_utf8(output.stdout).expect("a path");
    let mut child = Command::new(node.trim())
        .arg(root().join("tests/deploys/rules/answers.mjs"))
        .arg(&tools)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs");
    let sites: Vec<Value> = cases.iter().map(Case::to_json).collect();
    let mut input = child.stdin.take().expect("its input");
    input
        .write_all(Value::from(sites).to_string().as_bytes())
        .expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "node failed");
    let answers = serde_json::from_slice(&output.stdout).expect("JSON");
    let Value::Array(answers) = answers else {
        panic!("an answer for each site");
    };
    assert_eq!(answers.len(), cases.len());
    answers
}

/// Compares all, and returns how many answers were matches.
fn compare(cases: &[Case]) -> usize {
    let answers = ask_netlify(cases);
    let pairs = cases.iter().zip(&answers);
    pairs.map(|(case, answer)| case.compare(answer)).sum()
}

#[test]
fn generated_rules_mean_what_netlify_makes_of_them() {
    // Another seed compares other sites.
    let seed = std::env::var("STAGELINK_RULES_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let mut generator = Generator::new(seed);
    let cases: Vec<Case> = (0..400)
        .map(|number| {
            let texts = Texts {
                toml: generator.toml(),
                redirects: generator.redirects(),
                headers: generator.headers(),
            };
            Case::new(
                format!("site {number} of seed {seed}"),
                texts,
                &mut generator,
            )
        })
        .collect();
    let hits = compare(&cases);
    assert!(hits > 5_000, "only {hits} answers were matches");
}

/// Files as people write them, wrong lines among them.
#[test]
fn files_of_real_sites_mean_what_netlify_makes_of_them() {
    let folder = root().join("tests/deploys/rules/files");
    let mut sites: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("files")
        .map(|entry| entry.expect("a folder").path())
        .collect();
    sites.sort();
    let mut generator = Generator::new(SEED);
    let cases: Vec<Case> = sites
        .iter()
        .map(|site| Case::new(site.display().to_string(), read(site), &mut generator))
        .collect();
    let hits = compare(&cases);
    assert!(hits > 200, "only {hits} answers were matches");
}

fn read(site: &Path) -> Texts {
    let text = |name: &str| fs::read_to_string(site.join(name)).unwrap_or_default();
    Texts {
        toml: text("netlify.toml"),
        redirects: text("_redirects"),
        headers: text("_headers"),
    }
}

const SEED: u64 = 16;
