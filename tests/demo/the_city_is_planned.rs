//! The plan: the same every time, connected, and a map that pages can draw.

use std::collections::BTreeMap;

use serde_json::Value;
use zhenbei::demo::City;

#[test]
fn a_seed_gives_the_same_city_and_another_seed_another() {
    let (one, two, other) = (City::new(7), City::new(7), City::new(8));
    assert_eq!(one.basemap_geojson(), two.basemap_geojson());
    assert_ne!(one.basemap_geojson(), other.basemap_geojson());
}

#[test]
fn every_crossing_can_be_reached_from_every_other() {
    let city = City::new(7);
    let roads = &city.roads;
    assert!(roads.nodes.len() > 2_000 && roads.edges.len() > roads.nodes.len());
    let mut seen = vec![false; roads.nodes.len()];
    let mut todo = vec![0];
    seen[0] = true;
    while let Some(node) = todo.pop() {
        for edge in &roads.at[node] {
            let next = roads.other_end(*edge, node);
            if !std::mem::replace(&mut seen[next], true) {
                todo.push(next);
            }
        }
    }
    assert!(seen.iter().all(|s| *s));
    for node in (0..roads.nodes.len()).step_by(600) {
        let way = roads.route(0, node);
        assert_eq!((way.first(), way.last()), (Some(&0), Some(&node)));
        assert!(
            way.windows(2)
                .all(|w| roads.edge_between(w[0], w[1]).is_some())
        );
    }
}

#[test]
fn the_base_map_is_geojson_with_the_agreed_properties_and_below_two_megabytes() {
    let city = City::new(7);
    let text = city.basemap_geojson();
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
    let map: Value = serde_json::from_str(text).unwrap();
    assert_eq!(map["type"], "FeatureCollection");
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for f in map["features"].as_array().unwrap() {
        let kind = f["properties"]["kind"].as_str().unwrap();
        *kinds.entry(kind.to_owned()).or_default() += 1;
        let geometry = &f["geometry"];
        let wanted = match kind {
            "road" => "MultiLineString",
            "place" => "Point",
            _ => "Polygon",
        };
        assert_eq!(geometry["type"], wanted, "{kind}");
        if kind == "road" {
            let class = f["properties"]["class"].as_str().unwrap();
            assert!(["trunk", "primary", "secondary", "residential"].contains(&class));
        }
        if ["district", "place", "water"].contains(&kind) {
            assert!(f["properties"]["name"].is_string() && f["properties"]["name_en"].is_string());
        }
        if wanted == "Polygon" {
            for ring in geometry["coordinates"].as_array().unwrap() {
                let ring = ring.as_array().unwrap();
                assert!(ring.len() >= 4 && ring.first() == ring.last(), "{f}");
            }
        }
        each_position(&geometry["coordinates"], &mut |lon, lat| {
            assert!(
                (109.5..110.0).contains(&lon) && (38.1..38.5).contains(&lat),
                "{lon} {lat}"
            );
        });
    }
    for (kind, least) in [
        ("road", 100),
        ("building", 1_000),
        ("district", 8),
        ("water", 2),
        ("green", 8),
        ("place", 10),
    ] {
        assert!(kinds[kind] >= least, "{kind}: {kinds:?}");
    }
}

fn each_position(value: &Value, check: &mut impl FnMut(f64, f64)) {
    let items = value.as_array().unwrap();
    if let Some(lon) = items[0].as_f64() {
        check(lon, items[1].as_f64().unwrap());
        return;
    }
    items.iter().for_each(|v| each_position(v, check));
}
