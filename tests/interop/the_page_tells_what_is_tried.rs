//! `docs/cameras-interop.md` names every fixture with what comes of it, and no fixture that is not there.

use std::collections::BTreeMap;
use std::path::Path;

use crate::exchange::{Device, Outcome};

#[test]
fn each_fixture_has_its_row() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cameras-interop.md");
    let page = std::fs::read_to_string(page).unwrap();
    let rows: BTreeMap<&str, &str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .filter(|(name, _)| !name.contains('/'))
        .collect();
    let devices = Device::all();
    let mut wrong = Vec::new();
    for device in &devices {
        let result = match device.outcome() {
            Outcome::Record if device.says("back-end") == Some("second") => {
                "recorded, by the second back-end"
            }
            Outcome::Record => "recorded |",
            Outcome::Refuse { .. } => "refused",
        };
        let row = format!(
            "{} | {} | {result}",
            device.says("device").unwrap(),
            device.says("quirk").unwrap()
        );
        if !rows
            .get(device.name.as_str())
            .is_some_and(|r| r.starts_with(&row))
        {
            wrong.push(format!("| `{}` | {row} |", device.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "docs/cameras-interop.md must have:\n{}",
        wrong.join("\n")
    );
    for name in rows.keys() {
        let there = devices.iter().any(|d| d.name == *name);
        assert!(
            there,
            "docs/cameras-interop.md tells of `{name}`, which is no fixture"
        );
    }
}
