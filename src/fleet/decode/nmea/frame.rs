//! Sentences out of bytes: start character, checksum, line end. Works on whole payloads and on streams cut anywhere.

/// Longest sentence taken. The standard says 82 with `$` and line end; receivers with many digits write a few more.
pub const MAX_SENTENCE: usize = 256;

/// A sentence between `$` and `*`, with its checksum checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Offset of the `$` from the first byte pushed.
    pub at: usize,
    /// Printable ASCII; without `$`, checksum and vendor's tail.
    pub body: String,
    pub has_checksum: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    pub at: usize,
    pub rule: String,
}

/// Keeps an unfinished sentence between pushes, never more than [`MAX_SENTENCE`] bytes of it.
#[derive(Debug, Default)]
pub struct Framer {
    pushed: usize,
    /// Where the sentence being read began; `None` between sentences.
    start: Option<usize>,
    line: Vec<u8>,
    overlong: bool,
    seen_start: bool,
}

impl Framer {
    /// The sentences that end in these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<Frame, FrameError>> {
        let mut out = Vec::new();
        for byte in bytes {
            match byte {
                // Neither may stand inside a sentence: what was open before is cut off, and reading starts anew here.
                b'$' | b'!' => {
                    out.extend(self.end());
                    self.start = Some(self.pushed);
                    self.seen_start = true;
                    self.line.push(*byte);
                }
                b'\r' | b'\n' | 0 => out.extend(self.end()),
                other if self.start.is_some() => {
                    if self.line.len() < MAX_SENTENCE {
                        self.line.push(*other);
                    } else {
                        self.overlong = true;
                    }
                }
                // Noise between sentences, or a prefix of the device's own.
                _ => {}
            }
            self.pushed += 1;
        }
        out
    }

    /// What is left when nothing more will come. Bytes without any sentence are an error.
    pub fn finish(&mut self) -> Vec<Result<Frame, FrameError>> {
        let mut out: Vec<_> = self.end().into_iter().collect();
        if !self.seen_start {
            out.push(Err(FrameError {
                at: 0,
                rule: "no sentence: there is no `$`".into(),
            }));
        }
        *self = Self::default();
        out
    }

    fn end(&mut self) -> Option<Result<Frame, FrameError>> {
        let at = self.start.take()?;
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.overlong) {
            return Some(Err(FrameError {
                at,
                rule: format!("a sentence longer than {MAX_SENTENCE} bytes"),
            }));
        }
        // `!` begins encapsulated sentences (AIS): not ours, not wrong.
        let (b'$', rest) = line.split_first()? else {
            return None;
        };
        // A doubled `$`.
        if rest.is_empty() {
            return None;
        }
        Some(check(at, rest))
    }
}

fn check(at: usize, rest: &[u8]) -> Result<Frame, FrameError> {
    let wrong = |rule: String| Err(FrameError { at, rule });
    if let Some(i) = rest.iter().position(|b| !(0x20..0x7F).contains(b)) {
        return Err(FrameError {
            at: at + 1 + i,
            rule: "a byte that is not printable ASCII inside a sentence".into(),
        });
    }
    let text = String::from_utf8_lossy(rest);
    let Some((body, tail)) = text.split_once('*') else {
        return Ok(Frame {
            at,
            body: text.trim_end().to_owned(),
            has_checksum: false,
        });
    };
    // Two digits, then nothing or a vendor's own text after a separator. A third digit makes all three doubtful.
    let digits: String = tail.chars().take(2).collect();
    let is_checksum = digits.len() == 2
        && digits.bytes().all(|b| b.is_ascii_hexdigit())
        && tail
            .as_bytes()
            .get(2)
            .is_none_or(|b| matches!(b, b',' | b' '));
    let (true, Ok(told)) = (is_checksum, u8::from_str_radix(&digits, 16)) else {
        return wrong(format!(
            "the checksum `*{}` is not two hexadecimal digits",
            super::super::shown(tail)
        ));
    };
    let reckoned = body.bytes().fold(0, |c, b| c ^ b);
    if told != reckoned {
        return wrong(format!(
            "the checksum is {told:02X}, the sentence gives {reckoned:02X}"
        ));
    }
    Ok(Frame {
        at,
        body: body.to_owned(),
        has_checksum: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(bytes: &[u8]) -> Vec<Result<Frame, FrameError>> {
        let mut framer = Framer::default();
        let mut out = framer.push(bytes);
        out.extend(framer.finish());
        out
    }

    #[test]
    fn the_start_is_found_behind_noise_and_doubled_starts() {
        for bytes in [
            &b"$GPGGA,,,,,,0,,,,,,,,*66"[..],
            b"$$GPGGA,,,,,,0,,,,,,,,*66\r\n",
            b"\xFF\x00id=7;$GPGGA,,,,,,0,,,,,,,,*66",
            b"\\s:gps,c:1*00\\$GPGGA,,,,,,0,,,,,,,,*66,L,Belt",
        ] {
            let found = frames(bytes);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].as_ref().unwrap().body, "GPGGA,,,,,,0,,,,,,,,");
        }
    }

    #[test]
    fn a_doubtful_checksum_is_no_checksum() {
        for bytes in [
            &b"$GPXTE,A,A,0.67,L,N*6g"[..],
            b"$GPGGA,,,,,,0,,,,,,,,*661",
            b"$GPGGA,,,,,,0,,,,,,,,*6",
            b"$GPGGA,,,,,,0,,,,,,,,*",
            b"$GPGGA,,,,,,1,,,,,,,,*66",
        ] {
            assert!(
                frames(bytes)[0]
                    .as_ref()
                    .unwrap_err()
                    .rule
                    .contains("checksum")
            );
        }
        assert!(frames(b"$GPRMC,\xE5*00")[0].as_ref().unwrap_err().at == 7);
    }

    #[test]
    fn a_stream_without_line_ends_does_not_grow() {
        let mut framer = Framer::default();
        for _ in 0..1_000 {
            framer.push(b"$AAAAAAAAAAAAAAAAAAAAAAAAAAA");
            framer.push(&[b'A'; 100]);
        }
        framer.push(&[b'A'; 100_000]);
        assert!(framer.line.len() <= MAX_SENTENCE);
        assert!(
            framer.finish()[0]
                .as_ref()
                .unwrap_err()
                .rule
                .contains("longer")
        );
        // Other start characters are other protocols.
        assert_eq!(frames(b"!AIVDM,1,1,,A,14eG,0*00\r\n"), []);
    }
}
