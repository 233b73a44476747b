//! Rooms import only rooms before them.

use std::collections::BTreeSet;
use std::path::Path;

use super::{ROOMS, files, has_extension, no_complaints, root, text};

/// The words that come right after `crate::`, also in `crate::{a::X, b}`, comments left out.
fn names_from_root(code: &str, prefix: &str) -> Vec<String> {
    let code: String = code
        .lines()
        .map(|l| l.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect();
    let word = |s: &str| {
        s.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let mut depth = 0_i32;
        let mut start = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    names.push(word(&group[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The room of a file under `src/`: its folder, or its own name.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix("src").unwrap();
    inside
        .iter()
        .next()
        .unwrap()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

fn wrong_imports(path: &Path, code: &str) -> Vec<String> {
    let room = room_of(path);
    if room == "lib" {
        return Vec::new();
    }
    let Some(own) = ROOMS.iter().position(|r| *r == room) else {
        return vec![format!(
            "{}: `{room}` is not a room of tests/layers.rs",
            path.display()
        )];
    };
    // `super::` often enough reaches the root as well.
    let depth = path.components().count() - 1 - usize::from(path.ends_with("mod.rs"));
    let by_super = "super::".repeat(depth);
    let mut names = names_from_root(code, "crate::");
    if room == "main" {
        names.extend(names_from_root(code, "zhenbei::"));
    }
    names.extend(names_from_root(code, &by_super));
    let above = |n: &&String| {
        ROOMS
            .iter()
            .position(|r| r == *n)
            .is_some_and(|other| other > own)
    };
    let names: BTreeSet<&String> = names.iter().filter(above).collect();
    names
        .iter()
        .map(|n| {
            format!(
                "{}: `{room}` must not import `{n}`, which is above it",
                path.display()
            )
        })
        .collect()
}

#[test]
fn rooms_import_one_way() {
    let complaints: Vec<String> = files()
        .iter()
        .filter(|p| p.starts_with("src") && has_extension(p, &["rs"]))
        .flat_map(|p| wrong_imports(p, &text(p).unwrap()))
        .collect();
    no_complaints(&complaints);
}

#[test]
fn the_architecture_page_lists_the_rooms_in_this_order() {
    let page = text(Path::new("docs/architecture.md")).expect("docs/architecture.md");
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|l| {
            l.strip_prefix("| `")?
                .split_once("/` |")
                .map(|(room, _)| room)
        })
        .collect();
    let rooms: Vec<&str> = ROOMS.into_iter().filter(|r| *r != "main").collect();
    assert_eq!(listed, rooms);
    for room in rooms {
        assert!(
            root().join("src").join(room).is_dir(),
            "src/{room} is listed and does not exist"
        );
    }
}

#[test]
fn the_import_rule_can_fail() {
    let bad = |path: &str, code: &str| wrong_imports(Path::new(path), code).len();
    assert_eq!(bad("src/model/time.rs", "use crate::store::Database;"), 1);
    assert_eq!(
        bad(
            "src/model/time.rs",
            "use crate::{\n  model::X,\n  api::{a, b},\n  cmd,\n};"
        ),
        2
    );
    assert_eq!(
        bad(
            "src/store/database/mod.rs",
            "fn f() { crate::api::serve() }"
        ),
        1
    );
    assert_eq!(bad("src/model/time.rs", "use super::super::live::Wall;"), 1);
    assert_eq!(bad("src/cellar/mod.rs", ""), 1);
    assert_eq!(
        bad(
            "src/model/time.rs",
            "use super::Error; // not crate::api::X"
        ),
        0
    );
    assert_eq!(
        bad(
            "src/api/mod.rs",
            "use crate::model::Error; use crate::config::{Config, HttpConfig};"
        ),
        0
    );
    assert_eq!(bad("src/main.rs", "zhenbei::cmd::run()"), 0);
}
