//! The city as the GeoJSON of `GET /api/v1/basemap.geojson` (RFC 7946): `kind`, `class`, `name`, `name_en`.

use serde_json::{Map, Value, json};

use super::graph::RoadGraph;
use super::land::{Land, Ring};
use super::plane::Point;
use super::streets::{Line, Name};

pub(super) fn geojson(lines: &[Line], graph: &RoadGraph, land: &Land) -> String {
    let mut features = Vec::new();
    for (name, ring) in &land.districts {
        features.push(polygon("district", None, Some(*name), ring));
    }
    for (name, ring) in &land.green {
        features.push(polygon("green", None, *name, ring));
    }
    for (name, ring) in &land.water {
        features.push(polygon("water", None, Some(*name), ring));
    }
    for (name, ring) in &land.buildings {
        let class = if name.is_some() { "monument" } else { "house" };
        features.push(polygon("building", Some(class), *name, ring));
    }
    features.extend(roads(lines, graph));
    for (name, class, p) in &land.places {
        features.push(feature(
            properties("place", Some(class), Some(*name)),
            json!({"type": "Point", "coordinates": position(*p)}),
        ));
    }
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

/// One feature a street, small streets first so that large ones are painted over them.
fn roads(lines: &[Line], graph: &RoadGraph) -> Vec<Value> {
    let mut by_line: Vec<Vec<usize>> = lines.iter().map(|_| Vec::new()).collect();
    for (i, e) in graph.edges.iter().enumerate() {
        by_line[e.line].push(i);
    }
    let mut out: Vec<(super::RoadClass, Value)> = Vec::new();
    for (line, edges) in lines.iter().zip(by_line) {
        let chains = chains(graph, &edges);
        if chains.is_empty() {
            continue;
        }
        let coordinates: Vec<Value> = chains
            .iter()
            .map(|chain| chain.iter().map(|n| position(graph.nodes[*n])).collect())
            .collect();
        let value = feature(
            properties("road", Some(line.class.as_str()), line.name),
            json!({"type": "MultiLineString", "coordinates": coordinates}),
        );
        out.push((line.class, value));
    }
    out.sort_by_key(|(class, _)| *class);
    out.into_iter().map(|(_, v)| v).collect()
}

/// Edges of one street joined end to end. They were added in the order they are passed.
fn chains(graph: &RoadGraph, edges: &[usize]) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for i in edges {
        let e = &graph.edges[*i];
        if let Some(last) = chains.last_mut() {
            if last.last() == Some(&e.a) {
                last.push(e.b);
                continue;
            }
            if last.last() == Some(&e.b) {
                last.push(e.a);
                continue;
            }
        }
        chains.push(vec![e.a, e.b]);
    }
    chains
}

fn polygon(kind: &str, class: Option<&str>, name: Option<Name>, ring: &Ring) -> Value {
    let mut ring = ring.clone();
    // RFC 7946 §3.1.6: exterior rings run counterclockwise.
    let area: f64 = (0..ring.len())
        .map(|i| ring[i].cross(ring[(i + 1) % ring.len()]))
        .sum();
    if area < 0.0 {
        ring.reverse();
    }
    let mut positions: Vec<Value> = ring.iter().map(|p| position(*p)).collect();
    positions.extend(positions.first().cloned());
    feature(
        properties(kind, class, name),
        json!({"type": "Polygon", "coordinates": [positions]}),
    )
}

fn feature(properties: Map<String, Value>, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

fn properties(kind: &str, class: Option<&str>, name: Option<Name>) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("kind".into(), kind.into());
    if let Some(class) = class {
        map.insert("class".into(), class.into());
    }
    if let Some((zh, en)) = name {
        map.insert("name".into(), zh.into());
        map.insert("name_en".into(), en.into());
    }
    map
}

/// Five decimals are a metre; six would be paint.
fn position(p: Point) -> Value {
    let g = p.to_geo();
    let round = |v: f64| (v * 1e5).round() / 1e5;
    json!([round(g.lon), round(g.lat)])
}
