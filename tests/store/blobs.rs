//! Evidence storage: whole or not at all, never overwritten, hashed as written, read in any part.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use zhenbei::model::ErrorKind;
use zhenbei::store::{BlobName, Blobs, ByteStream, Folder};

fn name(text: &str) -> BlobName {
    BlobName::new(text).unwrap()
}

fn pieces(bytes: &[u8], size: usize) -> ByteStream {
    let pieces: Vec<_> = bytes
        .chunks(size)
        .map(|c| Ok(Bytes::copy_from_slice(c)))
        .collect();
    stream::iter(pieces).boxed()
}

async fn read(blobs: &dyn Blobs, n: &BlobName, range: Range<u64>) -> Vec<u8> {
    blobs
        .read(n, range)
        .await
        .unwrap()
        .try_collect::<Vec<_>>()
        .await
        .unwrap()
        .concat()
}

pub(crate) async fn suite(blobs: &dyn Blobs) {
    let content: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let (clip, other) = (name("cases/a/clip.mp4"), name("cases/b/clip.mp4"));
    let stored = blobs
        .put_once(&clip, pieces(&content, 70_001))
        .await
        .unwrap();
    assert_eq!(stored.bytes, 1_000_003);
    assert_eq!(stored.sha256, hex::encode(Sha256::digest(&content)));
    assert_eq!(stored.crc32, crc32fast::hash(&content));
    assert_eq!(blobs.len(&clip).await.unwrap(), Some(1_000_003));
    assert_eq!(read(blobs, &clip, 0..1_000_003).await, content);
    assert_eq!(
        read(blobs, &clip, 999_990..2_000_000).await,
        content[999_990..],
        "beyond the end is left out"
    );
    assert_eq!(
        read(blobs, &clip, 300_000..300_001).await,
        content[300_000..300_001]
    );
    assert!(read(blobs, &clip, 5..5).await.is_empty());

    let again = blobs
        .put_once(&clip, pieces(b"forged", 6))
        .await
        .unwrap_err();
    assert_eq!(
        (again.kind(), again.code()),
        (ErrorKind::Conflict, "exists")
    );
    assert_eq!(
        read(blobs, &clip, 0..9).await,
        content[..9],
        "the first stays"
    );

    // Of two who write at once one wins, and what is there is one of them, whole.
    let (a, b) = (vec![1; 500_000], vec![2; 500_000]);
    let (first, second) = tokio::join!(
        blobs.put_once(&other, pieces(&a, 9_999)),
        blobs.put_once(&other, pieces(&b, 9_999))
    );
    assert_ne!(first.is_ok(), second.is_ok());
    let there = read(blobs, &other, 0..500_000).await;
    assert_eq!(there, if first.is_ok() { a } else { b });

    let half = name("cases/c/half.mp4");
    let breaks: ByteStream = stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(io::Error::other("medium error")),
    ])
    .boxed();
    assert_eq!(
        blobs.put_once(&half, breaks).await.unwrap_err().code(),
        "source_failed"
    );
    assert_eq!(blobs.len(&half).await.unwrap(), None);
    assert_eq!(
        blobs.read(&half, 0..1).await.err().unwrap().kind(),
        ErrorKind::NotFound
    );
    let leaves = blobs.put_once(
        &half,
        stream::iter([Ok(Bytes::from_static(b"half"))])
            .chain(stream::pending())
            .boxed(),
    );
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), leaves)
            .await
            .is_err()
    );
    assert_eq!(
        blobs.len(&half).await.unwrap(),
        None,
        "the caller went away"
    );

    let empty = name("cases/a/empty");
    assert_eq!(
        blobs.put_once(&empty, pieces(b"", 1)).await.unwrap().bytes,
        0
    );
    assert_eq!(blobs.len(&empty).await.unwrap(), Some(0));
    assert_eq!(
        blobs.list("").await.unwrap(),
        [clip.clone(), empty.clone(), other.clone()],
        "nothing half-written"
    );
    assert_eq!(
        blobs.list("cases/a").await.unwrap(),
        [clip.clone(), empty.clone()]
    );
    assert!(blobs.list("cases/z").await.unwrap().is_empty());
    assert!(blobs.delete(&empty).await.unwrap());
    assert!(!blobs.delete(&empty).await.unwrap());
    assert_eq!(blobs.list("cases/a").await.unwrap(), [clip]);
    assert!(blobs.free().await.unwrap().is_none_or(|f| f > 0));
}

#[tokio::test]
async fn a_folder_keeps_the_promises() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path().join("evidence")).await.unwrap();
    suite(&folder).await;
    let left = std::fs::read_dir(dir.path().join("evidence/.tmp"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "no half-written file stays behind");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("evidence");
    std::fs::write(&file, b"not a folder").unwrap();
    let error = Folder::open(&file).await.err().unwrap();
    assert_eq!(error.code(), "evidence_storage_down");
    assert!(error.detail().contains("check that it exists"), "{error}");
}
