use zhenbei::demo::City;
#[test]
fn dump() {
    let t = std::time::Instant::now();
    let c = City::new(7);
    eprintln!("{:?} nodes {} edges {} bytes {}", t.elapsed(), c.roads.nodes.len(), c.roads.edges.len(), c.basemap_geojson().len());
    std::fs::write("/tmp/w/city.geojson", c.basemap_geojson()).unwrap();
}
