//! Cases and exhibits: numbers are unique, steps do not overwrite one another, an exhibit changes state once.

use futures_util::future::join_all;
use zhenbei::model::{
    AreaCode, CameraId, Case, CaseEvent, CaseId, CaseSource, CaseState, Exhibit, ExhibitFile,
    ExhibitId, ExhibitKind, ExhibitState, FragmentName, GapCause, GeoPoint, StreamRole,
    TakenFragments, TimeRange, UtcMicros,
};
use zhenbei::store::Database;
use zhenbei::store::database::{CaseFilter, CaseStep, ExhibitOrigin, StoredFile};

fn case(title: &str, at: i64) -> Case {
    Case {
        id: CaseId::generate(),
        no: String::new(),
        title: title.into(),
        description: "渣土撒落 100%".into(),
        category: "市容".into(),
        state: CaseState::Reported,
        source: CaseSource::Hotline,
        occurred_from: UtcMicros(at),
        occurred_to: None,
        place: GeoPoint::new(109.7345, 38.2852).unwrap(),
        address: "Renmin Road 7".into(),
        area: Some(AreaCode::new("610802").unwrap()),
        opened_by: "li".into(),
        opened_at: UtcMicros(at),
        filed_by: None,
        closed_by: None,
        closed_at: None,
        revision: 1,
    }
}

fn event(action: &str) -> CaseEvent {
    CaseEvent {
        time: UtcMicros(5),
        actor: "li".into(),
        action: action.into(),
        text: "说明".into(),
    }
}

pub(crate) async fn suite(db: &Database) {
    numbers_and_lists(db).await;
    steps(db).await;
    exhibits(db).await;
}

async fn numbers_and_lists(db: &Database) {
    let cases: Vec<Case> = (0..20)
        .map(|n| case(&format!("Case {n:02}"), n / 2))
        .collect();
    let opened = join_all(cases.iter().map(|c| {
        let opened = event("open");
        async move { db.open_case(c, "20261124", &opened).await.unwrap() }
    }))
    .await;
    let mut numbers = opened.clone();
    numbers.sort();
    let expected: Vec<String> = (1..=20).map(|n| format!("20261124-{n:04}")).collect();
    assert_eq!(numbers, expected, "one number each, none left out");
    assert_eq!(
        db.open_case(&case("another day", 0), "20261125", &event("open"))
            .await
            .unwrap(),
        "20261125-0001"
    );

    let back = db.case(cases[3].id).await.unwrap().unwrap();
    assert_eq!(
        back,
        Case {
            no: opened[3].clone(),
            ..cases[3].clone()
        },
        "read back whole"
    );
    assert_eq!(db.case_events(cases[3].id).await.unwrap(), [event("open")]);

    // Two cases in each instant: pages must not lose one between them.
    let mut seen = Vec::new();
    let mut filter = CaseFilter {
        text: Some("CASE".into()),
        limit: 3,
        ..CaseFilter::default()
    };
    loop {
        let page = db.cases(&filter).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        filter.before = Some((last.opened_at, last.id));
        seen.extend(page.into_iter().map(|(c, _)| (c.opened_at, c.id)));
    }
    let mut expected: Vec<_> = cases.iter().map(|c| (c.opened_at, c.id)).collect();
    expected.sort_by_key(|(t, id)| (*t, id.to_string()));
    expected.reverse();
    assert_eq!(seen, expected, "newest first, each once");

    let found = |text: &str| {
        let filter = CaseFilter {
            text: Some(text.into()),
            limit: 100,
            ..CaseFilter::default()
        };
        async move { db.cases(&filter).await.unwrap().len() }
    };
    assert_eq!(found("renmin ROAD").await, 21);
    assert_eq!(found("渣土").await, 21);
    assert_eq!(found("100%").await, 21);
    assert_eq!(found("1_0%").await, 0, "the signs of LIKE are plain signs");
    assert_eq!(found("20261125-").await, 1);
    let closed = CaseFilter {
        state: Some(CaseState::Closed),
        limit: 9,
        ..CaseFilter::default()
    };
    assert!(db.cases(&closed).await.unwrap().is_empty());
}

async fn steps(db: &Database) {
    let c = case("steps", 100);
    db.open_case(&c, "20261124", &event("open")).await.unwrap();
    let step = |text: &str| CaseStep {
        case: c.id,
        revision: 1,
        state: CaseState::Filed,
        filed_by: Some("lead".into()),
        closed_by: None,
        closed_at: None,
        event: CaseEvent {
            text: text.into(),
            ..event("file")
        },
    };
    let (first, second) = (step("a"), step("b"));
    let (a, b) = tokio::join!(db.step_case(&first), db.step_case(&second));
    assert_ne!(
        a.unwrap(),
        b.unwrap(),
        "of two who saw the same revision one is told to look again"
    );
    let now = db.case(c.id).await.unwrap().unwrap();
    assert_eq!(
        (now.state, now.filed_by.as_deref(), now.revision),
        (CaseState::Filed, Some("lead"), 2)
    );
    assert_eq!(db.case_events(c.id).await.unwrap().len(), 2);
}

async fn exhibits(db: &Database) {
    let c = case("exhibits", 200);
    db.open_case(&c, "20261124", &event("open")).await.unwrap();
    let range = TimeRange::new(UtcMicros(10), UtcMicros(20)).unwrap();
    let mut x = Exhibit {
        id: ExhibitId::generate(),
        case: c.id,
        kind: ExhibitKind::Clip,
        state: ExhibitState::Working,
        error: None,
        camera: Some(CameraId::new("cam-001").unwrap()),
        stream: Some(StreamRole::Main),
        vehicle: None,
        requested: range,
        delivered: None,
        gaps: vec![],
        purpose: "投诉核实".into(),
        created_by: "li".into(),
        created_at: UtcMicros(300),
        files: vec![],
        derived_from: None,
        recipe: None,
        fragments: None,
    };
    let origin = ExhibitOrigin {
        role: "acceptor".into(),
        audit_seq: 7,
    };
    assert!(db.add_exhibit(&x, &origin, &event("attach")).await.unwrap());
    assert_eq!(
        db.exhibit(x.id).await.unwrap(),
        Some((x.clone(), origin.clone()))
    );
    assert_eq!(
        db.working_exhibits().await.unwrap(),
        [(x.id, ExhibitKind::Clip)]
    );
    assert_eq!(
        db.case(c.id).await.unwrap().unwrap().revision,
        2,
        "an exhibit is a change of the case"
    );

    x.delivered = Some(TimeRange::new(UtcMicros(8), UtcMicros(20)).unwrap());
    x.gaps = vec![(
        TimeRange::new(UtcMicros(12), UtcMicros(14)).unwrap(),
        GapCause::RtpLoss,
    )];
    let name = |seq, byte: &str| FragmentName {
        seq,
        sha256: byte.repeat(32),
    };
    x.fragments = Some(TakenFragments {
        count: 3,
        first: name(7, "0a"),
        last: name(9, "0c"),
    });
    db.plan_exhibit(x.id, x.delivered.unwrap(), &x.gaps, x.fragments.as_ref())
        .await
        .unwrap();
    let file = |name: &str, from: Option<&str>| StoredFile {
        file: ExhibitFile {
            name: name.into(),
            bytes: 5_000_000_000,
            sha256: "ab".repeat(32),
            media_type: "video/mp4".into(),
            derived_from: from.map(str::to_owned),
            recipe: from.map(|_| "first key frame".to_owned()),
        },
        crc32: u32::MAX,
    };
    let files = [
        file("clip.mp4", None),
        file("still.jpg", Some("clip.mp4")),
        file("a.json", None),
    ];
    assert!(db.finish_exhibit(x.id, &files, Some("note")).await.unwrap());
    assert!(
        !db.finish_exhibit(x.id, &files, None).await.unwrap(),
        "once"
    );
    assert!(!db.fail_exhibit(x.id, "too late").await.unwrap());
    x.state = ExhibitState::Ready;
    x.error = Some("note".into());
    x.files = files.iter().map(|f| f.file.clone()).collect();
    assert_eq!(
        db.exhibits(c.id).await.unwrap(),
        [x.clone()],
        "in the order they were given"
    );
    assert_eq!(db.exhibit_files(x.id).await.unwrap(), files);

    derived(db, &x, &origin).await;
    let failing = Exhibit {
        id: ExhibitId::generate(),
        state: ExhibitState::Working,
        error: None,
        files: vec![],
        ..x.clone()
    };
    assert!(
        db.add_exhibit(&failing, &origin, &event("attach"))
            .await
            .unwrap()
    );
    assert!(db.fail_exhibit(failing.id, "disk full").await.unwrap());
    assert_eq!(
        db.exhibit(failing.id)
            .await
            .unwrap()
            .unwrap()
            .0
            .error
            .as_deref(),
        Some("disk full")
    );
    assert!(db.working_exhibits().await.unwrap().is_empty());
    let counted = CaseFilter {
        text: Some("exhibits".into()),
        limit: 9,
        ..CaseFilter::default()
    };
    assert_eq!(db.cases(&counted).await.unwrap()[0].1, 3);

    let revision = db.case(c.id).await.unwrap().unwrap().revision;
    let close = CaseStep {
        case: c.id,
        revision,
        state: CaseState::Closed,
        filed_by: None,
        closed_by: Some("lead".into()),
        closed_at: Some(UtcMicros(400)),
        event: event("close"),
    };
    assert!(db.step_case(&close).await.unwrap());
    let late = Exhibit {
        id: ExhibitId::generate(),
        ..failing
    };
    assert!(
        !db.add_exhibit(&late, &origin, &event("attach"))
            .await
            .unwrap(),
        "a closed case takes no more"
    );
    assert_eq!(db.exhibit(late.id).await.unwrap(), None);
}

/// What is made of an exhibit keeps its parent and its recipe, which is completed once.
async fn derived(db: &Database, parent: &Exhibit, origin: &ExhibitOrigin) {
    let mut x = Exhibit {
        id: ExhibitId::generate(),
        kind: ExhibitKind::ExactCut,
        state: ExhibitState::Working,
        error: None,
        delivered: None,
        gaps: vec![],
        files: vec![],
        derived_from: Some(parent.id),
        recipe: Some(serde_json::json!({"name": "exact_cut", "version": 1})),
        fragments: None,
        created_at: parent.created_at + 1,
        ..parent.clone()
    };
    assert!(db.add_exhibit(&x, origin, &event("attach")).await.unwrap());
    assert_eq!(
        db.working_exhibits().await.unwrap(),
        [(x.id, ExhibitKind::ExactCut)]
    );
    let recipe = serde_json::json!({"name": "exact_cut", "version": 1, "encoder": "libx264"});
    db.complete_recipe(x.id, &recipe).await.unwrap();
    assert!(db.finish_exhibit(x.id, &[], None).await.unwrap());
    let late = serde_json::json!({});
    db.complete_recipe(x.id, &late).await.unwrap();
    (x.state, x.recipe) = (ExhibitState::Ready, Some(recipe));
    assert_eq!(db.exhibit(x.id).await.unwrap().unwrap().0, x);
    assert_eq!(
        db.exhibits(parent.case).await.unwrap(),
        [parent.clone(), x],
        "the parent stays what it was"
    );
}
