use zhenbei::access::{Action, Actor, AuditQuery, Permission, Role, audited};
use zhenbei::model::{Error, ErrorKind, Result};

use crate::support::Centre;

#[tokio::test]
async fn the_entry_is_there_before_the_act_and_closed_after_it() {
    let centre = Centre::new().await;
    let li = centre.person("li", Role::Acceptor).await;
    let before = centre.record().await.len();
    let centre_ref = &centre;
    audited(
        &centre.audit,
        &li,
        Action::Still,
        "cam-001",
        "hotline call 7",
        async {
            let during = centre_ref.record().await;
            assert_eq!(during.len(), before + 1);
            assert_eq!(during.last().unwrap(), "li still cam-001 open");
            Ok(())
        },
    )
    .await
    .unwrap();
    assert_eq!(centre.record().await.last().unwrap(), "li still cam-001 ok");
}

#[tokio::test]
async fn refusals_and_failures_are_told_apart() {
    let centre = Centre::new().await;
    let li = centre.person("li", Role::Acceptor).await;
    let denied: Result<()> = audited(&centre.audit, &li, Action::CaseClose, "case/1", "", async {
        li.need(Permission::CaseClose, "case/1")
    })
    .await;
    assert_eq!(denied.unwrap_err().kind(), ErrorKind::Forbidden);
    let failed: Result<()> = audited(
        &centre.audit,
        &li,
        Action::Download,
        "clip.mp4",
        "",
        async { Err(Error::unavailable("disk_error", "the disk does not answer")) },
    )
    .await;
    assert_eq!(
        failed.unwrap_err().code(),
        "disk_error",
        "the act's own error comes back"
    );
    let query = AuditQuery {
        actor: Some("li".into()),
        limit: 2,
        ..AuditQuery::default()
    };
    let page = centre
        .audit
        .list(&li, &query)
        .await
        .expect("one's own entries");
    let told: Vec<_> = page
        .rows
        .iter()
        .map(|r| (r.outcome.as_str(), r.detail.clone().unwrap()))
        .collect();
    assert_eq!(
        told[0],
        ("failed", "disk_error: the disk does not answer".into())
    );
    assert_eq!(told[1].0, "denied");
    assert!(
        told[1]
            .1
            .starts_with("forbidden: li (acceptor 受理员) may not close cases"),
        "{}",
        told[1].1
    );
}

#[tokio::test]
async fn an_act_that_breaks_off_stays_open() {
    let centre = Centre::new().await;
    let li = centre.person("li", Role::Acceptor).await;
    let act = audited(
        &centre.audit,
        &li,
        Action::Download,
        "clip.mp4",
        "",
        async {
            std::future::pending::<()>().await;
            Ok(())
        },
    );
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(200), act)
            .await
            .is_err(),
        "the caller went away"
    );
    assert_eq!(
        centre.record().await.last().unwrap(),
        "li download clip.mp4 open"
    );
}

#[tokio::test]
async fn without_a_log_there_is_no_act() {
    let centre = Centre::new().await;
    let li = centre.person("li", Role::Acceptor).await;
    centre.db.close().await;
    let acted = std::sync::atomic::AtomicBool::new(false);
    let result = audited(
        &centre.audit,
        &li,
        Action::Download,
        "clip.mp4",
        "",
        async {
            acted.store(true, std::sync::atomic::Ordering::SeqCst);
            Ok(())
        },
    )
    .await;
    assert!(result.is_err() && !acted.into_inner());
}

#[tokio::test]
async fn failed_sign_ins_are_on_record_with_their_address() {
    let centre = Centre::new().await;
    centre
        .access
        .sign_in(
            "mallory",
            "guess number one",
            Some("192.0.2.9".parse().unwrap()),
        )
        .await
        .err()
        .unwrap();
    let lead = centre.person("lead", Role::ShiftLead).await;
    let query = AuditQuery {
        action: Some("sign_in".into()),
        actor: Some("mallory".into()),
        limit: 10,
        cursor: None,
    };
    let page = centre.audit.list(&lead, &query).await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0].outcome, "denied");
    assert_eq!(page.rows[0].entry.client.as_deref(), Some("192.0.2.9"));
    assert!(
        !format!("{:?}", page.rows[0]).contains("guess"),
        "no password on record"
    );
}

#[tokio::test]
async fn who_may_not_read_the_log_reads_their_own_and_the_try_is_on_record() {
    let centre = Centre::new().await;
    let li = centre.person("li", Role::Acceptor).await;
    let all = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    assert_eq!(
        centre.audit.list(&li, &all).await.unwrap_err().kind(),
        ErrorKind::Forbidden
    );
    assert_eq!(
        centre.record().await.last().unwrap(),
        "li refused audit.read entries of others denied"
    );
    let sysadmin = centre.person("boss", Role::Sysadmin).await;
    assert!(
        centre.audit.list(&sysadmin, &all).await.is_err(),
        "who keeps the system does not read the log"
    );
    let auditor = centre.person("sun", Role::Auditor).await;
    assert!(centre.audit.list(&auditor, &all).await.is_ok());
}

#[tokio::test]
async fn pages_meet_without_hole_or_double() {
    let centre = Centre::new().await;
    let sun = centre.person("sun", Role::Auditor).await;
    for n in 0..23 {
        centre
            .audit
            .begin(&Actor::system("test"), Action::Still, &format!("{n}"), "")
            .await
            .unwrap()
            .ok()
            .await;
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let query = AuditQuery {
            limit: 5,
            cursor,
            ..AuditQuery::default()
        };
        let page = centre.audit.list(&sun, &query).await.unwrap();
        assert!(page.rows.len() <= 5);
        seen.extend(page.rows.iter().map(|r| r.seq));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<i64> = (1..=seen[0]).rev().collect();
    assert_eq!(seen, expected, "newest first, down to the first, each once");
    let bad = AuditQuery {
        cursor: Some("x".into()),
        limit: 5,
        ..AuditQuery::default()
    };
    assert_eq!(
        centre.audit.list(&sun, &bad).await.unwrap_err().code(),
        "bad_cursor"
    );
}
