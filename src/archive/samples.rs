//! The per-sample table of a fragment, packed: what a clip needs to know of every picture without reading the file.
//!
//! Layout: version (1), flags (1: composition offsets, 2: audio), then unsigned LEB128 numbers: offset of the first video
//! sample from the fragment's start; number of video samples; for each duration, size·2 + key, and with flag 1 the
//! composition offset (zigzag); with flag 2 the audio start relative to the fragment's (zigzag), number of audio samples,
//! and for each duration and size. Audio lies right behind the video.

const VERSION: u8 = 1;
const HAS_OFFSETS: u8 = 1;
const HAS_AUDIO: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VideoSample {
    /// 90 kHz.
    pub(super) duration: u32,
    pub(super) size: u32,
    /// Composition offset, 90 kHz; negative when pictures are shown before their decode time.
    pub(super) offset: i32,
    pub(super) key: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioSample {
    pub(super) duration: u32,
    pub(super) size: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct AudioTable {
    /// Start of the first sample relative to the fragment's, in audio ticks.
    pub(super) start: i64,
    pub(super) samples: Vec<AudioSample>,
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct SampleTable {
    /// Of the first video sample from the fragment's start.
    pub(super) data: u32,
    pub(super) video: Vec<VideoSample>,
    pub(super) audio: Option<AudioTable>,
}

impl SampleTable {
    pub(super) fn video_bytes(&self) -> u64 {
        self.video.iter().map(|s| u64::from(s.size)).sum()
    }

    pub(super) fn audio_bytes(&self) -> u64 {
        self.audio
            .iter()
            .flat_map(|a| &a.samples)
            .map(|s| u64::from(s.size))
            .sum()
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let offsets = self.video.iter().any(|s| s.offset != 0);
        let mut out = Vec::with_capacity(8 + self.video.len() * 6);
        out.push(VERSION);
        out.push(
            if offsets { HAS_OFFSETS } else { 0 }
                | if self.audio.is_some() { HAS_AUDIO } else { 0 },
        );
        put(&mut out, u64::from(self.data));
        put(&mut out, self.video.len() as u64);
        for s in &self.video {
            put(&mut out, u64::from(s.duration));
            put(&mut out, u64::from(s.size) << 1 | u64::from(s.key));
            if offsets {
                put(&mut out, zigzag(i64::from(s.offset)));
            }
        }
        if let Some(audio) = &self.audio {
            put(&mut out, zigzag(audio.start));
            put(&mut out, audio.samples.len() as u64);
            for s in &audio.samples {
                put(&mut out, u64::from(s.duration));
                put(&mut out, u64::from(s.size));
            }
        }
        out
    }

    /// `None` when the bytes are not such a table.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Self> {
        let [VERSION, flags, rest @ ..] = bytes else {
            return None;
        };
        let mut at = rest;
        let data = u32::try_from(take(&mut at)?).ok()?;
        let n = count(take(&mut at)?, at.len())?;
        let mut video = Vec::with_capacity(n);
        for _ in 0..n {
            let duration = u32::try_from(take(&mut at)?).ok()?;
            let size = take(&mut at)?;
            let offset = if flags & HAS_OFFSETS != 0 {
                i32::try_from(unzigzag(take(&mut at)?)).ok()?
            } else {
                0
            };
            video.push(VideoSample {
                duration,
                size: u32::try_from(size >> 1).ok()?,
                offset,
                key: size & 1 != 0,
            });
        }
        let audio = if flags & HAS_AUDIO != 0 {
            let start = unzigzag(take(&mut at)?);
            let n = count(take(&mut at)?, at.len())?;
            let mut samples = Vec::with_capacity(n);
            for _ in 0..n {
                samples.push(AudioSample {
                    duration: u32::try_from(take(&mut at)?).ok()?,
                    size: u32::try_from(take(&mut at)?).ok()?,
                });
            }
            Some(AudioTable { start, samples })
        } else {
            None
        };
        at.is_empty().then_some(Self { data, video, audio })
    }
}

/// Every sample takes at least two bytes, so a count beyond the bytes left is damage, not a reason to allocate.
fn count(n: u64, left: usize) -> Option<usize> {
    usize::try_from(n).ok().filter(|n| *n <= left)
}

fn put(out: &mut Vec<u8>, mut v: u64) {
    loop {
        let [low, ..] = (v & 0x7f).to_le_bytes();
        v >>= 7;
        if v == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take(at: &mut &[u8]) -> Option<u64> {
    let mut v = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = at.split_first()?;
        *at = rest;
        v |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(v);
        }
    }
    None
}

fn zigzag(v: i64) -> u64 {
    (v.wrapping_shl(1) ^ (v >> 63)).cast_unsigned()
}

fn unzigzag(v: u64) -> i64 {
    (v >> 1).cast_signed() ^ -((v & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tables_come_back_as_they_went(
            data in any::<u32>(),
            video in prop::collection::vec((any::<u32>(), 0..u32::MAX / 2, any::<i32>(), any::<bool>()), 0..80),
            audio in prop::option::of((any::<i64>(), prop::collection::vec((any::<u32>(), any::<u32>()), 0..80))),
        ) {
            let table = SampleTable {
                data,
                video: video.into_iter()
                    .map(|(duration, size, offset, key)| VideoSample { duration, size, offset, key })
                    .collect(),
                audio: audio.map(|(start, s)| AudioTable {
                    start,
                    samples: s.into_iter().map(|(duration, size)| AudioSample { duration, size }).collect(),
                }),
            };
            prop_assert_eq!(SampleTable::unpack(&table.pack()), Some(table));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            bytes.insert(0, VERSION);
            SampleTable::unpack(&bytes);
        }
    }
}
