//! ISO/IEC 14496-12 boxes, written and read.
//!
//! Written by hand and not through a box library: the bytes must be the same for ever (hashes, entity tags), a fragment must
//! be one buffer without a copy of its samples, and recovery must read what a crash left, byte by byte.

/// Number of bytes or entries as a box field. Larger values cannot occur: fragments and tables are bounded far below.
pub(super) fn u32_of(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A buffer that boxes are written to.
#[derive(Debug, Default)]
pub(super) struct Boxes {
    pub(super) buf: Vec<u8>,
}

impl Boxes {
    pub(super) fn with_capacity(n: usize) -> Self {
        Self {
            buf: Vec::with_capacity(n),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.buf.len()
    }

    /// A box: its size is filled in when `body` has written the content.
    pub(super) fn nest(&mut self, kind: &[u8; 4], body: impl FnOnce(&mut Self)) {
        let at = self.buf.len();
        self.u32(0);
        self.bytes(kind);
        body(self);
        let size = u32_of(self.buf.len() - at);
        self.put_u32(at, size);
    }

    /// A `FullBox`.
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

    pub(super) fn u8(&mut self, v: u8) {
        self.buf.push(v);
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

    /// Overwrites what was written before.
    pub(super) fn put_u32(&mut self, at: usize, v: u32) {
        self.put(at, &v.to_be_bytes());
    }

    pub(super) fn put(&mut self, at: usize, v: &[u8]) {
        if let Some(place) = self.buf.get_mut(at..at + v.len()) {
            place.copy_from_slice(v);
        }
    }
}

/// Reads fields; every read says whether the bytes were there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn slice(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// The next box: kind and content. 64-bit sizes are not used in our files and are refused, as are sizes that do not fit.
    pub(super) fn next_box(&mut self) -> Option<([u8; 4], &'a [u8])> {
        let mut ahead = *self;
        let size = usize::try_from(ahead.u32()?).ok()?;
        let kind = ahead.array()?;
        let content = ahead.slice(size.checked_sub(8)?)?;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut b = Boxes::default();
        b.nest(b"moof", |b| b.full(b"mfhd", 1, 7, |b| b.u32(42)));
        let mut moof = Input(&b.buf).find(b"moof").unwrap();
        assert!(Input(&b.buf).find(b"mdat").is_none());
        let (kind, content) = moof.next_box().unwrap();
        assert_eq!((&kind, content), (b"mfhd", &[1, 0, 0, 7, 0, 0, 0, 42][..]));
        assert!(
            Input(&b.buf[..b.len() - 1]).next_box().is_none(),
            "a torn box is none"
        );
    }
}
