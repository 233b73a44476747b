//! Cameras and vehicles: what is put is read back whole, a change is all or nothing, every change is noticed.

use zhenbei::model::{
    AreaCode, Camera, CameraId, CameraPolicies, GeoPoint, Secret, TimestampJumpPolicy, TlsPolicy,
    Transport, Vehicle, VehicleClass, VehicleId,
};
use zhenbei::store::Database;
use zhenbei::store::database::SiteChange;

pub fn camera(id: &str) -> Camera {
    Camera {
        id: CameraId::new(id).unwrap(),
        name: "榆阳广场 东".into(),
        place: GeoPoint::new(109.7345, 38.2852).unwrap(),
        area: AreaCode::new("610802").unwrap(),
        heading_deg: None,
        fov_deg: Some(60.0),
        main: Secret::new("rtsp://user:pass@192.0.2.1:554/main"),
        sub: None,
        transport: Transport::Multicast,
        policies: CameraPolicies {
            tls: TlsPolicy::Pinned([7; 32]),
            timestamp_jump: TimestampJumpPolicy::Rebase,
            ..CameraPolicies::default()
        },
        record: true,
    }
}

pub async fn suite(db: &Database) {
    let before = db.site_revision().await.unwrap();
    let truck = Vehicle {
        id: VehicleId::new("truck-017").unwrap(),
        plate: None,
        class: VehicleClass::Muck,
    };
    let mut change = SiteChange {
        put_cameras: vec![camera("cam-002"), camera("cam-001")],
        put_vehicles: vec![truck.clone()],
        ..SiteChange::default()
    };
    db.change_site(&change).await.unwrap();
    assert_eq!(
        db.cameras().await.unwrap(),
        [camera("cam-001"), camera("cam-002")],
        "by id, as they were put"
    );
    assert_eq!(db.vehicles().await.unwrap(), [truck]);

    // Putting again is an update, not a second camera.
    change.put_cameras[0].sub = Some(Secret::new("rtsp://192.0.2.1/sub"));
    change.put_cameras[0].record = false;
    db.change_site(&change).await.unwrap();
    assert_eq!(
        db.camera(&change.put_cameras[0].id).await.unwrap().as_ref(),
        Some(&change.put_cameras[0])
    );

    let delete = SiteChange {
        delete_cameras: vec![CameraId::new("cam-001").unwrap()],
        ..SiteChange::default()
    };
    db.change_site(&delete).await.unwrap();
    assert_eq!(db.cameras().await.unwrap().len(), 1);
    assert_eq!(db.site_revision().await.unwrap(), before + 3);
}
