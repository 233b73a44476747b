//! Documents name only files, make targets, configuration keys, routes and metrics that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use zhenbei::config::{Config, Schema};
use zhenbei::telemetry::Metric;

use super::{files, has_extension, no_complaints, root, text};

/// What documents may name.
struct Known {
    targets: BTreeSet<String>,
    routes: BTreeSet<String>,
    config: Schema,
    metrics: BTreeSet<&'static str>,
}

impl Known {
    fn of_this_tree() -> Self {
        let makefile = text(Path::new("Makefile")).unwrap();
        let target = |l: &str| l.split_once(':').map(|(names, _)| names.to_owned());
        let targets = makefile
            .lines()
            .filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase()));
        let mut routes = BTreeSet::new();
        for path in files().iter().filter(|p| p.starts_with("src/api")) {
            routes.extend(routes_in(&text(path).unwrap_or_default()));
        }
        routes.extend(routes_in(
            &text(Path::new("docs/openapi.json")).unwrap_or_default(),
        ));
        Self {
            targets: targets
                .filter_map(target)
                .flat_map(|t| t.split(' ').map(str::to_owned).collect::<Vec<_>>())
                .collect(),
            routes,
            config: Schema::of::<Config>(),
            metrics: Metric::ALL.iter().map(|m| m.name()).collect(),
        }
    }
}

/// Every text literal that begins with `/`, parameters made alike, without the common beginning.
fn routes_in(code: &str) -> BTreeSet<String> {
    code.split('"')
        .filter(|s| s.starts_with('/') && !s.contains([' ', '\n']))
        .map(route)
        .collect()
}

fn route(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let path = path
        .strip_prefix("/api/v1")
        .filter(|p| p.starts_with('/'))
        .unwrap_or(path);
    let alike = |part: &str| {
        if part.starts_with('{') {
            "{}".to_owned()
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(alike).collect::<Vec<_>>().join("/")
}

/// `code spans` with their lines; fenced blocks give one span per line.
fn spans(page: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut found = Vec::new();
    for (index, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((
                index + 1,
                line.split(" #")
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
            ));
        } else {
            found.extend(
                line.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(|s| (index + 1, s.to_owned())),
            );
        }
    }
    found
}

const FOLDERS: [&str; 13] = [
    "src/",
    "docs/",
    "config/",
    "scripts/",
    "tests/",
    "web/",
    "pipelines/",
    "migrations/",
    "systemd/",
    "fuzz/",
    "benches/",
    ".ci/",
    "vendor/",
];
/// Made by a build.
const MADE: [&str; 3] = ["web/dist", "web/node_modules", "fuzz/target"];

fn complaint(span: &str, known: &Known) -> Option<String> {
    let first = span.split(' ').next().unwrap_or_default();
    if FOLDERS.iter().any(|f| first.starts_with(f)) && !MADE.iter().any(|m| first.starts_with(m)) {
        // `tests/<area>/main.rs`, `docs/decisions/NNNN-title.md`: as far as it is said.
        let said = first.split(['*', '<', '{', '…']).next().unwrap_or_default();
        let said = said.split("NNNN").next().unwrap_or_default();
        let whole = said == first;
        let path = if whole {
            said
        } else {
            said.rsplit_once('/').map_or("", |(dir, _)| dir)
        };
        if !root()
            .join(path.trim_end_matches('/'))
            .try_exists()
            .unwrap()
        {
            return Some(format!("`{span}`: there is no {path}"));
        }
    }
    if let Some(rest) = span.strip_prefix("make ") {
        let words = rest
            .split(' ')
            .filter(|w| !w.contains('=') && !w.starts_with('-'));
        let missing: Vec<&str> = words.filter(|w| !known.targets.contains(*w)).collect();
        if !missing.is_empty() {
            return Some(format!(
                "`{span}`: the Makefile has no {}",
                missing.join(", ")
            ));
        }
    }
    if let Some((section, key)) = span.strip_prefix('[').and_then(|s| s.split_once(']')) {
        let section = section.trim_start_matches('[');
        let key = key.trim_start_matches(']').trim();
        let word =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if word(section)
            && (key.is_empty() || word(key))
            && !["cameras", "vehicles"].contains(&section)
        {
            let table = known.config.get(section);
            if table.is_none_or(|t| !key.is_empty() && t.get(key).is_none()) {
                return Some(format!(
                    "`{span}`: there is no such key in the configuration"
                ));
            }
        }
    }
    let after_method = ["GET ", "POST ", "PUT ", "DELETE "]
        .iter()
        .find_map(|m| span.strip_prefix(m));
    if let Some(path) = after_method.or(span.starts_with("/api/v1/").then_some(span)) {
        let path = path.split(' ').next().unwrap_or_default();
        if path.starts_with('/') && !known.routes.contains(&route(path)) {
            return Some(format!("`{span}`: the interface has no {path}"));
        }
    }
    if first.starts_with("zhenbei_")
        && first.ends_with(|c: char| c.is_ascii_lowercase())
        && first != "zhenbei_session"
    {
        let name = first.split('{').next().unwrap_or_default();
        if !known.metrics.contains(name) {
            return Some(format!("`{span}`: there is no such metric"));
        }
    }
    None
}

/// Relative links of a page that lead nowhere.
fn dead_links(path: &Path, page: &str) -> Vec<String> {
    let folder = root().join(path.parent().unwrap());
    let links = page
        .split("](")
        .skip(1)
        .filter_map(|s| s.split_once(')').map(|(link, _)| link));
    links
        .filter(|l| !l.contains("://") && !l.starts_with('#'))
        .filter(|l| {
            !folder
                .join(l.split('#').next().unwrap_or_default())
                .try_exists()
                .unwrap()
        })
        .map(|l| format!("{}: the link `{l}` leads nowhere", path.display()))
        .collect()
}

#[test]
fn documents_name_only_what_exists() {
    let known = Known::of_this_tree();
    let mut complaints = Vec::new();
    // Decisions tell of their day and are not changed afterwards.
    let page = |p: &&PathBuf| {
        has_extension(p, &["md"]) && !p.starts_with("docs/decisions") && !p.starts_with("vendor")
    };
    for path in files().iter().filter(page) {
        let page = text(path).unwrap();
        for (line, span) in spans(&page) {
            complaints.extend(
                complaint(&span, &known).map(|c| format!("{}:{line}: {c}", path.display())),
            );
        }
        complaints.extend(dead_links(path, &page));
    }
    no_complaints(&complaints);
}

#[test]
fn every_metric_is_explained_to_operators() {
    let page = text(Path::new("docs/operations.md")).expect("docs/operations.md");
    let missing = Metric::ALL
        .iter()
        .map(|m| m.name())
        .filter(|n| !page.contains(&format!("`{n}")));
    no_complaints(
        &missing
            .map(|n| format!("docs/operations.md does not explain {n}"))
            .collect::<Vec<_>>(),
    );
}

/// The texts a heading quotes: what stands in backquotes, cut where something differs.
fn quoted(heading: &str) -> Vec<String> {
    let quotes = heading.split('`').skip(1).step_by(2);
    quotes
        .flat_map(|q| q.split('…'))
        .map(|q| q.trim().to_owned())
        .filter(|q| !q.is_empty())
        .collect()
}

/// Rust text over several lines is one text.
fn messages_of(code: &str) -> String {
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    lines.join("\n").replace("\\\n", "")
}

#[test]
fn troubles_are_found_under_the_words_the_program_uses() {
    let of_the_program = |p: &&PathBuf| p.starts_with("src") || p.starts_with("scripts");
    let all: String = files()
        .iter()
        .filter(of_the_program)
        .filter_map(|p| text(p))
        .map(|t| messages_of(&t))
        .collect();
    let page = text(Path::new("docs/troubleshooting.md")).expect("docs/troubleshooting.md");
    let headings = page.lines().filter_map(|l| l.strip_prefix("## "));
    let unknown: Vec<String> = headings
        .flat_map(|h| {
            quoted(h)
                .into_iter()
                .filter(|q| !q.starts_with("make ") && !all.contains(q))
                .collect::<Vec<_>>()
        })
        .map(|q| format!("docs/troubleshooting.md: the program never says `{q}`"))
        .collect();
    no_complaints(&unknown);
    assert_eq!(quoted("`no … here` and `x`"), ["no", "here", "x"]);
    assert_eq!(
        messages_of("say(\"one \\\n      two\")"),
        "say(\"one two\")"
    );
}

#[test]
fn the_rule_for_documents_can_fail() {
    let mut known = Known::of_this_tree();
    known.routes = routes_in(r#"path = "/cameras/{id}/clip.mp4", "/healthz""#);
    let bad = |span: &str| complaint(span, &known).is_some();
    for span in [
        "src/attic/mod.rs",
        "tests/nowhere/<area>/*.rs",
        "make coffee",
        "make test coffee",
        "[http] lisen",
        "[cellar]",
        "[[mqtt]] uri",
        "GET /cameras/{camera}/clip.mp3",
        "/api/v1/nowhere",
        "zhenbei_cups_total",
    ] {
        assert!(bad(span), "{span} was taken");
    }
    for span in [
        "src/config/mod.rs",
        "src/<room>/mod.rs",
        "docs/decisions/NNNN-title.md",
        "web/dist/index.html",
        "make test",
        "make fuzz FUZZ_SECONDS=5",
        "[http] listen",
        "[[mqtt]] url",
        "[cameras] main",
        "GET /cameras/{camera}/clip.mp4?from&to",
        "/api/v1/healthz",
        "zhenbei_video_frames_total",
    ] {
        assert!(!bad(span), "{span}: {:?}", complaint(span, &known));
    }
    assert_eq!(
        spans("a `b` c\n```\nmake x  # y\n```\n"),
        [(1, "b".into()), (3, "make x".into())]
    );
    assert_eq!(
        dead_links(
            Path::new("docs/x.md"),
            "[a](../README.txt) [b](https://x.y/) [c](#d)"
        )
        .len(),
        1
    );
}
