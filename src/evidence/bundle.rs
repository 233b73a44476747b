//! A case in one file: a ZIP with every file of every exhibit, `case.json` and `SHA256SUMS`, sent while it is read.
//!
//! `unzip` and `sha256sum -c SHA256SUMS` check it. Memory does not grow with the case; the same case gives the same bytes. A file
//! that is not what was recorded breaks the download off: a short file is noticed, a wrong one would not be.

use std::io;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

use super::case_json::case_json;
use super::exhibits::{Exhibits, blob};
use super::files::damaged;
use super::zip::{Layout, ZipEntry};
use crate::access::{Action, Actor, Entry, Permission};
use crate::model::{CaseId, Error, Exhibit, ExhibitState, Result, UtcMicros};
use crate::store::{BlobName, ByteStream};

pub struct Bundle {
    /// `NUMBER.zip`.
    pub file_name: String,
    /// Exactly as many bytes come.
    pub len: u64,
    pub bytes: ByteStream,
}

enum Content {
    Text(Bytes),
    Stored {
        name: BlobName,
        bytes: u64,
        sha256: String,
    },
}

struct Item {
    entry: ZipEntry,
    sha256: String,
    content: Content,
}

impl Exhibits {
    pub async fn bundle(&self, actor: &Actor, case: CaseId) -> Result<Bundle> {
        let object = format!("case/{case}");
        let entry = self
            .0
            .parts
            .audit
            .begin(actor, Action::Export, &object, "")
            .await?;
        match self.bundle_recorded(actor, case).await {
            Ok((file_name, layout, items)) => {
                let len = layout.len();
                let bytes = on_record(self.send(layout, items), len, entry);
                Ok(Bundle {
                    file_name,
                    len,
                    bytes,
                })
            }
            Err(e) => entry.settle(Err(e)).await,
        }
    }

    async fn bundle_recorded(
        &self,
        actor: &Actor,
        id: CaseId,
    ) -> Result<(String, Layout, Vec<Item>)> {
        let db = &self.0.parts.db;
        let object = format!("case/{id}");
        actor.need(Permission::ExhibitView, &object)?;
        actor.need(Permission::RecordingDownload, &object)?;
        let case = self.case(id).await?;
        let exhibits = db.exhibits(id).await?;
        let working = exhibits
            .iter()
            .filter(|x| x.state == ExhibitState::Working)
            .count();
        if working > 0 {
            return Err(Error::conflict(
                "not_ready",
                format!(
                    "{working} exhibits of case {} are still being copied; try again in a moment",
                    case.no
                ),
            ));
        }
        let events = db.case_events(id).await?;
        let mut items = vec![text(
            "case.json",
            case_json(&case, &events, &exhibits),
            case.opened_at,
        )];
        for x in exhibits.iter().filter(|x| x.state == ExhibitState::Ready) {
            self.stored_files(x, &mut items).await?;
        }
        let sums: String = items
            .iter()
            .map(|i| format!("{}  {}\n", i.sha256, i.entry.name))
            .collect();
        items.push(text("SHA256SUMS", sums, case.opened_at));
        let layout = Layout::new(items.iter().map(|i| i.entry.clone()).collect());
        Ok((format!("{}.zip", case.no), layout, items))
    }

    async fn stored_files(&self, x: &Exhibit, items: &mut Vec<Item>) -> Result<()> {
        for f in self.0.parts.db.exhibit_files(x.id).await? {
            self.undamaged_length(x, &f.file).await?;
            items.push(Item {
                entry: ZipEntry {
                    name: format!("exhibits/{}/{}", x.id, f.file.name),
                    bytes: f.file.bytes,
                    crc32: f.crc32,
                    modified: x.created_at,
                },
                sha256: f.file.sha256.clone(),
                content: Content::Stored {
                    name: blob(x, &f.file.name)?,
                    bytes: f.file.bytes,
                    sha256: f.file.sha256,
                },
            });
        }
        Ok(())
    }

    fn send(&self, layout: Layout, items: Vec<Item>) -> ByteStream {
        let blobs = self.0.parts.blobs.clone();
        let directory = stream::iter([Ok(Bytes::from(layout.directory()))]);
        let entries = layout.local_headers().into_iter().zip(items);
        stream::iter(entries)
            .then(move |(header, item)| {
                let blobs = blobs.clone();
                async move {
                    let header = stream::iter([Ok(Bytes::from(header))]);
                    let content = match item.content {
                        Content::Text(text) => stream::iter([Ok(text)]).boxed(),
                        Content::Stored {
                            name,
                            bytes,
                            sha256,
                        } => {
                            let stored = blobs
                                .read(&name, 0..bytes)
                                .await
                                .map_err(io::Error::other)?;
                            checked(stored, bytes, sha256, name)
                        }
                    };
                    io::Result::Ok(header.chain(content))
                }
            })
            .try_flatten()
            .chain(directory)
            .boxed()
    }
}

fn text(name: &str, content: String, modified: UtcMicros) -> Item {
    let bytes = Bytes::from(content);
    Item {
        entry: ZipEntry {
            name: name.into(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            crc32: crc32fast::hash(&bytes),
            modified,
        },
        sha256: hex::encode(Sha256::digest(&bytes)),
        content: Content::Text(bytes),
    }
}

/// Passes the bytes on, and breaks off before the last piece when they are not the recorded ones.
fn checked(bytes: ByteStream, len: u64, sha256: String, name: BlobName) -> ByteStream {
    let begin = (bytes, Sha256::new(), len, Some((sha256, name)));
    stream::try_unfold(begin, |(mut bytes, mut hash, left, expected)| async move {
        let Some((sha256, name)) = expected else {
            return Ok(None);
        };
        if left == 0 {
            // An empty file: nothing was read that could have been hashed.
            return Ok(None);
        }
        let piece = bytes.try_next().await?;
        let wrong = || {
            io::Error::other(damaged(&format!(
                "{name} in evidence storage is not what was recorded"
            )))
        };
        let piece = piece.ok_or_else(wrong)?;
        hash.update(&piece);
        let size = u64::try_from(piece.len()).map_err(io::Error::other)?;
        let left = left.checked_sub(size).ok_or_else(wrong)?;
        if left > 0 {
            return Ok(Some((piece, (bytes, hash, left, Some((sha256, name))))));
        }
        if hex::encode(std::mem::take(&mut hash).finalize()) != sha256 {
            return Err(wrong());
        }
        Ok(Some((piece, (bytes, hash, 0, None))))
    })
    .boxed()
}

/// Closes the audit entry when the last byte goes out or the reading fails; when the client goes away, it stays `open`.
fn on_record(bytes: ByteStream, len: u64, entry: Entry) -> ByteStream {
    stream::try_unfold(
        (bytes, len, Some(entry)),
        |(mut bytes, left, entry)| async move {
            match bytes.try_next().await {
                Ok(None) => Ok(None),
                Ok(Some(piece)) => {
                    let left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(left));
                    let mut entry = entry;
                    if left == 0
                        && let Some(entry) = entry.take()
                    {
                        entry.ok().await;
                    }
                    Ok(Some((piece, (bytes, left, entry))))
                }
                Err(e) => {
                    tracing::error!(error = %e, "a bundle was broken off");
                    if let Some(entry) = entry {
                        entry.failed(&e.to_string()).await;
                    }
                    Err(e)
                }
            }
        },
    )
    .boxed()
}
