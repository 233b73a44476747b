//! People, sessions, tokens, layouts: names are never used twice, ends are ends, only hashes are kept.

use zhenbei::model::{CameraId, LayoutId, SessionId, TokenId, UserId, UtcMicros};
use zhenbei::store::Database;
use zhenbei::store::database::{LayoutRow, SessionRow, TokenRow, UserRow};

const NOW: UtcMicros = UtcMicros(1_795_500_000_000_000);

pub(crate) fn person(name: &str) -> UserRow {
    UserRow {
        id: UserId::generate(),
        name: name.into(),
        display_name: "李 四".into(),
        role: "acceptor".into(),
        password: "$argon2id$…".into(),
        disabled: false,
        created_at: NOW,
        password_changed_at: NOW,
    }
}

fn session(user: UserId, at: i64) -> SessionRow {
    SessionRow {
        id: SessionId::generate(),
        user,
        client: Some("192.0.2.1".into()),
        created_at: NOW + at,
        last_seen: NOW + at,
        expires_at: NOW + 1_000,
    }
}

pub(crate) async fn suite(db: &Database) {
    people(db).await;
    sessions(db).await;
    tokens(db).await;
    layouts(db).await;
}

async fn people(db: &Database) {
    let (first, second) = (person("first"), person("second"));
    let (a, b) = tokio::join!(db.add_first_user(&first), db.add_first_user(&second));
    assert_ne!(
        a.unwrap(),
        b.unwrap(),
        "exactly one of two nodes adds the first person"
    );
    let li = person("li");
    db.add_user(&li).await.unwrap();
    assert_eq!(
        db.user_by_name("li").await.unwrap().as_ref(),
        Some(&li),
        "read back whole"
    );
    assert_eq!(db.user_by_name("nobody").await.unwrap(), None);
    assert_eq!(
        db.add_user(&person("li")).await.unwrap_err().code(),
        "name_taken"
    );
    db.set_role(li.id, "inspector").await.unwrap();
    db.set_disabled(li.id, true).await.unwrap();
    let changed = db.user_by_name("li").await.unwrap().unwrap();
    assert_eq!(
        (changed.role.as_str(), changed.disabled),
        ("inspector", true)
    );
    assert_eq!(
        db.add_user(&person("li")).await.unwrap_err().code(),
        "name_taken",
        "also when disabled"
    );
    assert_eq!(db.users().await.unwrap().len(), 2);
}

async fn sessions(db: &Database) {
    let wang = person("wang");
    db.add_user(&wang).await.unwrap();
    let all: Vec<_> = (0..4).map(|n| session(wang.id, n)).collect();
    for (n, s) in all.iter().enumerate() {
        db.add_session(s, &format!("wang{n}"), 3).await.unwrap();
    }
    assert_eq!(db.session("wang0").await.unwrap(), None, "the oldest went");
    assert_eq!(
        db.session("wang3").await.unwrap(),
        Some((all[3].clone(), wang.clone()))
    );
    db.touch_session(all[3].id, NOW + 500).await.unwrap();
    db.touch_session(all[3].id, NOW + 400).await.unwrap();
    assert_eq!(
        db.session("wang3").await.unwrap().unwrap().0.last_seen,
        NOW + 500,
        "never backwards"
    );
    db.set_password(wang.id, "new", NOW + 9, Some(all[2].id))
        .await
        .unwrap();
    assert_eq!(db.session("wang3").await.unwrap(), None);
    let (kept, owner) = db.session("wang2").await.unwrap().unwrap();
    assert_eq!(
        (kept.id, owner.password.as_str(), owner.password_changed_at),
        (all[2].id, "new", NOW + 9)
    );
    db.delete_session(all[2].id).await.unwrap();
    assert_eq!(db.session("wang2").await.unwrap(), None);

    db.add_session(&session(wang.id, 10), "idle", 9)
        .await
        .unwrap();
    db.add_session(&session(wang.id, 100), "busy", 9)
        .await
        .unwrap();
    assert_eq!(
        db.delete_dead_sessions(NOW + 200, NOW + 10).await.unwrap(),
        1
    );
    assert_eq!(
        db.delete_dead_sessions(NOW + 1_000, NOW).await.unwrap(),
        1,
        "past the absolute end"
    );
    db.add_session(&session(wang.id, 10), "out", 9)
        .await
        .unwrap();
    db.set_disabled(wang.id, true).await.unwrap();
    assert_eq!(db.session("out").await.unwrap(), None);
}

async fn tokens(db: &Database) {
    let zhao = person("zhao");
    db.add_user(&zhao).await.unwrap();
    let token = TokenRow {
        id: TokenId::generate(),
        user: zhao.id,
        name: "wall".into(),
        created_at: NOW,
        last_used: None,
        expires_at: Some(NOW + 7),
        revoked_at: None,
    };
    db.add_token(&token, "hash").await.unwrap();
    assert_eq!(
        db.token("hash").await.unwrap(),
        Some((token.clone(), zhao.clone()))
    );
    db.touch_token(token.id, NOW + 3).await.unwrap();
    assert!(db.revoke_token(token.id, NOW + 4).await.unwrap());
    assert!(!db.revoke_token(token.id, NOW + 5).await.unwrap(), "once");
    let held = db.tokens(zhao.id).await.unwrap();
    assert_eq!(
        (held[0].last_used, held[0].revoked_at),
        (Some(NOW + 3), Some(NOW + 4))
    );
}

async fn layouts(db: &Database) {
    let (sun, qian) = (person("sun"), person("qian"));
    db.add_user(&sun).await.unwrap();
    db.add_user(&qian).await.unwrap();
    let mut layout = LayoutRow {
        id: LayoutId::generate(),
        owner: sun.id,
        name: "夜班".into(),
        tiles: 4,
        cameras: vec![Some(CameraId::new("cam-001").unwrap()), None, None, None],
        shared: false,
        updated_at: NOW,
    };
    db.put_layout(&layout).await.unwrap();
    assert_eq!(db.layout(layout.id).await.unwrap().as_ref(), Some(&layout));
    assert!(
        db.layouts(Some(qian.id)).await.unwrap().is_empty(),
        "not shared"
    );
    layout.shared = true;
    db.put_layout(&LayoutRow {
        owner: qian.id,
        ..layout.clone()
    })
    .await
    .unwrap();
    assert_eq!(
        db.layouts(Some(qian.id)).await.unwrap(),
        [layout.clone()],
        "the owner stays"
    );
    assert_eq!(db.count_layouts(sun.id).await.unwrap(), 1);
    db.delete_layout(layout.id).await.unwrap();
    assert_eq!(db.layout(layout.id).await.unwrap(), None);
}
