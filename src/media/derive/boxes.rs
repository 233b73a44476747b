//! ISO/IEC 14496-12 boxes for what is made of a clip: read from a finished MP4 file, written to another.
//!
//! The archive's boxes live in a room above this one and read only what it wrote itself; these also take 64-bit sizes.

/// Fields of a box; every read says whether the bytes were there.
#[derive(Clone, Copy)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn slice(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn skip(&mut self, n: usize) -> Option<()> {
        self.slice(n).map(|_| ())
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// The next box: kind and content.
    pub(super) fn next_box(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let mut ahead = *self;
        let size = u64::from(ahead.u32()?);
        let kind = ahead.array()?;
        let (size, head) = if size == 1 {
            (ahead.u64()?, 16)
        } else {
            (size, 8)
        };
        let content = ahead.slice(usize::try_from(size.checked_sub(head)?).ok()?)?;
        *self = ahead;
        Some((kind, content))
    }

    /// The content of the first box of this kind among those that follow.
    pub(super) fn find(mut self, wanted: &[u8; 4]) -> Option<Self> {
        while let Some((kind, content)) = self.next_box() {
            if kind == *wanted {
                return Some(Self(content));
            }
        }
        None
    }

    /// As [`Input::find`], for a `FullBox`: its version, and what follows version and flags.
    pub(super) fn find_full(self, wanted: &[u8; 4]) -> Option<(u8, Self)> {
        let mut found = self.find(wanted)?;
        let version = found.u8()?;
        found.skip(3)?;
        Some((version, found))
    }
}

/// A buffer that boxes are written to.
#[derive(Default)]
pub(super) struct Boxes {
    pub(super) buf: Vec<u8>,
}

impl Boxes {
    /// A box: its size is filled in when `body` has written the content. Tables of a day stay far below 4 GB.
    pub(super) fn nest(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let at = self.buf.len();
        self.u32(0);
        self.bytes(kind);
        body(self);
        let size = u32::try_from(self.buf.len() - at).unwrap_or(u32::MAX);
        if let Some(place) = self.buf.get_mut(at..at + 4) {
            place.copy_from_slice(&size.to_be_bytes());
        }
    }

    pub(super) fn full(
        &mut self,
        kind: &[u8; 4],
        version: u8,
        flags: u32,
        body: impl FnOnce(&mut Self),
    ) {
        self.nest(kind, |b| {
            b.u32(u32::from(version) << 24 | (flags & 0x00ff_ffff));
            body(b);
        });
    }

    pub(super) fn u16(&mut self, v: u16) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn u32(&mut self, v: u32) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn i32(&mut self, v: i32) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn u64(&mut self, v: u64) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn i64(&mut self, v: i64) {
        self.bytes(&v.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, v: &[u8]) {
        self.buf.extend_from_slice(v);
    }

    pub(super) fn zeros(&mut self, n: usize) {
        self.buf.resize(self.buf.len() + n, 0);
    }
}
