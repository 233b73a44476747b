//! A ZIP of stored entries, laid out before the first byte is sent (APPNOTE 6.3.10; ZIP64 where 32 bits do not suffice).
//!
//! Sans-IO: sizes and checksums are known beforehand, so every header and the length of the whole are too.

use crate::model::UtcMicros;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// "Version needed": 4.5, the first with ZIP64.
const VERSION: u16 = 45;
/// Names are UTF-8 (general purpose bit 11).
const UTF8: u16 = 1 << 11;
const ZIP64_EXTRA: u16 = 1;
/// A field of 32 bits that holds this points to the ZIP64 one.
const FULL: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct ZipEntry {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) crc32: u32,
    pub(super) modified: UtcMicros,
}

pub(super) struct Layout {
    entries: Vec<ZipEntry>,
    /// Where the local header of each entry begins.
    offsets: Vec<u64>,
    directory_at: u64,
}

impl Layout {
    pub(super) fn new(entries: Vec<ZipEntry>) -> Self {
        let mut at = 0_u64;
        let mut offsets = Vec::with_capacity(entries.len());
        for entry in &entries {
            offsets.push(at);
            at = at
                .saturating_add(length(&local_header(entry)))
                .saturating_add(entry.bytes);
        }
        Self {
            entries,
            offsets,
            directory_at: at,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.directory_at.saturating_add(length(&self.directory()))
    }

    /// What stands before the bytes of each entry.
    pub(super) fn local_headers(&self) -> Vec<Vec<u8>> {
        self.entries.iter().map(local_header).collect()
    }

    /// What follows the last entry.
    pub(super) fn directory(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (entry, offset) in self.entries.iter().zip(&self.offsets) {
            central_header(&mut out, entry, *offset);
        }
        let size = length(&out);
        let count = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        let small_count = u16::try_from(count).unwrap_or(u16::MAX);
        let beyond_32_bits =
            small_count == u16::MAX || small(size) == FULL || small(self.directory_at) == FULL;
        if beyond_32_bits {
            let end_at = self.directory_at.saturating_add(size);
            u32s(&mut out, &[END_64]);
            u64s(&mut out, &[44]);
            u16s(&mut out, &[VERSION, VERSION]);
            u32s(&mut out, &[0, 0]);
            u64s(&mut out, &[count, count, size, self.directory_at]);
            u32s(&mut out, &[LOCATOR_64, 0]);
            u64s(&mut out, &[end_at]);
            u32s(&mut out, &[1]);
        }
        u32s(&mut out, &[END]);
        u16s(&mut out, &[0, 0, small_count, small_count]);
        u32s(&mut out, &[small(size), small(self.directory_at)]);
        u16s(&mut out, &[0]);
        out
    }
}

fn local_header(e: &ZipEntry) -> Vec<u8> {
    let mut out = Vec::new();
    let size = small(e.bytes);
    let extra: u16 = if size == FULL { 20 } else { 0 };
    u32s(&mut out, &[LOCAL]);
    u16s(&mut out, &[VERSION, UTF8, 0]);
    let (time, date) = dos_time(e.modified);
    u16s(&mut out, &[time, date]);
    u32s(&mut out, &[e.crc32, size, size]);
    u16s(&mut out, &[name_len(e), extra]);
    out.extend_from_slice(e.name.as_bytes());
    if extra > 0 {
        u16s(&mut out, &[ZIP64_EXTRA, 16]);
        u64s(&mut out, &[e.bytes, e.bytes]);
    }
    out
}

fn central_header(out: &mut Vec<u8>, e: &ZipEntry, offset: u64) {
    let (size, at) = (small(e.bytes), small(offset));
    // Only the fields that are full, in this order (APPNOTE §4.5.3).
    let mut wide = Vec::new();
    if size == FULL {
        wide.extend([e.bytes, e.bytes]);
    }
    if at == FULL {
        wide.push(offset);
    }
    let wide_len = u16::try_from(wide.len() * 8).unwrap_or(0);
    let extra = if wide.is_empty() { 0 } else { wide_len + 4 };
    u32s(out, &[CENTRAL]);
    // Made on Unix (3), so that the permissions below count.
    u16s(out, &[(3 << 8) | VERSION, VERSION, UTF8, 0]);
    let (time, date) = dos_time(e.modified);
    u16s(out, &[time, date]);
    u32s(out, &[e.crc32, size, size]);
    u16s(out, &[name_len(e), extra, 0, 0, 0]);
    // A plain file that everybody may read and nobody should write.
    u32s(out, &[0o100_444 << 16, at]);
    out.extend_from_slice(e.name.as_bytes());
    if !wide.is_empty() {
        u16s(out, &[ZIP64_EXTRA, wide_len]);
        u64s(out, &wide);
    }
}

fn small(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(FULL)
}

fn name_len(e: &ZipEntry) -> u16 {
    // Names are ours and short.
    u16::try_from(e.name.len()).unwrap_or(u16::MAX)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn u16s(out: &mut Vec<u8>, values: &[u16]) {
    values
        .iter()
        .for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn u32s(out: &mut Vec<u8>, values: &[u32]) {
    values
        .iter()
        .for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

fn u64s(out: &mut Vec<u8>, values: &[u64]) {
    values
        .iter()
        .for_each(|v| out.extend_from_slice(&v.to_le_bytes()));
}

/// Local time of Beijing in steps of two seconds, as ZIP tools show it. What DOS cannot say becomes its first day.
fn dos_time(t: UtcMicros) -> (u16, u16) {
    const FIRST_DAY: (u16, u16) = (0, (1 << 5) | 1);
    let Ok(utc) = jiff::Timestamp::from_microsecond(t.0) else {
        return FIRST_DAY;
    };
    let local = jiff::tz::Offset::constant(8).to_datetime(utc);
    let Ok(year) = u16::try_from(i32::from(local.year()) - 1980) else {
        return FIRST_DAY;
    };
    if year > 127 {
        return FIRST_DAY;
    }
    let part = |v: i8| u16::try_from(v).unwrap_or(0);
    let time =
        (part(local.hour()) << 11) | (part(local.minute()) << 5) | (part(local.second()) / 2);
    (
        time,
        (year << 9) | (part(local.month()) << 5) | part(local.day()),
    )
}

#[cfg(test)]
#[path = "zip_tests.rs"]
mod tests;
