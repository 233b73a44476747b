use zhenbei::access::{Layouts, NewLayout, Role};
use zhenbei::model::{CameraId, ErrorKind, LayoutId};

use crate::support::Centre;

fn new(name: &str, tiles: u8, shared: bool) -> NewLayout {
    NewLayout {
        name: name.into(),
        tiles,
        cameras: vec![Some(CameraId::new("cam-001").unwrap()), None],
        shared,
    }
}

#[tokio::test]
async fn own_ones_are_private_and_shared_ones_are_for_all() {
    let centre = Centre::new().await;
    let layouts = Layouts::new(
        centre.db.clone(),
        centre.audit.clone(),
        centre.clock.clone(),
    );
    let zhao = centre.person("zhao", Role::Operator).await;
    let lead = centre.person("lead", Role::ShiftLead).await;
    let (mine, ours) = (LayoutId::generate(), LayoutId::generate());

    let put = layouts
        .put(&zhao, mine, new("night", 4, false))
        .await
        .unwrap();
    assert_eq!(
        (put.cameras.len(), put.own),
        (4, true),
        "empty tiles are filled up"
    );
    assert_eq!(
        layouts
            .put(&zhao, ours, new("night", 4, true))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    layouts
        .put(&lead, ours, new("duty", 9, true))
        .await
        .unwrap();

    let seen: Vec<_> = layouts
        .list(&zhao)
        .await
        .unwrap()
        .into_iter()
        .map(|l| (l.name, l.own))
        .collect();
    assert_eq!(seen, [("duty".into(), false), ("night".into(), true)]);
    let seen: Vec<_> = layouts
        .list(&lead)
        .await
        .unwrap()
        .into_iter()
        .map(|l| l.name)
        .collect();
    assert_eq!(seen, ["duty"]);

    assert_eq!(
        layouts.delete(&zhao, ours).await.unwrap_err().kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        layouts
            .put(&lead, mine, new("mine now", 4, false))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        layouts
            .put(&zhao, mine, new("five", 5, false))
            .await
            .unwrap_err()
            .code(),
        "bad_layout"
    );
    assert_eq!(
        layouts
            .put(&zhao, mine, new("one", 1, false))
            .await
            .unwrap_err()
            .code(),
        "bad_layout"
    );
    layouts.delete(&zhao, mine).await.unwrap();
    assert_eq!(layouts.list(&zhao).await.unwrap().len(), 1);
    let sysadmin = centre.person("boss", Role::Sysadmin).await;
    assert!(layouts.list(&sysadmin).await.is_err());
}
