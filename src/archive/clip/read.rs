//! The bytes of a virtual file: a head in memory, then ranges of files, read a chunk at a time.
//!
//! Not `sendfile`: hyper owns the socket, frames the answer and, with TLS, encrypts it, so the bytes must pass through this
//! process. What can be saved is saved: buffers are used again (never cleared, their pages known to the processor), each chunk
//! is one hop to a blocking thread, and hyper writes it without another copy. `make bench-clip` puts the price beside `sendfile`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::Stream;

use super::plan::Piece;
use crate::archive::retention::Pinned;
use crate::archive::volumes::Volumes;

/// Memory of one reader. Larger ones leave the processor's cache between the read and the write.
const CHUNK: usize = 256 << 10;
/// Buffers kept for the next reader.
const SPARE: usize = 32;

static SPARES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// A chunk on its way; its buffer comes back when the socket has taken it.
struct Lent {
    buffer: Vec<u8>,
    len: usize,
}

impl Lent {
    fn new() -> Self {
        let spare = SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self {
            buffer: spare.unwrap_or_else(|| vec![0; CHUNK]),
            len: 0,
        }
    }

    /// The next `n` bytes to be filled.
    fn room(&mut self, n: usize) -> &mut [u8] {
        let from = self.len;
        self.len = (from + n).min(self.buffer.len());
        self.buffer.get_mut(from..self.len).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARE {
            spares.push(std::mem::take(&mut self.buffer));
        }
    }
}

pub(in crate::archive) struct Body {
    layout: Arc<Layout>,
    _pinned: Pinned,
}

/// What a virtual file consists of. Keeps no file alive by itself.
pub(super) struct Layout {
    volumes: Arc<Volumes>,
    head: Bytes,
    pieces: Vec<Piece>,
    /// Where each piece begins in the virtual file.
    starts: Vec<u64>,
    len: u64,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body")
            .field("len", &self.layout.len)
            .field("pieces", &self.layout.pieces.len())
            .finish_non_exhaustive()
    }
}

/// The file read last stays open for the next chunk.
#[derive(Default)]
struct Opened(Option<(Arc<str>, File)>);

impl Layout {
    pub(super) fn new(volumes: Arc<Volumes>, head: Vec<u8>, pieces: Vec<Piece>) -> Self {
        let mut len = head.len() as u64;
        let mut starts = Vec::with_capacity(pieces.len());
        for p in &pieces {
            starts.push(len);
            len += p.len;
        }
        Self {
            volumes,
            head: head.into(),
            pieces,
            starts,
            len,
        }
    }

    /// What of the range lies in memory, when it begins there.
    fn head_part(&self, range: Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start).ok()?;
        if from >= self.head.len() {
            return None;
        }
        let to = usize::try_from(range.end).map_or(self.head.len(), |to| to.min(self.head.len()));
        Some(self.head.slice(from..to))
    }

    /// Memory it takes, about.
    pub(super) fn weight(&self) -> usize {
        self.head.len() + self.pieces.len() * (size_of::<Piece>() + size_of::<u64>())
    }
}

impl Body {
    pub(super) fn new(layout: Arc<Layout>, pinned: Pinned) -> Self {
        Self {
            layout,
            _pinned: pinned,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.layout.len
    }

    pub(super) fn read(
        self: Arc<Self>,
        range: Range<u64>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let end = range.end.min(self.layout.len);
        let state = Some((self, range.start, Opened::default()));
        futures_util::stream::unfold(state, move |state| async move {
            let (body, at, mut opened) = state?;
            if at >= end {
                return None;
            }
            // What is in memory does not wait for a disk: it is the first byte that a player waits for.
            if let Some(head) = body.layout.head_part(at..end) {
                let next = at + head.len() as u64;
                return Some((Ok(head), Some((body, next, opened))));
            }
            let n = (end - at).min(CHUNK as u64);
            let again = Arc::clone(&body);
            let work = tokio::task::spawn_blocking(move || {
                let bytes = again.read_at(at, n, &mut opened)?;
                Ok::<_, io::Error>((bytes, opened))
            });
            match work.await {
                Ok(Ok((bytes, opened))) => Some((Ok(bytes), Some((body, at + n, opened)))),
                // After an error there is nothing more.
                Ok(Err(e)) => Some((Err(e), None)),
                Err(e) => Some((Err(io::Error::other(e)), None)),
            }
        })
    }

    fn read_at(&self, mut at: u64, mut n: u64, opened: &mut Opened) -> io::Result<Bytes> {
        let layout = &*self.layout;
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let mut out = Lent::new();
        let mut i = layout
            .starts
            .partition_point(|s| *s <= at)
            .saturating_sub(1);
        while n > 0 {
            let (Some(piece), Some(start)) = (layout.pieces.get(i), layout.starts.get(i)) else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let skip = at - start;
            let take = n.min(piece.len - skip);
            let file = opened.file(&layout.volumes, &piece.path)?;
            file.read_exact_at(out.room(size(take)), piece.offset + skip)
                .map_err(|e| {
                    io::Error::new(
                        e.kind(),
                        format!(
                            "{}: cannot read {take} bytes at {}: {e}",
                            piece.path,
                            piece.offset + skip
                        ),
                    )
                })?;
            at += take;
            n -= take;
            i += 1;
        }
        Ok(Bytes::from_owner(out))
    }
}

impl Opened {
    fn file(&mut self, volumes: &Volumes, path: &Arc<str>) -> io::Result<&File> {
        if self.0.as_ref().is_none_or(|(p, _)| p != path) {
            self.0 = Some((Arc::clone(path), volumes.open(path)?));
        }
        match &self.0 {
            Some((_, file)) => Ok(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// A whole run of one file, for readers of other kinds.
pub(in crate::archive) fn of_file(
    volumes: Arc<Volumes>,
    path: &str,
    len: u64,
    pinned: Pinned,
) -> Body {
    let piece = Piece {
        path: path.into(),
        offset: 0,
        len,
    };
    Body::new(
        Arc::new(Layout::new(volumes, Vec::new(), vec![piece])),
        pinned,
    )
}

pub(in crate::archive) fn stream_of(
    body: &Arc<Body>,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    Arc::clone(body).read(range)
}
