//! The audit log: numbers without holes whoever writes, one outcome for each entry, newest first.

use futures_util::future::join_all;
use zhenbei::model::UtcMicros;
use zhenbei::store::Database;
use zhenbei::store::database::{AuditFilter, NewAuditRow};

fn entry(actor: &str, n: i64) -> NewAuditRow {
    NewAuditRow {
        time: UtcMicros(n),
        actor: actor.into(),
        user_id: None,
        role: "acceptor".into(),
        axis: "supervision".into(),
        session: Some("s".into()),
        client: Some("192.0.2.1".into()),
        action: "view".into(),
        object: format!("object {n}"),
        purpose: "热线".into(),
    }
}

pub(crate) async fn suite(db: &Database) {
    let before = db
        .audit(&AuditFilter {
            limit: 1,
            ..AuditFilter::default()
        })
        .await
        .unwrap()
        .first()
        .map_or(0, |r| r.seq);
    // Some writers give up in the middle: their numbers are given back, not lost.
    let writers = (0..40).map(|n| {
        let db = db.clone();
        async move {
            let write = async { db.open_audit(&entry("li", n)).await };
            if n % 5 == 4 {
                tokio::time::timeout(std::time::Duration::from_micros(300), write)
                    .await
                    .ok()
                    .map(Result::unwrap)
            } else {
                Some(write.await.unwrap())
            }
        }
    });
    join_all(writers).await;
    let rows = db
        .audit(&AuditFilter {
            actor: Some("li".into()),
            limit: 100,
            ..AuditFilter::default()
        })
        .await
        .unwrap();
    let seqs: Vec<i64> = rows.iter().rev().map(|r| r.seq).collect();
    let expected: Vec<i64> = (before + 1..=before + i64::try_from(rows.len()).unwrap()).collect();
    assert!(
        rows.len() >= 32 && seqs == expected,
        "no hole, no double: {seqs:?}"
    );

    let seq = db.open_audit(&entry("wang", 7)).await.unwrap();
    let open = db
        .audit(&AuditFilter {
            actor: Some("wang".into()),
            limit: 9,
            ..AuditFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(
        (open.len(), &open[0].entry, open[0].outcome.as_str()),
        (1, &entry("wang", 7), "open")
    );
    assert!(
        db.close_audit(seq, "failed", Some("disk_full"), UtcMicros(9))
            .await
            .unwrap()
    );
    assert!(
        !db.close_audit(seq, "ok", None, UtcMicros(10))
            .await
            .unwrap(),
        "an outcome is written once"
    );
    let closed = db
        .audit(&AuditFilter {
            actor: Some("wang".into()),
            limit: 9,
            ..AuditFilter::default()
        })
        .await
        .unwrap();
    assert_eq!(closed[0].outcome, "failed");
    assert_eq!(
        (closed[0].detail.as_deref(), closed[0].closed_at),
        (Some("disk_full"), Some(UtcMicros(9)))
    );

    let older = AuditFilter {
        before: Some(before + 3),
        action: Some("view".into()),
        limit: 2,
        ..AuditFilter::default()
    };
    let page: Vec<i64> = db
        .audit(&older)
        .await
        .unwrap()
        .iter()
        .map(|r| r.seq)
        .collect();
    assert_eq!(page, [before + 2, before + 1]);
    let none = AuditFilter {
        action: Some("no such act".into()),
        limit: 2,
        ..AuditFilter::default()
    };
    assert!(db.audit(&none).await.unwrap().is_empty());
}
