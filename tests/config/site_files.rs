//! `SITE.toml`: cameras and vehicles, or everything that is wrong with them.

use std::path::Path;

use zhenbei::config::{Environment, Site, parse_site};
use zhenbei::model::VehicleClass;

const EXAMPLE: &str = include_str!("../../config/site.example.toml");

fn site(text: &str) -> Result<Site, String> {
    let env = Environment::of(&[("CAM_PW", "hunter2")]);
    parse_site(Path::new("site.toml"), text, &env).map_err(|e| e.to_string())
}

#[test]
fn the_example_is_a_site() {
    let site = site(EXAMPLE).unwrap();
    let camera = &site.cameras[0];
    assert_eq!(camera.id.as_str(), "cam-001");
    assert_eq!(camera.name, "榆阳广场 东");
    assert_eq!((camera.place.lon, camera.place.lat), (109.7345, 38.2852));
    assert_eq!(
        camera.sub.as_ref().unwrap().reveal(),
        "rtsp://user:pass@192.0.2.1:554/sub"
    );
    assert!(camera.record);
    assert_eq!(site.vehicles[0].plate.as_deref(), Some("陕K12345"));
    assert_eq!(site.vehicles[0].class, VehicleClass::Muck);
}

const LITTLE: &str = "[[cameras]]\nid = \"34020000001320000001\"\nlon = 110\nlat = 38\narea = \"610802\"\nmain = \"rtsp://u:${CAM_PW}@h/1\"\n";

#[test]
fn little_is_enough_and_secrets_are_put_in() {
    let site = site(LITTLE).unwrap();
    let camera = &site.cameras[0];
    assert_eq!(camera.name, "34020000001320000001");
    assert_eq!(camera.main.reveal(), "rtsp://u:hunter2@h/1");
    assert!(camera.record && camera.sub.is_none() && camera.heading_deg.is_none());
}

#[test]
fn an_empty_site_is_a_site() {
    assert_eq!(site("").unwrap(), Site::default());
}

#[test]
fn everything_wrong_is_told_with_its_line() {
    let told = site(
        "[[cameras]]\nid = \"a/b\"\nlon = 190\nlat = 38\narea = \"610802\"\nmain = \"http://cam/1\"\n\
         [[cameras]]\nid = \"cam\"\nlon = 109\narea = \"610802\"\nheading_deg = 400\nmain = \"rtsps://u:hunter2@cam/1\"\n\
         [[cameras]]\nid = \"cam\"\nlon = 109\nlat = 38\narea = \"610802\"\nmain = \"rtsp://cam/1\"\n\
         [[vehicles]]\nplate = \"陕K1\"\n[[vehicles]]\nid = \"t\"\n[[vehicles]]\nid = \"t\"\n",
    )
    .unwrap_err();
    for part in [
        "site.toml:2: [[cameras]] 1 id: `a/b` cannot be the id of a camera",
        "site.toml:3: [[cameras]] 1 lon: longitude 190 is outside",
        "site.toml:6: [[cameras]] 1 main: `http://cam/1` is not an RTSP address",
        "site.toml:7: [[cameras]] 2 lat: is missing: latitude in WGS-84 degrees",
        "site.toml:11: [[cameras]] 2 heading_deg: must be 0 to 360 degrees",
        "site.toml:12: [[cameras]] 2 main: an rtsps:// address goes with transport `tls` or `auto`",
        "site.toml:14: [[cameras]] 3 id: camera 2 has the same id",
        "site.toml:19: [[vehicles]] 1 id: is missing",
        "site.toml:24: [[vehicles]] 3 id: vehicle 2 has the same id",
    ] {
        assert!(told.contains(part), "{part}\nnot in\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn unknown_keys_and_kinds_are_refused() {
    let told = site(&format!(
        "{LITTLE}latt = 3\ntransport = \"smoke\"\nrecord = \"yes\"\n"
    ))
    .unwrap_err();
    for part in [
        "site.toml:7: [[cameras]] 1 latt: there is no such key; did you mean `lat`?",
        "site.toml:8: [[cameras]] 1 transport: unknown variant `smoke`, expected one of `tcp`, `auto`, `udp`",
        "site.toml:9: [[cameras]] 1 record: takes true or false, not text; write it like: record = true",
    ] {
        assert!(told.contains(part), "{part}\nnot in\n{told}");
    }
}

#[test]
fn policies_are_read_and_wrong_ones_are_told_with_their_line() {
    let read = site(&format!(
        "{LITTLE}transport = \"multicast\"\n[cameras.policies]\ntimestamp_jump = \"rebase\"\ntls = \"insecure\"\n"
    ))
    .unwrap();
    let camera = &read.cameras[0];
    assert_eq!(camera.transport, zhenbei::model::Transport::Multicast);
    assert_eq!(
        camera.policies.to_json().to_string(),
        r#"{"timestamp_jump":"rebase","tls":"insecure"}"#
    );
    let told = site(&format!(
        "{LITTLE}[cameras.policies]\nteardown = \"perhaps\"\ntls = \"sha256:12\"\npatience = 3\n"
    ))
    .unwrap_err();
    for part in [
        "site.toml:8: [[cameras]] 1 policies.teardown: unknown variant `perhaps`, expected one of `auto`, `always`, `never`",
        "site.toml:10: [[cameras]] 1 policies.patience: there is no such key",
        "policies: tls must be `system`, `insecure`, or `sha256:`",
    ] {
        assert!(told.contains(part), "{part}\nnot in\n{told}");
    }
}

#[test]
fn what_comes_later_is_refused_not_swallowed() {
    let told = site("[[geofences]]\nname = \"x\"\n[[camera]]\nid = \"x\"\n").unwrap_err();
    assert!(
        told.contains("site.toml:1: [geofences]: is not supported yet by this version"),
        "{told}"
    );
    assert!(
        told.contains("site.toml:3: [camera]: there is no such key; did you mean `cameras`?"),
        "{told}"
    );
}

#[test]
fn a_large_site_is_read_in_a_moment_and_a_thousand_mistakes_are_told_short() {
    let camera = |n: usize, lon: usize| {
        format!(
            "[[cameras]]\nid = \"c{n}\"\nlon = {lon}\nlat = 38\narea = \"610802\"\nmain = \"rtsp://h/{n}\"\n"
        )
    };
    let started = std::time::Instant::now();
    let good: String = (0..3_000).map(|n| camera(n, 109)).collect();
    assert_eq!(site(&good).unwrap().cameras.len(), 3_000);
    let bad: String = (0..1_000).map(|n| camera(n, 190)).collect();
    let told = site(&bad).unwrap_err();
    assert!(told.starts_with("site.toml has 1000 errors:"), "{told}");
    assert!(told.ends_with("\n  … and 900 more"), "{told}");
    assert_eq!(told.lines().count(), 102);
    // Unoptimised on a busy machine; a reader that counts lines from the top for each key takes minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
