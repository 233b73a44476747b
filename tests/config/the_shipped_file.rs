//! `config/zhenbei.toml` and `docs/configuration.md` hold every key of the model, with its default.

use std::collections::BTreeSet;
use std::fmt::Write;

use toml::Table;
use zhenbei::config::{Config, SHIPPED, Schema};

use crate::config;

#[test]
fn the_shipped_file_loads_and_is_the_defaults() {
    let loaded = config(SHIPPED).unwrap();
    assert_eq!(loaded.warnings, vec![]);
    let mut defaults = config("").unwrap().config;
    // "Not set" prefix and folders: both ways of not setting must come out the same.
    assert_eq!(loaded.config, defaults);
    defaults.http.metrics_public = false;
    assert_ne!(loaded.config, defaults);
}

/// The file with the lines that are only shown (`# [[mqtt]]`, `# url = …`) made part of it.
fn shown_keys_too() -> String {
    let shown = |line: &str| {
        let rest = line.strip_prefix("# ")?;
        let word = rest.split(" = ").next()?;
        let key = rest.contains(" = ") && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        (key || rest.starts_with("[[")).then(|| rest.to_owned())
    };
    SHIPPED
        .lines()
        .map(|l| shown(l).unwrap_or_else(|| l.to_owned()) + "\n")
        .collect()
}

fn keys_of_model() -> BTreeSet<String> {
    let schema = Schema::of::<Config>();
    let all = schema.keys().iter();
    let sections = all.flat_map(|(s, of)| of.keys().iter().map(move |(k, of)| (s, k, of)));
    sections
        .flat_map(|(s, k, of)| {
            let inner = of.keys().iter().map(move |(i, _)| format!("[{s}] {k}.{i}"));
            inner.chain([format!("[{s}] {k}")])
        })
        .collect()
}

#[test]
fn every_key_of_the_model_is_in_the_shipped_file() {
    let file: Table = toml::from_str(&shown_keys_too()).unwrap();
    let mut written = BTreeSet::new();
    for (section, of) in &file {
        let table = of
            .as_table()
            .or_else(|| of.as_array()?.first()?.as_table())
            .unwrap();
        for (key, value) in table {
            written.insert(format!("[{section}] {key}"));
            let item = value.as_array().and_then(|a| a.first()?.as_table());
            let inner = item.into_iter().flat_map(Table::keys);
            written.extend(inner.map(|i| format!("[{section}] {key}.{i}")));
        }
    }
    assert_eq!(written, keys_of_model());
    assert!(written.len() > 40, "{written:?}");
}

#[test]
fn the_shown_broker_is_the_defaults_too() {
    let shown = config(&shown_keys_too()).unwrap().config;
    let short = config("[[mqtt]]\nurl = \"mqtt://127.0.0.1:1883\"\n")
        .unwrap()
        .config;
    assert_eq!(shown.mqtt, short.mqtt);
}

/// `docs/configuration.md`, written from the file so that the two cannot differ.
fn reference_page() -> String {
    let mut page = String::from(
        "# Configuration\n\nWritten by `make docs` from `config/zhenbei.toml`; change it there.\n\n\
         `zhenbei check-config --config FILE` tells everything that is wrong with a file, with its lines, and ends with 64 if \
         anything is.\nA variable `ZHENBEI_SECTION__KEY` overrides a key (`ZHENBEI_HTTP__LISTEN=0.0.0.0:8080`); the list of \
         brokers is set as a whole\n(`ZHENBEI_MQTT='[{url = \"mqtt://127.0.0.1:1883\"}]'`). In text values `${NAME}` is an \
         environment variable and `${file:PATH}` the text\nof a file. Paths that do not begin with `/` are seen from the folder \
         of the file; empty text means \"not set\".\n",
    );
    let mut about = String::new();
    let text = shown_keys_too();
    for line in text.lines().skip_while(|l| !l.starts_with("[site]")) {
        if let Some(section) = line.strip_prefix('[') {
            let lists = if section.starts_with('[') {
                " (any number of these)"
            } else {
                ""
            };
            let name = section.trim_matches(['[', ']']);
            writeln!(page, "\n## `[{name}]`{lists}\n").unwrap();
            if !about.is_empty() {
                writeln!(page, "{about}\n").unwrap();
            }
            writeln!(page, "| key | default | |\n|---|---|---|").unwrap();
            about.clear();
        } else if let Some(words) = line.strip_prefix("# ") {
            let space = if about.is_empty() { "" } else { " " };
            write!(about, "{space}{words}").unwrap();
        } else if let Some((key, value)) = line.split_once(" = ") {
            let value = if value == "\"\"" {
                String::new()
            } else {
                format!("`{value}`")
            };
            writeln!(
                page,
                "| `{key}` | {value} | {} |",
                about.replace('|', "\\|")
            )
            .unwrap();
            about.clear();
        }
    }
    page
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    let wanted = reference_page();
    if std::env::var_os("ZHENBEI_WRITE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        found, wanted,
        "docs/configuration.md is out of date: make docs"
    );
}
