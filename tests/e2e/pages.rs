//! Pages of the repository: every relative link and every path in code font has a target that
//! exists.

use std::fs;
use std::path::{Path, PathBuf};

use stagelink_tests::root;

#[test]
fn links_have_a_target() {
    let mut dead = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in links(&text) {
            if !leads_somewhere(&page, link) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
}

#[test]
fn paths_in_code_font_exist() {
    let mut gone = Vec::new();
    for page in pages() {
        // A package's own page has paths relative to the package, and a changelog names old ones.
        let is_of_repository =
            page.starts_with(root().join("docs")) || page == root().join("README.md");
        let text = fs::read_to_string(&page).expect("a page");
        for path in paths(&text).filter(|_| is_of_repository) {
            if !root().join(path).exists() {
                gone.push(format!("{}: {path}", page.display()));
            }
        }
    }
    assert!(gone.is_empty(), "no such files:\n{}", gone.join("\n"));
}

/// Returns the code spans of a page that are paths of this repository.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let spans = prose(text)
        .into_iter()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    spans.filter(|span| {
        let is_path = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        CODE.iter().any(|folder| span.starts_with(folder)) && span.chars().all(is_path)
    })
}

/// Folders that exist in this repository only, in no project of `stagelink new`.
const CODE: [&str; 14] = [
    "aws/",
    "bench/",
    "cli/",
    "docs/",
    "fuzz/",
    "local-postgres/",
    "local/",
    "pipeline/",
    "sdk/",
    "tests/deploys",
    "tests/e2e",
    "tests/lambda",
    "tests/src",
    "tests/load",
];

/// Returns the Markdown pages, except built or downloaded ones.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().expect("a type").is_dir() {
                let is_ours = !name.starts_with('.') && !OTHERS.contains(&name.as_str());
                folders.extend(is_ours.then(|| entry.path()));
            } else if name.ends_with(".md") {
                pages.push(entry.path());
            }
        }
    }
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

const OTHERS: [&str; 3] = ["dist", "node_modules", "target"];

/// Returns the targets of the links in a page: `[text](target)`, outside of code.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for prose in prose(text) {
        let mut rest = prose;
        while let Some((_, after)) = rest.split_once("](") {
            let (target, after) = after.split_once(')').unwrap_or((after, ""));
            links.push(target);
            rest = after;
        }
    }
    links
}

/// Returns the lines outside of fenced blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    // Links to other sites are not checked, and rustdoc checks links to items.
    if link.contains("://") || !(link.contains('/') || link.contains('.') || link.contains('#')) {
        return true;
    }
    let (path, anchor) = match link.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (link, None),
    };
    let target = match path {
        "" => page.to_owned(),
        path => page.parent().expect("a folder").join(path),
    };
    match anchor {
        None => target.exists(),
        Some(anchor) => fs::read_to_string(target)
            .is_ok_and(|text| headings(&text).iter().any(|heading| heading == anchor)),
    }
}

/// Returns the anchors of a page's headings, in GitHub's format.
fn headings(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn dead_links_are_found() {
    let text =
        "# A `b`: c\n[x](a.md) and [y](#a-b-c)\n```\n[z](no.md)\n```\n[s](https://a.example)";
    assert_eq!(links(text), ["a.md", "#a-b-c", "https://a.example"]);
    assert_eq!(headings(text), ["a-b-c"]);
    let readme = root().join("README.md");
    assert!(leads_somewhere(
        &readme,
        "SECURITY.md#what-stagelink-promises"
    ));
    assert!(leads_somewhere(&readme, "Client::query_cached"));
    for dead in ["no.md", "sdk/README.md#no", "#no", "sdk/no.md#no"] {
        assert!(!leads_somewhere(&readme, dead), "{dead}");
    }
}
