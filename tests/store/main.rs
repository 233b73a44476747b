use zhenbei::model::*;
use zhenbei::store::*;
#[tokio::test]
async fn spike() {
    for url in [
        format!("sqlite:/tmp/w/spike-{}.db", std::process::id()),
        std::env::var("PGURL").unwrap(),
    ] {
        let db = Database::open(&Secret::new(url)).await.unwrap();
        let cam = Camera {
            id: CameraId::new("cam-1").unwrap(),
            name: "榆阳".into(),
            place: GeoPoint::new(109.7, 38.2).unwrap(),
            area: AreaCode::new("610802").unwrap(),
            heading_deg: None,
            fov_deg: Some(60.0),
            main: Secret::new("rtsp://a/b"),
            sub: None,
            transport: Transport::Tcp,
            record: true,
        };
        let ch = database::SiteChange {
            put_cameras: vec![cam.clone()],
            put_vehicles: vec![Vehicle {
                id: VehicleId::new("t1").unwrap(),
                plate: None,
                class: VehicleClass::Muck,
            }],
            ..Default::default()
        };
        db.change_site(&ch).await.unwrap();
        db.change_site(&ch).await.unwrap();
        assert_eq!(db.cameras().await.unwrap(), vec![cam]);
        assert_eq!(db.vehicles().await.unwrap().len(), 1);
        println!("rev {}", db.site_revision().await.unwrap());
    }
}
