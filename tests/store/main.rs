//! The conformance suites: the same promises asked of every back-end.
#![allow(unreachable_pub, reason = "a test binary has no outside")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy.toml allows them in tests, but does not know helpers of tests as such"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod archive_index;
mod audit;
mod blobs;
mod cases;
mod live;
mod site;
mod tracks;

use zhenbei::model::Secret;
use zhenbei::store::Database;

async fn database_keeps_its_promises(db: &Database) {
    site::suite(db).await;
    tracks::suite(db).await;
    archive_index::suite(db).await;
    access::suite(db).await;
    audit::suite(db).await;
    cases::suite(db).await;
}

#[tokio::test]
async fn sqlite_keeps_the_promises() {
    let dir = tempfile::tempdir().unwrap();
    let url = Secret::new(format!(
        "sqlite:{}",
        dir.path().join("zhenbei.db").display()
    ));
    let db = Database::open(&url).await.unwrap();
    database_keeps_its_promises(&db).await;
    db.close().await;
    Database::open(&url)
        .await
        .expect("opens again with its schema in place");
}

#[tokio::test]
async fn postgresql_keeps_the_promises() {
    let server = support::servers::postgres();
    let db = Database::open(&Secret::new(server.url())).await.unwrap();
    database_keeps_its_promises(&db).await;
    db.close().await;
}
