//! The frame that is handed to the encoder: I420, with sprites laid over a background that is restored where they were.
//!
//! Colours are BT.709, limited range (ITU-R BT.709-6 §3).

use super::canvas::Canvas;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

pub(super) struct Picture {
    width: usize,
    height: usize,
    background: Vec<u8>,
    frame: Vec<u8>,
    touched: Vec<Area>,
}

/// A small picture with transparency, kept as runs so that its solid parts are plain copies.
#[derive(Debug)]
pub(super) struct Sprite {
    /// Offset of its corner from the point it is laid at.
    pub(super) origin: (i32, i32),
    width: usize,
    height: usize,
    luma: Vec<u8>,
    alpha: Vec<u8>,
    blue: Vec<u8>,
    red: Vec<u8>,
    chroma_alpha: Vec<u8>,
    luma_runs: Vec<Run>,
    chroma_runs: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    row: usize,
    from: usize,
    to: usize,
    solid: bool,
}

impl Picture {
    pub(super) fn new(canvas: &Canvas) -> Self {
        let background = i420(canvas);
        Self {
            width: canvas.width,
            height: canvas.height,
            frame: background.clone(),
            background,
            touched: Vec::new(),
        }
    }

    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Takes everything off that was laid on.
    pub(super) fn clear(&mut self) {
        for area in std::mem::take(&mut self.touched) {
            for (start, stride, a) in self.planes(area) {
                for row in a.y..a.y + a.height {
                    let i = start + row * stride + a.x;
                    self.frame[i..i + a.width].copy_from_slice(&self.background[i..i + a.width]);
                }
            }
        }
    }

    /// The area in each plane, grown to whole chroma samples.
    fn planes(&self, a: Area) -> [(usize, usize, Area); 3] {
        let luma = self.width * self.height;
        let half = Area {
            x: a.x / 2,
            y: a.y / 2,
            width: (a.x + a.width).div_ceil(2).min(self.width / 2) - a.x / 2,
            height: (a.y + a.height).div_ceil(2).min(self.height / 2) - a.y / 2,
        };
        [
            (0, self.width, a),
            (luma, self.width / 2, half),
            (luma + luma / 4, self.width / 2, half),
        ]
    }

    /// Lays a sprite with its point at `x`, `y`.
    pub(super) fn lay(&mut self, sprite: &Sprite, x: i32, y: i32) {
        self.lay_between(sprite, x, y, (0, i32::MAX));
    }

    /// Lays only what falls between two columns: the rest is hidden behind a house.
    pub(super) fn lay_between(&mut self, sprite: &Sprite, x: i32, y: i32, gap: (i32, i32)) {
        let (x, y) = (x + sprite.origin.0, y + sprite.origin.1);
        let (Ok(width), Ok(height)) = (i32::try_from(self.width), i32::try_from(self.height))
        else {
            return;
        };
        let (right, bottom) = (x + sprite.width as i32, y + sprite.height as i32);
        if x >= width || y >= height || right <= 0 || bottom <= 0 {
            return;
        }
        let (left, top) = (x.max(0) as usize, y.max(0) as usize);
        // Chroma may reach one sample further than luma.
        self.touched.push(Area {
            x: left,
            y: top,
            width: (right.min(width) as usize + 1).min(self.width) - left,
            height: (bottom.min(height) as usize + 1).min(self.height) - top,
        });
        let luma = self.width * self.height;
        let (y_plane, chroma) = self.frame.split_at_mut(luma);
        let (u_plane, v_plane) = chroma.split_at_mut(luma / 4);
        let (w, h) = (self.width, self.height);
        let gap = (gap.0.clamp(0, width), gap.1.clamp(0, width));
        put(
            y_plane,
            (w, h),
            gap,
            (x, y),
            sprite.width,
            &sprite.luma_runs,
            &sprite.luma,
            &sprite.alpha,
        );
        let at = (x.div_euclid(2), y.div_euclid(2));
        for (plane, values) in [(u_plane, &sprite.blue), (v_plane, &sprite.red)] {
            put(
                plane,
                (w / 2, h / 2),
                (gap.0 / 2, gap.1 / 2),
                at,
                sprite.width / 2,
                &sprite.chroma_runs,
                values,
                &sprite.chroma_alpha,
            );
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one plane of `lay_between`")]
fn put(
    plane: &mut [u8],
    (width, height): (usize, usize),
    gap: (i32, i32),
    (x, y): (i32, i32),
    stride: usize,
    runs: &[Run],
    values: &[u8],
    alpha: &[u8],
) {
    for run in runs {
        let row = y + run.row as i32;
        if row < 0 || row >= height as i32 {
            continue;
        }
        let from = (x + run.from as i32).max(gap.0);
        let to = (x + run.to as i32).min(gap.1);
        if from >= to {
            continue;
        }
        let source = (run.row * stride) as i32 + from - x;
        let (source, length) = (source as usize, (to - from) as usize);
        let target = row as usize * width + from as usize;
        let out = &mut plane[target..target + length];
        let ink = &values[source..source + length];
        if run.solid {
            out.copy_from_slice(ink);
        } else {
            for ((o, i), a) in out.iter_mut().zip(ink).zip(&alpha[source..source + length]) {
                let a = u32::from(*a);
                *o = ((u32::from(*i) * a + u32::from(*o) * (255 - a) + 127) / 255) as u8;
            }
        }
    }
}

impl Sprite {
    /// Memory it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.luma.len()
            + self.alpha.len()
            + self.blue.len()
            + self.red.len()
            + self.chroma_alpha.len()
            + (self.luma_runs.len() + self.chroma_runs.len()) * size_of::<Run>()
    }

    /// From a canvas; `point` is where on the picture its reference point lies.
    pub(super) fn new(canvas: &Canvas, point: (i32, i32)) -> Self {
        // Only what has paint, from even corners.
        let (left, top) = (canvas.painted.0 & !1, canvas.painted.1 & !1);
        let width = (canvas.painted.2.max(left) - left)
            .next_multiple_of(2)
            .min((canvas.width - left) & !1);
        let height = (canvas.painted.3.max(top) - top)
            .next_multiple_of(2)
            .min((canvas.height - top) & !1);
        let mut luma = Vec::with_capacity(width * height);
        let mut alpha = Vec::with_capacity(width * height);
        let mut blue = Vec::with_capacity(width * height / 4);
        let mut red = Vec::with_capacity(width * height / 4);
        let mut chroma_alpha = Vec::with_capacity(width * height / 4);
        for y in top..top + height {
            for x in left..left + width {
                let p = canvas.pixels[y * canvas.width + x];
                // Most of a sprite's box is empty.
                luma.push(if p[3] > 0.004 {
                    to_luma(straight(p))
                } else {
                    16
                });
                alpha.push(byte(p[3]));
            }
        }
        for y in (top..top + height).step_by(2) {
            for x in (left..left + width).step_by(2) {
                let p = quad(canvas, x, y);
                let (b, r) = if p[3] > 0.004 {
                    to_chroma(straight(p))
                } else {
                    (128, 128)
                };
                blue.push(b);
                red.push(r);
                chroma_alpha.push(byte(p[3]));
            }
        }
        let origin = (
            canvas.origin.0 + left as i32 - point.0,
            canvas.origin.1 + top as i32 - point.1,
        );
        Self::assembled(
            origin,
            (width, height),
            luma,
            alpha,
            (blue, red, chroma_alpha),
        )
    }

    /// Without colour, for letters.
    pub(super) fn grey(width: usize, height: usize, luma: &[u8], alpha: Vec<u8>) -> Self {
        let mut chroma_alpha = Vec::with_capacity(width * height / 4);
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let i = y * width + x;
                let sum = [i, i + 1, i + width, i + width + 1]
                    .iter()
                    .map(|i| u16::from(alpha[*i]))
                    .sum::<u16>();
                chroma_alpha.push((sum / 4) as u8);
            }
        }
        let neutral = vec![128; chroma_alpha.len()];
        let chroma = (neutral.clone(), neutral, chroma_alpha);
        Self::assembled((0, 0), (width, height), luma.to_vec(), alpha, chroma)
    }

    fn assembled(
        origin: (i32, i32),
        (width, height): (usize, usize),
        luma: Vec<u8>,
        alpha: Vec<u8>,
        (blue, red, chroma_alpha): (Vec<u8>, Vec<u8>, Vec<u8>),
    ) -> Self {
        Self {
            origin,
            width,
            height,
            luma_runs: runs(&alpha, width),
            chroma_runs: runs(&chroma_alpha, width / 2),
            luma,
            alpha,
            blue,
            red,
            chroma_alpha,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }
}

fn runs(alpha: &[u8], width: usize) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    for (row, line) in alpha.chunks_exact(width.max(1)).enumerate() {
        let mut open: Option<Run> = None;
        for (x, a) in line.iter().enumerate() {
            let kind = (*a > 2).then_some(*a > 250);
            match (&mut open, kind) {
                (Some(run), Some(solid)) if run.solid == solid => run.to = x + 1,
                _ => {
                    out.extend(open.take());
                    open = kind.map(|solid| Run {
                        row,
                        from: x,
                        to: x + 1,
                        solid,
                    });
                }
            }
        }
        out.extend(open);
    }
    out
}

fn i420(canvas: &Canvas) -> Vec<u8> {
    let (width, height) = (canvas.width, canvas.height);
    let mut out = Vec::with_capacity(width * height * 3 / 2);
    out.extend(canvas.pixels.iter().map(|p| to_luma([p[0], p[1], p[2]])));
    let mut red = Vec::with_capacity(width * height / 4);
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let p = quad(canvas, x, y);
            let (b, r) = to_chroma([p[0], p[1], p[2]]);
            out.push(b);
            red.push(r);
        }
    }
    out.extend(red);
    out
}

fn quad(canvas: &Canvas, x: usize, y: usize) -> [f32; 4] {
    let i = y * canvas.width + x;
    let p = &canvas.pixels;
    let (a, b, c, d) = (p[i], p[i + 1], p[i + canvas.width], p[i + canvas.width + 1]);
    std::array::from_fn(|k| (a[k] + b[k] + c[k] + d[k]) / 4.0)
}

fn straight(p: [f32; 4]) -> [f32; 3] {
    let k = if p[3] > 0.004 { 1.0 / p[3] } else { 0.0 };
    [p[0] * k, p[1] * k, p[2] * k]
}

fn byte(v: f32) -> u8 {
    (v * 255.0 + 0.5).clamp(0.0, 255.0) as u8
}

fn to_luma([r, g, b]: [f32; 3]) -> u8 {
    (16.5 + 219.0 * (0.2126 * r + 0.7152 * g + 0.0722 * b).clamp(0.0, 1.0)) as u8
}

fn to_chroma([r, g, b]: [f32; 3]) -> (u8, u8) {
    let (r, g, b) = (r.min(1.0), g.min(1.0), b.min(1.0));
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let cb = 128.5 + 224.0 * (b - y) / 1.8556;
    let cr = 128.5 + 224.0 * (r - y) / 1.5748;
    (cb.clamp(16.0, 240.0) as u8, cr.clamp(16.0, 240.0) as u8)
}
