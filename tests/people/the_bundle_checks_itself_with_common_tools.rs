use std::path::Path;
use std::process::Command;

use futures_util::{StreamExt, TryStreamExt};
use zhenbei::access::{Actor, Role};
use zhenbei::model::CaseId;

use crate::recorded::{Evidence, clip, footage, track};

async fn bytes(e: &Evidence, actor: &Actor, case: CaseId) -> Vec<u8> {
    let bundle = e.exhibits.bundle(actor, case).await.unwrap();
    assert_eq!(bundle.file_name, "20261124-0001.zip");
    let all = bundle.bytes.try_collect::<Vec<_>>().await.unwrap().concat();
    assert_eq!(
        all.len() as u64,
        bundle.len,
        "the length is known beforehand"
    );
    all
}

fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let out = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.success(),
        "{program}: {text} {}",
        String::from_utf8_lossy(&out.stderr)
    );
    text
}

#[tokio::test]
async fn another_program_unpacks_it_and_every_sum_is_right() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let c = e.attached(&li, case, clip()).await;
    e.recorded
        .gone
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let t = e.attached(&li, case, track()).await;
    let zip = bytes(&e, &li, case).await;
    assert_eq!(
        bytes(&e, &li, case).await,
        zip,
        "the same case gives the same bytes"
    );

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b.zip"), &zip).unwrap();
    run(dir.path(), "python3", &["-m", "zipfile", "-t", "b.zip"]);
    run(
        dir.path(),
        "python3",
        &["-m", "zipfile", "-e", "b.zip", "out"],
    );
    let out = dir.path().join("out");
    let sums = run(&out, "sha256sum", &["-c", "SHA256SUMS"]);
    assert_eq!(sums.lines().count(), 1 + 3 + 2, "{sums}");
    assert_eq!(
        std::fs::read(out.join(format!("exhibits/{}/clip.mp4", c.id))).unwrap(),
        footage()
    );
    assert!(
        out.join(format!("exhibits/{}/track.geojson", t.id))
            .is_file()
    );
    let told: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("case.json")).unwrap()).unwrap();
    assert_eq!(
        (told["no"].as_str(), told["state"].as_str()),
        (Some("20261124-0001"), Some("reported"))
    );
    assert_eq!(told["exhibit_list"].as_array().unwrap().len(), 2);
    assert_eq!(told["events"].as_array().unwrap().len(), 3);
    let exports: Vec<_> = e
        .centre
        .record()
        .await
        .into_iter()
        .filter(|l| l.contains(" export "))
        .collect();
    assert_eq!(exports, vec![format!("li export case/{case} ok"); 2]);
}

#[tokio::test]
async fn a_case_without_exhibits_has_a_bundle_too() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b.zip"), bytes(&e, &li, case).await).unwrap();
    run(
        dir.path(),
        "python3",
        &["-m", "zipfile", "-e", "b.zip", "out"],
    );
    assert_eq!(
        run(&dir.path().join("out"), "sha256sum", &["-c", "SHA256SUMS"]),
        "case.json: OK\n"
    );
}

#[tokio::test]
async fn a_file_that_was_changed_in_storage_breaks_the_download_off() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    let x = e.attached(&li, case, clip()).await;
    let path = e
        .centre
        .dir
        .path()
        .join(format!("evidence/cases/{case}/{}/clip.mp4", x.id));
    let mut changed = footage();
    changed[1_500_000] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let bundle = e.exhibits.bundle(&li, case).await.unwrap();
    let pieces: Vec<_> = bundle.bytes.collect().await;
    let error = pieces.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(
        error.contains("clip.mp4") && error.contains("restore the file from a backup"),
        "{error}"
    );
    assert!(
        e.centre
            .record()
            .await
            .last()
            .unwrap()
            .ends_with(&format!("export case/{case} failed"))
    );

    std::fs::write(&path, &changed[..2_999_999]).unwrap();
    let short = e.exhibits.bundle(&li, case).await.err().unwrap();
    assert_eq!(
        short.code(),
        "evidence_damaged",
        "a wrong length is refused before the first byte"
    );
    std::fs::remove_file(&path).unwrap();
    let missing = e.exhibits.bundle(&li, case).await.err().unwrap();
    assert!(missing.detail().contains("is missing"), "{missing}");
}

#[tokio::test]
async fn a_download_that_the_client_leaves_stays_open_on_record() {
    let e = Evidence::new().await;
    let li = e.centre.person("li", Role::Acceptor).await;
    let case = e.case(&li).await;
    e.attached(&li, case, clip()).await;
    let mut bundle = e.exhibits.bundle(&li, case).await.unwrap();
    bundle.bytes.next().await.unwrap().unwrap();
    drop(bundle);
    assert_eq!(
        *e.centre.record().await.last().unwrap(),
        format!("li export case/{case} open")
    );
}
