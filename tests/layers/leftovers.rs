//! Nothing of the building site stays: no address of one machine or registry, nothing half done.

use std::path::Path;

use super::{files, has_extension, no_complaints, text};

/// Written apart, so that this file does not contain them.
fn unwanted_words() -> Vec<String> {
    let pairs = [
        ("/wo", "rk/"),
        ("/tmp/", "w/"),
        ("/ro", "ot/"),
        (".lib", "rary"),
        ("far", "m-"),
        ("artifac", "tory"),
        ("index.cra", "tes"),
        ("static.cra", "tes"),
        ("registry.npm", "js"),
        ("deb.deb", "ian"),
        ("pythonhos", "ted"),
        ("proxy.gol", "ang"),
    ];
    pairs.iter().map(|(a, b)| format!("{a}{b}")).collect()
}

/// `(what, in which files, what to do)`, written apart as well.
fn unfinished() -> Vec<(String, &'static [&'static str])> {
    let rust: &[&str] = &["rs"];
    let web: &[&str] = &["ts", "mjs", "vue"];
    [
        ("todo!", "(", rust),
        ("unimplemented!", "(", rust),
        ("#[ign", "ore", rust),
        ("FIX", "ME", rust),
        ("FIX", "ME", web),
        ("test.sk", "ip(", web),
        ("it.sk", "ip(", web),
        ("describe.sk", "ip(", web),
        ("test.on", "ly(", web),
        ("it.on", "ly(", web),
        ("@ts-ign", "ore", web),
    ]
    .iter()
    .map(|(a, b, kinds)| (format!("{a}{b}"), *kinds))
    .collect()
}

fn unwanted(path: &Path, content: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let place = || format!("{}:{}", path.display(), index + 1);
        for word in unwanted_words()
            .iter()
            .filter(|w| line.contains(w.as_str()))
        {
            complaints.push(format!(
                "{}: `{word}` belongs to one machine or one registry",
                place()
            ));
        }
        for (word, kinds) in unfinished() {
            if has_extension(path, kinds) && line.contains(&word) {
                complaints.push(format!("{}: `{word}`: finish it or take it out", place()));
            }
        }
    }
    complaints
}

#[test]
fn nothing_of_the_building_site_stays() {
    let complaints: Vec<String> = files()
        .iter()
        .flat_map(|p| unwanted(p, &text(p).unwrap_or_default()))
        .collect();
    no_complaints(&complaints);
}

#[test]
fn the_rule_for_leftovers_can_fail() {
    for word in unwanted_words() {
        assert_eq!(
            unwanted(Path::new("a.md"), &format!("see {word}x")).len(),
            1,
            "{word}"
        );
    }
    for (word, kinds) in unfinished() {
        let file = format!("a.{}", kinds[0]);
        assert_eq!(
            unwanted(Path::new(&file), &format!("  {word}")).len(),
            1,
            "{word}"
        );
    }
    assert!(unwanted(Path::new("a.rs"), "lines().skip(1)").is_empty());
}
