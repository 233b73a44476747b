use std::collections::BTreeSet;
use std::time::Duration;

use zhenbei::access::{Actor, Role};
use zhenbei::casefile::{CaseQuery, Cases, NewCase};
use zhenbei::model::{CaseAction, CaseId, CaseState, ErrorKind, GeoPoint, UtcMicros};

use crate::support::Centre;

pub(crate) fn cases(centre: &Centre) -> Cases {
    Cases::new(
        centre.db.clone(),
        centre.audit.clone(),
        centre.clock.clone(),
    )
}

pub(crate) fn muck_on_the_road(at: UtcMicros) -> NewCase {
    NewCase {
        title: " 渣土撒落 ".into(),
        description: "人民路口".into(),
        category: "市容环境".into(),
        occurred_from: at,
        occurred_to: None,
        place: GeoPoint {
            lon: 109.7345,
            lat: 38.2852,
        },
        address: "人民路 7 号".into(),
        area: None,
        source: None,
    }
}

#[tokio::test]
async fn one_opens_one_files_another_closes() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let mut changes = cases.changes();
    let li = centre.person("li", Role::Acceptor).await;
    let (lead, late) = (
        centre.person("lead", Role::ShiftLead).await,
        centre.person("late", Role::ShiftLead).await,
    );

    let opened = cases
        .open(&li, muck_on_the_road(centre.now()))
        .await
        .unwrap();
    let id = opened.case.id;
    assert_eq!(
        (opened.case.no.as_str(), opened.case.title.as_str()),
        ("20261124-0001", "渣土撒落")
    );
    assert_eq!(
        cases
            .act(&li, id, CaseAction::File, "", None)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Forbidden
    );
    let early = cases
        .act(&late, id, CaseAction::Close, "", None)
        .await
        .unwrap_err();
    assert_eq!(
        (early.kind(), early.code()),
        (ErrorKind::Conflict, "wrong_state")
    );
    assert!(
        early.detail().contains("reported") && early.detail().contains("file, reject, comment"),
        "{early}"
    );

    let filed = cases
        .act(&lead, id, CaseAction::File, "立案", None)
        .await
        .unwrap();
    assert_eq!(
        (filed.case.state, filed.case.filed_by.as_deref()),
        (CaseState::Filed, Some("lead"))
    );
    let both = cases
        .act(&lead, id, CaseAction::Close, "", None)
        .await
        .unwrap_err();
    assert_eq!(
        (both.kind(), both.code()),
        (ErrorKind::Forbidden, "forbidden")
    );
    assert!(
        both.detail()
            .contains("lead (shift_lead 值班长) filed case 20261124-0001"),
        "{both}"
    );
    cases
        .act(&li, id, CaseAction::Comment, "已清理", None)
        .await
        .unwrap();
    let closed = cases
        .act(&late, id, CaseAction::Close, "核查通过", None)
        .await
        .unwrap();
    assert_eq!(
        (closed.case.state, closed.case.closed_by.as_deref()),
        (CaseState::Closed, Some("late"))
    );
    assert_eq!(closed.case.closed_at, Some(centre.now()));
    let told: Vec<_> = closed
        .events
        .iter()
        .map(|e| format!("{} {} {}", e.actor, e.action, e.text))
        .collect();
    assert_eq!(
        told,
        [
            "li open ",
            "lead file 立案",
            "li comment 已清理",
            "late close 核查通过"
        ]
    );

    let states: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok())
        .map(|c| c.state.as_str())
        .collect();
    assert_eq!(states, ["reported", "filed", "filed", "closed"]);
    let record = centre.record().await;
    for line in [
        format!("li case_open case/{id} ok"),
        format!("li case_file case/{id} denied"),
        format!("late case_close case/{id} failed"),
        format!("lead case_close case/{id} denied"),
        format!("late case_close case/{id} ok"),
    ] {
        assert!(
            record.contains(&line),
            "{line} is not on record: {record:#?}"
        );
    }
}

#[tokio::test]
async fn not_even_the_trial_post_checks_itself() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let (admin, other) = (
        centre.person("admin", Role::Admin).await,
        centre.person("other", Role::Admin).await,
    );
    let id = cases
        .open(&admin, muck_on_the_road(centre.now()))
        .await
        .unwrap()
        .case
        .id;
    cases
        .act(&other, id, CaseAction::File, "", None)
        .await
        .unwrap();
    for one in [&admin, &other] {
        let refused = cases
            .act(one, id, CaseAction::Close, "", None)
            .await
            .unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forbidden, "{refused}");
    }
    let third = centre.person("third", Role::Admin).await;
    cases
        .act(&third, id, CaseAction::Close, "", None)
        .await
        .unwrap();
}

#[tokio::test]
async fn every_post_gets_only_the_steps_of_the_table() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let opener = centre.person("opener", Role::Inspector).await;
    for role in Role::ALL {
        let person = centre
            .person(&format!("p-{}", role.as_str().replace('_', "-")), *role)
            .await;
        let id = cases
            .open(&opener, muck_on_the_road(centre.now()))
            .await
            .unwrap()
            .case
            .id;
        let mut done = Vec::new();
        for action in [CaseAction::Comment, CaseAction::File] {
            if cases.act(&person, id, action, "text", None).await.is_ok() {
                done.push(action.as_str());
            }
        }
        let expected: &[&str] = match role {
            Role::Auditor | Role::Sysadmin => &[],
            Role::ShiftLead | Role::Admin => &["comment", "file"],
            Role::Inspector
            | Role::Acceptor
            | Role::Evaluator
            | Role::Dispatcher
            | Role::Commander
            | Role::Department
            | Role::Operator
            | Role::FleetMonitor
            | Role::Custodian
            | Role::Leader => &["comment"],
        };
        assert_eq!(done, expected, "{}", role.as_str());
        let may_read = !matches!(role, Role::Auditor | Role::Sysadmin);
        assert_eq!(
            cases.get(&person, id).await.is_ok(),
            may_read,
            "{}",
            role.as_str()
        );
        assert_eq!(
            cases.list(&person, &CaseQuery::default()).await.is_ok(),
            may_read,
            "{}",
            role.as_str()
        );
    }
}

#[tokio::test]
async fn numbers_are_unique_when_many_open_at_once_and_turn_with_the_day() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let li = centre.person("li", Role::Acceptor).await;
    let many = (0..30).map(|_| cases.open(&li, muck_on_the_road(centre.now())));
    let numbers: BTreeSet<String> = futures_util::future::join_all(many)
        .await
        .into_iter()
        .map(|c| c.unwrap().case.no)
        .collect();
    let expected: BTreeSet<String> = (1..=30).map(|n| format!("20261124-{n:04}")).collect();
    assert_eq!(numbers, expected);
    centre.clock.turn(Duration::from_secs(86_400));
    assert_eq!(
        cases
            .open(&li, muck_on_the_road(centre.now()))
            .await
            .unwrap()
            .case
            .no,
        "20261125-0001"
    );
}

#[tokio::test]
async fn two_people_do_not_overwrite_one_another() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let li = centre.person("li", Role::Acceptor).await;
    let (a, b) = (
        centre.person("a", Role::ShiftLead).await,
        centre.person("b", Role::ShiftLead).await,
    );
    let opened = cases
        .open(&li, muck_on_the_road(centre.now()))
        .await
        .unwrap()
        .case;
    let (file, reject) = tokio::join!(
        cases.act(&a, opened.id, CaseAction::File, "", None),
        cases.act(&b, opened.id, CaseAction::Reject, "不属实", None)
    );
    assert_ne!(file.is_ok(), reject.is_ok(), "one wins, the other is told");
    let stale = cases
        .act(
            &li,
            opened.id,
            CaseAction::Comment,
            "…",
            Some(opened.revision),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (stale.kind(), stale.code()),
        (ErrorKind::Conflict, "changed_meanwhile")
    );
    let comments = (0..6).map(|n| {
        let (cases, li) = (cases.clone(), li.clone());
        async move {
            cases
                .act(&li, opened.id, CaseAction::Comment, &format!("{n}"), None)
                .await
        }
    });
    assert!(
        futures_util::future::join_all(comments)
            .await
            .iter()
            .all(Result::is_ok)
    );
    assert_eq!(cases.get(&li, opened.id).await.unwrap().events.len(), 8);
}

#[tokio::test]
async fn what_cannot_be_a_case_is_refused_with_the_reason() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let li = centre.person("li", Role::Acceptor).await;
    let now = centre.now();
    let good = muck_on_the_road(now);
    let bad = [
        (
            "bad_text",
            NewCase {
                title: "  ".into(),
                ..good.clone()
            },
        ),
        (
            "bad_text",
            NewCase {
                title: "长".repeat(201),
                ..good.clone()
            },
        ),
        (
            "bad_position",
            NewCase {
                place: GeoPoint {
                    lon: 200.0,
                    lat: 0.0,
                },
                ..good.clone()
            },
        ),
        (
            "bad_position",
            NewCase {
                place: GeoPoint {
                    lon: 109.0,
                    lat: f64::NAN,
                },
                ..good.clone()
            },
        ),
        (
            "bad_time",
            NewCase {
                occurred_from: now + 301_000_000,
                ..good.clone()
            },
        ),
        (
            "bad_time",
            NewCase {
                occurred_to: Some(now + 301_000_000),
                ..good.clone()
            },
        ),
        (
            "bad_time",
            NewCase {
                occurred_from: UtcMicros(-1),
                ..good.clone()
            },
        ),
        (
            "bad_range",
            NewCase {
                occurred_to: Some(now - 1),
                ..good.clone()
            },
        ),
    ];
    for (code, new) in bad {
        assert_eq!(
            cases.open(&li, new.clone()).await.unwrap_err().code(),
            code,
            "{new:?}"
        );
    }
    cases
        .open(
            &li,
            NewCase {
                title: "长".repeat(200),
                occurred_from: now + 299_000_000,
                ..good
            },
        )
        .await
        .unwrap();
    let id = cases
        .list(
            &li,
            &CaseQuery {
                limit: 9,
                ..CaseQuery::default()
            },
        )
        .await
        .unwrap()
        .cases[0]
        .case
        .id;
    let lead = centre.person("lead", Role::ShiftLead).await;
    assert_eq!(
        cases
            .act(&lead, id, CaseAction::Reject, " ", None)
            .await
            .unwrap_err()
            .code(),
        "bad_text",
        "say why"
    );
    assert_eq!(
        cases
            .act(&lead, CaseId::generate(), CaseAction::File, "", None)
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn lists_are_searched_and_paged() {
    let centre = Centre::new().await;
    let cases = cases(&centre);
    let li = centre.person("li", Role::Acceptor).await;
    for n in 0..7 {
        centre.clock.turn(Duration::from_secs(n % 2));
        let title = format!("案件 {n}");
        cases
            .open(
                &li,
                NewCase {
                    title,
                    ..muck_on_the_road(centre.now())
                },
            )
            .await
            .unwrap();
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let query = CaseQuery {
            text: Some("案件".into()),
            cursor,
            limit: 3,
            ..CaseQuery::default()
        };
        let page = cases.list(&li, &query).await.unwrap();
        seen.extend(page.cases.into_iter().map(|l| l.case.no));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (1..=7).rev().map(|n| format!("20261124-{n:04}")).collect();
    assert_eq!(seen, expected);
    let filed = CaseQuery {
        state: Some(CaseState::Filed),
        limit: 9,
        ..CaseQuery::default()
    };
    assert!(cases.list(&li, &filed).await.unwrap().cases.is_empty());
    let bad = CaseQuery {
        cursor: Some("1.2".into()),
        limit: 9,
        ..CaseQuery::default()
    };
    assert_eq!(
        cases.list(&li, &bad).await.unwrap_err().code(),
        "bad_cursor"
    );
}

#[tokio::test]
async fn a_part_of_the_daemon_may_open_cases_by_its_name() {
    let centre = Centre::new().await;
    let opened = cases(&centre)
        .open(&Actor::system("alarm"), muck_on_the_road(centre.now()))
        .await
        .unwrap();
    assert_eq!(opened.case.opened_by, "system/alarm");
}
