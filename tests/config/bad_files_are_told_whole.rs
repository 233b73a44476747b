//! Every mistake is told, with its line and what to do.

use std::path::Path;

use zhenbei::config::load;

use crate::{config, refusal};

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = refusal(
        "[http]\nlistn = \"0.0.0.0:80\"\nmetrics_public = \"yes\"\n\n[archive]\nretention_days = -1\nsegment_ms = 2.5\n\n\
         [nonsense]\na = 1\n",
    );
    let expected = "\
zhenbei.toml has 5 errors:
  zhenbei.toml:2: [http] listn: there is no such key; did you mean `listen`?
  zhenbei.toml:3: [http] metrics_public: takes true or false, not text; write it like: metrics_public = true
  zhenbei.toml:6: [archive] retention_days: -1 is outside 0 (not included) to 36500
  zhenbei.toml:7: [archive] segment_ms: takes a whole number, not negative, not a number with a fraction; write it like: segment_ms = 60000
  zhenbei.toml:9: [nonsense]: there is no such key; known are: site, http, data, database, redis, mqtt, video, archive, media, fleet, access, map, log";
    assert_eq!(text, expected);
}

#[test]
fn values_out_of_range_are_told_together() {
    let text = refusal(
        "[site]\ncenter = [200, 38]\nzoom = 30\n[archive]\nretention_days = -1\nsegment_ms = 1000\nfragment_max_ms = 2000\n\
         [access]\nsession_hours = 0\n[log]\nfilter = \"zhenbei=loud\"\n",
    );
    for part in [
        "zhenbei.toml:2: [site] center: longitude 200 is outside -180..180 degrees; write [longitude, latitude]",
        "zhenbei.toml:3: [site] zoom: 30 is outside 0 to 22",
        "zhenbei.toml:5: [archive] retention_days: -1 is outside 0 (not included) to 36500",
        "zhenbei.toml:6: [archive] segment_ms: 1000 is less than fragment_max_ms, which is 2000",
        "zhenbei.toml:9: [access] session_hours: 0 is outside 1 to 720",
        "zhenbei.toml:11: [log] filter: `zhenbei=loud`:",
    ] {
        assert!(text.contains(part), "{part}\nnot in\n{text}");
    }
}

#[test]
fn what_is_not_toml_says_where() {
    let text = refusal("[http]\nlisten = 127.0.0.1:8080\n");
    assert!(text.contains("zhenbei.toml:2: not TOML: "), "{text}");
    let text = refusal("[http]\nlisten = \"a:1\"\nlisten = \"b:1\"\n");
    assert!(
        text.contains("zhenbei.toml:3: not TOML: duplicate key"),
        "{text}"
    );
}

#[test]
fn a_value_of_the_right_kind_that_does_not_fit_shows_how_to_write_it() {
    let text = refusal("[http]\nlisten = \"everywhere\"\n[log]\nformat = \"xml\"\n");
    assert!(text.contains("zhenbei.toml:2: [http] listen: invalid socket address syntax; write it like: listen = \"127.0.0.1:8080\""), "{text}");
    assert!(
        text.contains(
            "zhenbei.toml:4: [log] format: unknown variant `xml`, expected `text` or `json`"
        ),
        "{text}"
    );
}

#[test]
fn brokers_are_told_apart() {
    let text = refusal(
        "[[mqtt]]\nurl = \"mqtt://broker\"\n[[mqtt]]\nurl = \"mqtt://broker:1883\"\n[[mqtt]]\ntopics = [\"fleet/#\"]\n\
         [[mqtt]]\nurl = \"http://broker\"\nclient_id = \"b\"\ntopics = [\"{vehicle}/a+\", \"truck-{vehicle}/x\"]\n",
    );
    for part in [
        "zhenbei.toml:3: [[mqtt]] 2 client_id: `zhenbei` is used for the same broker by entry 1 already",
        "zhenbei.toml:5: [[mqtt]] 3 url: is missing",
        "zhenbei.toml:6: [[mqtt]] 3 topics: `fleet/#`: must hold {vehicle} exactly once",
        "zhenbei.toml:8: [[mqtt]] 4 url: `http://broker/` is not an address of a kind known here",
        "[[mqtt]] 4 topics: `{vehicle}/a+`: + and # must be levels of their own",
        "[[mqtt]] 4 topics: `truck-{vehicle}/x`: {vehicle} must be a level of its own",
    ] {
        assert!(text.contains(part), "{part}\nnot in\n{text}");
    }
}

#[test]
fn a_mistyped_key_of_a_broker_is_found() {
    let text = refusal("[[mqtt]]\nurl = \"mqtt://broker\"\nclientid = \"x\"\n");
    assert!(
        text.contains(
            "zhenbei.toml:3: [[mqtt]] 1 clientid: there is no such key; did you mean `client_id`?"
        ),
        "{text}"
    );
}

#[test]
fn passwords_are_never_shown() {
    for text in [
        "[database]\nurl = \"mysql://root:hunter2@db/x\"\n",
        "[redis]\nurl = \"memcached://:hunter2@cache\"\n",
        "[[mqtt]]\nurl = \"amqp://u:hunter2@broker\"\n",
    ] {
        let told = refusal(text);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("***"), "{told}");
    }
}

#[test]
fn little_retention_and_an_open_port_are_warnings() {
    let loaded =
        config("[http]\nlisten = \"0.0.0.0:8080\"\n[archive]\nretention_days = 7\n").unwrap();
    let lines: Vec<String> = loaded.warning_lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0]
            .starts_with("zhenbei.toml:2: [http] listen: reachable from the network without TLS"),
        "{lines:?}"
    );
    assert!(lines[1].contains("Decree 799"), "{lines:?}");
    assert_eq!(config("").unwrap().warnings, vec![]);
}

#[test]
fn a_map_needs_what_its_kind_needs() {
    let text = refusal("[map]\nkind = \"xyz\"\nurl = \"http://tiles/{z}/{x}.png\"\n");
    assert!(text.contains("[map] url: must be a tile address"), "{text}");
    let text = refusal("[map]\nkind = \"pmtiles\"\nurl = \"../city.pmtiles\"\n");
    assert!(
        text.contains("zhenbei.toml:3: [map] url: must be the name of a file"),
        "{text}"
    );
    assert!(text.contains("[map] dir: is missing"), "{text}");
    let text = refusal("[map]\ndir = \"/nowhere/at/all\"\n");
    assert!(text.contains("/nowhere/at/all is not a folder"), "{text}");
}

#[test]
fn a_missing_file_says_what_to_do() {
    let told = load(Path::new("/nowhere/zhenbei.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("/nowhere/zhenbei.toml: there is no such file; copy config/zhenbei.toml"),
        "{told}"
    );
}

/// `check-config` must not pass what the daemon then refuses, or the other way round.
#[test]
fn topics_are_judged_as_the_fleet_judges_them() {
    for topic in [
        "fleet/{vehicle}/position",
        "{vehicle}",
        "+/{vehicle}/#",
        "$share/group/{vehicle}/x",
        "$share/gr+up/{vehicle}/x",
        "$share/{vehicle}",
        "$share//{vehicle}",
        "",
        "fleet/#",
        "#/{vehicle}",
        "{vehicle}/a#",
        "{vehicle}/+a",
        "{vehicle}/{vehicle}",
        "truck-{vehicle}",
        "{vehicle}/{other}",
        "/{vehicle}/",
    ] {
        let file = format!("[[mqtt]]\nurl = \"mqtt://broker\"\ntopics = [\"{topic}\"]\n");
        let fleet = zhenbei::fleet::topic::TopicFilter::parse(topic);
        assert_eq!(config(&file).is_ok(), fleet.is_ok(), "{topic}: {fleet:?}");
    }
}

#[test]
fn what_comes_later_is_refused_not_swallowed() {
    let text = refusal("[jt808]\nlisten = \"0.0.0.0:7808\"\n");
    assert!(
        text.contains("zhenbei.toml:1: [jt808]: is not supported yet by this version"),
        "{text}"
    );
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let text = refusal("[data]\ndir = \"/etc/group\"\n[archive]\ndir = \"/etc/passwd\"\n");
    assert!(
        text.contains("zhenbei.toml:2: [data] dir: /etc/group is a file"),
        "{text}"
    );
    assert!(
        text.contains("zhenbei.toml:4: [archive] dir: /etc/passwd is a file"),
        "{text}"
    );
}
