//! What is made of a clip stands beside it, names it, and never takes its place.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde_json::Value;
use zhenbei::access::{Actor, Role};
use zhenbei::evidence::{Make, NewDerived, Reading};
use zhenbei::model::{
    CaseAction, ErrorKind, Exhibit, ExhibitId, ExhibitKind, ExhibitState, TimeRange,
};

use crate::recorded::{Evidence, clip, track};
use crate::support::START;

fn cut() -> NewDerived {
    NewDerived {
        make: Make::ExactCut(TimeRange {
            from: START - 15_000_000,
            to: START - 5_000_000,
        }),
        purpose: None,
    }
}

const SHEET: NewDerived = NewDerived {
    make: Make::ContactSheet {
        columns: 4,
        rows: 5,
    },
    purpose: None,
};

async fn made(e: &Evidence, actor: &Actor, parent: &Exhibit, new: NewDerived) -> Exhibit {
    let x = e
        .exhibits
        .derive(actor, parent.case, parent.id, new)
        .await
        .unwrap();
    assert_eq!(
        (x.state, x.derived_from),
        (ExhibitState::Working, Some(parent.id))
    );
    e.exhibits
        .settled(actor, x.case, x.id, Duration::from_secs(20))
        .await
        .unwrap()
}

async fn read(e: &Evidence, actor: &Actor, x: &Exhibit, name: &str) -> Vec<u8> {
    let open = e
        .exhibits
        .open_file(actor, x.case, x.id, name, None, Reading::View)
        .await
        .unwrap();
    open.bytes.try_collect::<Vec<_>>().await.unwrap().concat()
}

#[tokio::test]
async fn a_derived_item_names_parent_recipe_and_maker() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let parent = e.attached(&li, case, clip()).await;
    let x = made(&e, &li, &parent, cut()).await;

    assert_eq!(
        (x.state, x.error.as_deref(), x.kind),
        (ExhibitState::Ready, None, ExhibitKind::ExactCut)
    );
    assert_eq!(
        (x.purpose.as_str(), x.camera.clone()),
        ("热线投诉核实", parent.camera.clone())
    );
    let recipe = x.recipe.clone().unwrap();
    assert_eq!(
        (recipe["name"].as_str(), recipe["version"].as_i64()),
        (Some("exact_cut"), Some(1))
    );
    assert_eq!(
        (
            recipe["parameters"]["from_us"].as_i64(),
            recipe["parameters"]["to_us"].as_i64()
        ),
        (Some(5_000_000), Some(15_000_000))
    );
    assert_eq!(
        (
            recipe["encoder"].as_str(),
            recipe["pictures"]["copied"].as_i64()
        ),
        (Some("libx264"), Some(200))
    );
    // The picture that was on the screen began 40 ms before.
    assert_eq!(
        x.delivered.unwrap(),
        TimeRange {
            from: START - 15_040_000,
            to: START - 5_000_000
        }
    );
    let of: Vec<_> = x
        .files
        .iter()
        .map(|f| (f.name.clone(), f.derived_from.clone()))
        .collect();
    let clip_path = format!("exhibits/{}/clip.mp4", parent.id);
    assert_eq!(
        of,
        [
            ("cut.mp4".into(), Some(clip_path)),
            ("manifest.json".into(), None)
        ]
    );
    assert!(
        x.files[0]
            .recipe
            .as_deref()
            .unwrap()
            .contains("200 pictures copied"),
        "{:?}",
        x.files[0].recipe
    );
    assert_eq!(
        read(&e, &li, &x, "cut.mp4").await,
        b"exact_cut of 3000000 bytes"
    );

    let manifest: Value =
        serde_json::from_slice(&read(&e, &li, &x, "manifest.json").await).unwrap();
    let derivation = &manifest["derivation"];
    assert_eq!(derivation["recipe"], recipe);
    assert_eq!(derivation["parent"]["exhibit"], parent.id.to_string());
    assert_eq!(derivation["parent"]["sha256"], parent.files[0].sha256);
    assert_eq!(derivation["parent"]["fragments"]["first"]["seq"], 7);
    assert_eq!(
        (&manifest["reencoded"], &manifest["created_by"]["name"]),
        (&Value::Bool(true), &Value::from("li"))
    );
    let of_parent: Value =
        serde_json::from_slice(&read(&e, &li, &parent, "manifest.json").await).unwrap();
    assert_eq!(
        (&of_parent["derivation"], &of_parent["reencoded"]),
        (&Value::Null, &Value::Bool(false))
    );
    assert_eq!(of_parent["fragments"]["count"], 3);

    let all = e.exhibits.list(&li, case).await.unwrap();
    assert_eq!(
        all,
        [parent, x.clone()],
        "the original is untouched, the derived beside it"
    );
    let record = e.centre.record().await;
    let asked = format!("li attach case/{case} exhibit/{} exact_cut ok", all[0].id);
    assert!(record.contains(&asked), "{record:?}");
    assert!(
        record
            .iter()
            .any(|r| r.contains(&format!("copy case/{case} exhibit/{} ok", x.id))),
        "{record:?}"
    );
    let events = e.cases.get(&li, case).await.unwrap().events;
    assert!(
        events.last().unwrap().text.contains(&all[0].id.to_string()),
        "the case's history names the parent"
    );
}

#[tokio::test]
async fn the_bundle_lists_both_with_their_relation() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let parent = e.attached(&li, case, clip()).await;
    let x = made(&e, &li, &parent, SHEET).await;
    let bundle = e.exhibits.bundle(&li, case).await.unwrap();
    let zip = bundle.bytes.try_collect::<Vec<_>>().await.unwrap().concat();
    let text = String::from_utf8_lossy(&zip);
    for name in ["clip.mp4", "still.jpg", "manifest.json"] {
        assert!(text.contains(&format!("exhibits/{}/{name}", parent.id)));
    }
    assert!(text.contains(&format!("exhibits/{}/sheet.jpg", x.id)));
    assert!(
        text.contains(&format!("\"derived_from\": \"{}\"", parent.id)),
        "case.json says what was made of what"
    );
}

#[tokio::test]
async fn only_whole_clips_of_open_cases_by_people_who_may() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let lead = e.centre.person("lead", Role::ShiftLead).await;
    let case = e.case(&li).await;
    let parent = e.attached(&li, case, clip()).await;
    let of_track = e.attached(&li, case, track()).await;
    let refused = async |actor: &Actor, parent: ExhibitId, make: Make, purpose: Option<&str>| {
        let new = NewDerived {
            make,
            purpose: purpose.map(Into::into),
        };
        let error = e
            .exhibits
            .derive(actor, case, parent, new)
            .await
            .unwrap_err();
        (error.kind(), error.code())
    };
    let range = |from: i64, to: i64| TimeRange {
        from: START + from * 1_000_000,
        to: START + to * 1_000_000,
    };
    assert_eq!(
        refused(&li, of_track.id, SHEET.make, None).await,
        (ErrorKind::Conflict, "not_derivable")
    );
    assert_eq!(
        refused(&li, ExhibitId::generate(), SHEET.make, None).await,
        (ErrorKind::NotFound, "not_found")
    );
    for make in [
        Make::ExactCut(range(-21, -10)),
        Make::ExactCut(range(-10, 1)),
        Make::ExactCut(range(-5, -6)),
        Make::Still(START),
        Make::LowCopy(Some(range(-30, -1))),
    ] {
        assert_eq!(
            refused(&li, parent.id, make, None).await,
            (ErrorKind::Invalid, "bad_range"),
            "{make:?}"
        );
    }
    for (columns, rows) in [(0, 1), (9, 1), (1, 0), (1, 13)] {
        let make = Make::ContactSheet { columns, rows };
        assert_eq!(
            refused(&li, parent.id, make, None).await,
            (ErrorKind::Invalid, "bad_sheet")
        );
    }
    assert_eq!(
        refused(&li, parent.id, SHEET.make, Some("x")).await,
        (ErrorKind::Invalid, "purpose_required")
    );
    // Sees exhibits, but attaches none.
    let wang = e.centre.person("wang", Role::Inspector).await;
    assert_eq!(
        refused(&wang, parent.id, SHEET.make, None).await.0,
        ErrorKind::Forbidden
    );
    assert!(
        e.centre
            .record()
            .await
            .iter()
            .any(|r| r.starts_with("wang attach") && r.ends_with("denied"))
    );
    // Of something made nothing is made: each names its original.
    let x = made(&e, &li, &parent, cut()).await;
    assert_eq!(
        refused(&li, x.id, SHEET.make, None).await,
        (ErrorKind::Conflict, "not_derivable")
    );

    e.cases
        .act(&lead, case, CaseAction::Reject, "证据不足", None)
        .await
        .unwrap();
    assert_eq!(
        refused(&li, parent.id, SHEET.make, None).await,
        (ErrorKind::Conflict, "wrong_state")
    );
}

#[tokio::test]
async fn what_cannot_be_made_fails_by_itself_and_the_clip_stands() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let parent = e.attached(&li, case, clip()).await;
    let before = e.stored();
    e.recorded.no_decoder.store(true, Ordering::SeqCst);
    let x = made(&e, &li, &parent, cut()).await;
    assert_eq!(x.state, ExhibitState::Failed);
    assert!(
        x.error
            .as_deref()
            .unwrap()
            .contains("the worker making exact_cut died"),
        "{:?}",
        x.error
    );
    assert_eq!(e.stored(), before);
    assert!(
        std::fs::read_dir(e.centre.dir.path().join("derive"))
            .unwrap()
            .next()
            .is_none()
    );

    // A clip that was changed in storage is not taken for the original.
    e.recorded.no_decoder.store(false, Ordering::SeqCst);
    let path = e
        .centre
        .dir
        .path()
        .join(format!("evidence/cases/{case}/{}/clip.mp4", parent.id));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let x = made(&e, &li, &parent, cut()).await;
    assert_eq!(x.state, ExhibitState::Failed);
    assert!(
        x.error
            .as_deref()
            .unwrap()
            .contains("not what was recorded"),
        "{:?}",
        x.error
    );
    assert_eq!(e.exhibits.get(&li, case, parent.id).await.unwrap(), parent);
}

#[tokio::test]
async fn a_crash_in_the_middle_is_taken_up_again() {
    let mut e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let parent = e.attached(&li, case, clip()).await;
    e.recorded.making_hangs.store(true, Ordering::SeqCst);
    let x = e
        .exhibits
        .derive(&li, case, parent.id, cut())
        .await
        .unwrap();
    while e.recorded.derived.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Nobody's copy waits for it.
    assert_eq!(
        e.attached(&li, case, clip()).await.state,
        ExhibitState::Ready
    );
    std::fs::write(
        e.centre.dir.path().join("derive/left.out"),
        "left by a crash",
    )
    .unwrap();
    e.recorded.making_hangs.store(false, Ordering::SeqCst);
    e.restart().await;
    let x = e
        .exhibits
        .settled(&li, case, x.id, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(x.state, ExhibitState::Ready);
    assert!(
        std::fs::read_dir(e.centre.dir.path().join("derive"))
            .unwrap()
            .next()
            .is_none()
    );
    e.stop().await;
}

#[tokio::test]
async fn more_than_sixteen_waiting_are_told_to_come_later() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let parent = e.attached(&li, case, clip()).await;
    e.recorded.making_hangs.store(true, Ordering::SeqCst);
    let first = e
        .exhibits
        .derive(&li, case, parent.id, cut())
        .await
        .unwrap();
    while e.recorded.derived.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(first.state, ExhibitState::Working);
    let mut taken = 0;
    let busy = loop {
        match e.exhibits.derive(&li, case, parent.id, SHEET).await {
            Ok(_) => taken += 1,
            Err(busy) => break busy,
        }
        assert!(taken < 30, "the queue has no end");
    };
    assert_eq!(
        (busy.kind(), busy.code()),
        (ErrorKind::TooMuch, "derive_busy")
    );
    // One more may have left the queue for the maker's hand.
    assert!((16..=17).contains(&taken), "{taken}");
    assert_eq!(
        e.recorded.derived.load(Ordering::SeqCst),
        1,
        "one at a time"
    );
}
