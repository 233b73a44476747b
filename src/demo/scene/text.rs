//! The letters burnt into the picture: a small bitmap font with what clocks, streets and cameras of the demo need.
//!
//! `glyphs.bin` is drawn by `glyphs.py` from Noto Sans CJK SC; its licence is in `OFL.txt`.

use super::picture::Sprite;

const GLYPHS: &[u8] = include_bytes!("glyphs.bin");
const CELL: usize = 32;
const RECORD: usize = 5 + CELL * CELL / 2;

/// Glyphs scaled to one height.
pub(super) struct Font {
    size: usize,
    glyphs: Vec<(char, Glyph)>,
}

struct Glyph {
    advance: usize,
    /// `size × size` of ink, 0 to 255.
    ink: Vec<u8>,
}

impl Font {
    /// Only the letters of `letters`; one that is not in the file is left out of the text.
    pub(super) fn new(size: usize, letters: &str) -> Self {
        let size = size.clamp(8, CELL);
        let mut glyphs: Vec<(char, Glyph)> = Vec::new();
        for c in letters.chars() {
            if glyphs.iter().all(|(known, _)| *known != c)
                && let Some(record) = find(c)
            {
                glyphs.push((c, scaled(record, size)));
            }
        }
        Self { size, glyphs }
    }

    /// White letters with a dark edge, as cameras write them.
    pub(super) fn line(&self, text: &str) -> Sprite {
        let edge = if self.size >= 18 { 2 } else { 1 };
        let mut width = edge * 2;
        let mut placed = Vec::new();
        for c in text.chars() {
            match self.glyphs.iter().find(|(known, _)| *known == c) {
                Some((_, g)) => {
                    placed.push((width - edge, g));
                    width += g.advance;
                }
                None => width += self.size * 9 / 32,
            }
        }
        let height = self.size + edge * 2;
        width = width.next_multiple_of(2);
        let height = height.next_multiple_of(2);
        let mut ink = vec![0_u8; width * height];
        for (x0, g) in placed {
            for y in 0..self.size {
                for x in 0..self.size.min(width - x0) {
                    let i = (y + edge) * width + x0 + x;
                    ink[i] = ink[i].max(g.ink[y * self.size + x]);
                }
            }
        }
        outlined(&ink, width, height, edge)
    }
}

fn outlined(ink: &[u8], width: usize, height: usize, edge: usize) -> Sprite {
    // Spread sideways, then up and down: cheap, and square corners do not show at this size.
    let spread = |from: &[u8], step: usize, limit: &dyn Fn(usize, usize) -> bool| {
        let mut to = from.to_vec();
        for (i, v) in from.iter().enumerate() {
            if *v > 0 {
                for d in 1..=edge {
                    if i + d * step < to.len() && limit(i, i + d * step) {
                        to[i + d * step] = to[i + d * step].max(*v);
                    }
                    if i >= d * step && limit(i, i - d * step) {
                        to[i - d * step] = to[i - d * step].max(*v);
                    }
                }
            }
        }
        to
    };
    let wide = spread(ink, 1, &|a, b| a / width == b / width);
    let alpha = spread(&wide, width, &|_, _| true);
    let luma: Vec<u8> = ink
        .iter()
        .map(|i| 16 + (u16::from(*i) * 219 / 255) as u8)
        .collect();
    Sprite::grey(width, height, &luma, alpha)
}

fn find(c: char) -> Option<&'static [u8]> {
    let wanted = (c as u32).to_be_bytes();
    GLYPHS.chunks_exact(RECORD).find(|r| r.starts_with(&wanted))
}

/// Averages the cell down to `size`.
fn scaled(record: &[u8], size: usize) -> Glyph {
    let at = |x: usize, y: usize| {
        let byte = record[5 + (y * CELL + x) / 2];
        f32::from(if x.is_multiple_of(2) {
            byte >> 4
        } else {
            byte & 15
        }) * 17.0
    };
    let step = CELL as f32 / size as f32;
    let mut ink = vec![0_u8; size * size];
    for y in 0..size {
        for x in 0..size {
            let (mut sum, mut weight) = (0.0, 0.0);
            let (x0, x1) = (x as f32 * step, (x as f32 + 1.0) * step);
            let (y0, y1) = (y as f32 * step, (y as f32 + 1.0) * step);
            for sy in y0 as usize..(y1.ceil() as usize).min(CELL) {
                let wy = (y1.min(sy as f32 + 1.0) - y0.max(sy as f32)).max(0.0);
                for sx in x0 as usize..(x1.ceil() as usize).min(CELL) {
                    let w = wy * (x1.min(sx as f32 + 1.0) - x0.max(sx as f32)).max(0.0);
                    sum += at(sx, sy) * w;
                    weight += w;
                }
            }
            ink[y * size + x] = (sum / f32::max(weight, 0.001)) as u8;
        }
    }
    let advance = (usize::from(record[4]) * size).div_ceil(CELL);
    Glyph { advance, ink }
}
