//! The environment over the file, secrets into it, and paths seen from it.

use std::path::Path;

use zhenbei::config::{Environment, load, parse};

use crate::{config, config_with};

#[test]
fn a_variable_overrides_the_file() {
    let env = [
        ("ZHENBEI_HTTP__LISTEN", "127.0.0.1:9999"),
        ("ZHENBEI_ARCHIVE__SEGMENT_MS", "30000"),
        ("ZHENBEI_SITE__CENTER", "[110.0, 39.0]"),
        ("ZHENBEI_HTTP__METRICS_PUBLIC", "false"),
        (
            "ZHENBEI_MQTT",
            "[{url = \"mqtt://broker\", client_id = \"env\"}]",
        ),
        // Not a key: one underscore.
        ("ZHENBEI_URL", "http://elsewhere"),
    ];
    let c = config_with("[http]\nlisten = \"127.0.0.1:1\"\n", &env)
        .unwrap()
        .config;
    assert_eq!(c.http.listen.port(), 9999);
    assert_eq!(c.archive.segment_ms, 30_000);
    assert_eq!(c.site.center, [110.0, 39.0]);
    assert!(!c.http.metrics_public);
    assert_eq!(c.mqtt[0].client_id, "env");
}

#[test]
fn a_wrong_variable_is_told_by_its_name() {
    let env = [
        ("ZHENBEI_HTTP__LISTN", "x"),
        ("ZHENBEI_HTTP__LISTEN", "nowhere"),
        ("ZHENBEI_ARCHIVE__SEGMENT_MS", "long"),
        ("ZHENBEI_MQTT__URL", "mqtt://x"),
    ];
    let told = config_with("", &env).unwrap_err().to_string();
    for part in [
        "environment variable ZHENBEI_HTTP__LISTN: [http] listn: there is no such key; did you mean ZHENBEI_HTTP__LISTEN?",
        "environment variable ZHENBEI_HTTP__LISTEN: [http] listen: invalid socket address",
        "environment variable ZHENBEI_ARCHIVE__SEGMENT_MS: [archive] segment_ms: takes a whole number",
        "environment variable ZHENBEI_MQTT__URL: [mqtt] url: a list of tables is set as a whole",
    ] {
        assert!(told.contains(part), "{part}\nnot in\n{told}");
    }
}

#[test]
fn a_range_broken_by_a_variable_names_the_variable() {
    let told = config_with("", &[("ZHENBEI_ACCESS__SESSION_HOURS", "0")])
        .unwrap_err()
        .to_string();
    assert!(told.contains("environment variable ZHENBEI_ACCESS__SESSION_HOURS: [access] session_hours: 0 is outside"), "{told}");
}

#[test]
fn secrets_come_from_variables_and_files() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("broker.pw"), "f1le\n").unwrap();
    let text = "[database]\nurl = \"postgres://z:${DB_PW}@db/z\"\n[[mqtt]]\nurl = \"mqtt://u:${file:broker.pw}@broker\"\n";
    let env = Environment::of(&[("DB_PW", "env1")]);
    let c = parse(&dir.path().join("zhenbei.toml"), text, &env)
        .unwrap()
        .config;
    assert_eq!(c.database.url.unwrap().reveal(), "postgres://z:env1@db/z");
    assert_eq!(c.mqtt[0].url.reveal(), "mqtt://u:f1le@broker");
}

#[test]
fn a_missing_secret_is_told_with_its_line_and_without_others() {
    let text = "[database]\nurl = \"postgres://z:${DB_PW}@db/z\"\n[http]\nlisten = \"${GOOD}\"\n";
    let told = config_with(text, &[("GOOD", "hunter2")])
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("zhenbei.toml:2: [database] url: the environment variable DB_PW is not set"),
        "{told}"
    );
    assert!(
        told.contains("zhenbei.toml:4: [http] listen: takes text in quotes; what stands behind"),
        "{told}"
    );
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn paths_are_seen_from_the_folder_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("ui")).unwrap();
    let file = dir.path().join("zhenbei.toml");
    std::fs::write(
        &file,
        "[data]\ndir = \"data\"\n[archive]\ndir = \"/srv/video\"\n[http]\nui_dir = \"ui\"\n",
    )
    .unwrap();
    let c = load(&file).unwrap().config;
    assert_eq!(c.data.dir, dir.path().join("data"));
    assert_eq!(c.archive.dir.as_deref(), Some(Path::new("/srv/video")));
    assert_eq!(c.http.ui_dir, Some(dir.path().join("ui")));
}

#[test]
fn empty_text_is_not_set() {
    let c = config("[redis]\nurl = \"\"\n[archive]\ndir = \"\"\n")
        .unwrap()
        .config;
    assert_eq!((c.redis.url, c.archive.dir), (None, None));
}
