//! `docs/alerts/zhenbei.rules.yml`: every metric and label in it exists, every expression is whole, every rule has its words.

use std::path::Path;

use zhenbei::model::GapCause;
use zhenbei::telemetry::{Kind, Metric};

use super::{no_complaints, text};

const RULES: &str = "docs/alerts/zhenbei.rules.yml";
const PAGE: &str = "docs/alerts.md";

#[derive(Debug, Default, Clone)]
struct Rule {
    line: usize,
    alert: String,
    expr: String,
    /// Other keys, in the order they stand.
    keys: Vec<String>,
    severity: String,
    summary: String,
    runbook: String,
}

/// The rules of a file that is written as ours is: one key a line, indented by two, values on the same line.
fn rules(file: &str) -> Result<Vec<Rule>, String> {
    let mut found: Vec<Rule> = Vec::new();
    for (index, line) in file.lines().enumerate() {
        let bare = line.trim_start();
        let indent = line.len() - bare.len();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let at = |why: &str| format!("{RULES}:{}: {why}: {line}", index + 1);
        if line.contains('\t') {
            return Err(at("a tab"));
        }
        let (item, bare) = match bare.strip_prefix("- ") {
            Some(rest) => (true, rest),
            None => (false, bare),
        };
        let (key, value) = bare.split_once(':').ok_or_else(|| at("not `key: value`"))?;
        let value = value.trim();
        match (indent, item, key) {
            (0, false, "groups") | (2, true, "name") | (4, false, "rules") => {}
            (6, true, "alert") => found.push(Rule {
                line: index + 1,
                alert: value.to_owned(),
                ..Rule::default()
            }),
            (8, false, _) => {
                let rule = found.last_mut().ok_or_else(|| at("outside a rule"))?;
                rule.keys.push(key.to_owned());
                if key == "expr" {
                    value.clone_into(&mut rule.expr);
                }
            }
            (10, false, _) => {
                let rule = found.last_mut().ok_or_else(|| at("outside a rule"))?;
                let value = value.trim_matches('"').to_owned();
                match key {
                    "severity" => rule.severity = value,
                    "summary" => rule.summary = value,
                    "runbook" => rule.runbook = value,
                    _ => return Err(at("an unknown key")),
                }
            }
            _ => return Err(at("stands where no rule of ours has anything")),
        }
    }
    Ok(found)
}

/// Words and signs of an expression, texts as one.
fn tokens(expr: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = expr;
    while let Some(c) = rest.chars().next() {
        let n = if c == '"' {
            rest[1..].find('"').map_or(rest.len(), |n| n + 2)
        } else if c.is_ascii_alphanumeric() || c == '_' {
            let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.');
            rest.find(word).unwrap_or(rest.len())
        } else {
            c.len_utf8()
        };
        if !c.is_whitespace() {
            out.push(rest[..n].to_owned());
        }
        rest = &rest[n..];
    }
    out
}

fn metric(word: &str) -> Option<Metric> {
    let find = |name: &str| Metric::ALL.iter().copied().find(|m| m.name() == name);
    find(word)
        .filter(|m| m.kind() != Kind::Histogram)
        .or_else(|| {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| word.strip_suffix(end))?;
            find(base).filter(|m| m.kind() == Kind::Histogram)
        })
}

fn complaints(rules: &[Rule], page: &str) -> Vec<String> {
    let mut out = Vec::new();
    for rule in rules {
        let mut say =
            |why: String| out.push(format!("{RULES}:{}: {}: {why}", rule.line, rule.alert));
        let words = tokens(&rule.expr);
        let mut open: Vec<&str> = Vec::new();
        let mut labels: Vec<&str> = vec!["le"];
        let mut metrics = 0;
        for word in &words {
            match word.as_str() {
                "(" | "[" | "{" => open.push(word),
                ")" | "]" | "}" => {
                    let fits = match open.pop() {
                        Some("(") => word == ")",
                        Some("[") => word == "]",
                        Some("{") => word == "}",
                        _ => false,
                    };
                    if !fits {
                        say(format!("`{word}` closes nothing"));
                    }
                }
                name if name.starts_with("zhenbei_") => match metric(name) {
                    Some(m) => {
                        metrics += 1;
                        labels.extend(m.labels());
                    }
                    None => say(format!("there is no metric `{name}`")),
                },
                _ => {}
            }
        }
        if !open.is_empty() || metrics == 0 {
            say("its expression is not whole".into());
        }
        // Labels: in `by (…)`, `on (…)`, before `=`, and in the summary.
        let mut named: Vec<String> = Vec::new();
        for (i, word) in words.iter().enumerate() {
            if matches!(word.as_str(), "by" | "on") {
                let inside = words[i + 1..].iter().take_while(|w| *w != ")");
                named.extend(inside.filter(|w| !matches!(w.as_str(), "(" | ",")).cloned());
            }
            if word == "="
                && words
                    .get(i + 1)
                    .is_some_and(|w| w == "~" || w.starts_with('"'))
            {
                named.extend(words.get(i.wrapping_sub(1)).cloned());
                let value = words[i + 1..].iter().find(|w| w.starts_with('"'));
                let values = value.map(|v| v.trim_matches('"')).unwrap_or_default();
                for cause in values.split('|').filter(|_| words[i - 1] == "cause") {
                    if GapCause::parse(cause).is_none() {
                        say(format!("no gap has the cause `{cause}`"));
                    }
                }
            }
        }
        named.extend(
            rule.summary
                .split("$labels.")
                .skip(1)
                .filter_map(|s| s.split([' ', '}']).next())
                .map(str::to_owned),
        );
        for label in named.iter().filter(|l| !labels.contains(&l.as_str())) {
            say(format!("none of its metrics has the label `{label}`"));
        }
        if !matches!(rule.severity.as_str(), "warning" | "critical") || rule.summary.is_empty() {
            say("says not how grave it is, or what".into());
        }
        for key in &rule.keys {
            if !matches!(key.as_str(), "expr" | "for" | "labels" | "annotations") {
                say(format!("unknown key `{key}`"));
            }
        }
        let anchor = format!("{PAGE}#{}", rule.alert.to_lowercase());
        let heading = format!("\n## {}\n", rule.alert);
        if rule.runbook != anchor || !page.contains(&heading) {
            say(format!("{PAGE} does not say what to do"));
        }
    }
    for heading in page.lines().filter_map(|l| l.strip_prefix("## ")) {
        if !rules.iter().any(|r| r.alert == heading) {
            out.push(format!("{PAGE}: no rule is called {heading}"));
        }
    }
    out
}

#[test]
fn every_rule_can_fire_and_has_its_words() {
    let (file, page) = (
        text(Path::new(RULES)).unwrap(),
        text(Path::new(PAGE)).unwrap(),
    );
    let rules = rules(&file).unwrap();
    assert!(rules.len() >= 12, "{}", rules.len());
    no_complaints(&complaints(&rules, &page));
}

#[test]
fn bad_rules_are_found() {
    let page = "x\n## A\n";
    let said = |expr: &str| {
        let rule = Rule {
            alert: "A".into(),
            expr: expr.into(),
            severity: "warning".into(),
            summary: "s".into(),
            runbook: "docs/alerts.md#a".into(),
            ..Rule::default()
        };
        complaints(&[rule], page).join("; ")
    };
    assert_eq!(said("zhenbei_archive_free_bytes < 5"), "");
    assert!(said("zhenbei_archive_fre_bytes < 5").contains("no metric"));
    assert!(said("(zhenbei_archive_free_bytes < 5").contains("not whole"));
    assert!(said("sum by (camera) (zhenbei_archive_free_bytes)").contains("label `camera`"));
    assert!(said("zhenbei_archive_sync_seconds > 1").contains("no metric"));
    assert!(said("zhenbei_archive_gaps_total{cause=\"tired\"} > 1").contains("cause `tired`"));
    assert!(rules("groups:\n  nonsense\n").is_err());
}
