//! A small software rasteriser: polygons with smooth edges, soft glows, on premultiplied RGBA in floats.

use super::lens::Screen;

/// Linear mixing of display values is good enough for a made-up street.
pub(super) type Color = [f32; 3];

pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Premultiplied red, green, blue, alpha, 0 to 1.
    pub(super) pixels: Vec<[f32; 4]>,
    /// Where the canvas lies on the picture.
    pub(super) origin: (i32, i32),
    coverage: Vec<f32>,
    /// Left, top, right, bottom of what has paint.
    pub(super) painted: (usize, usize, usize, usize),
}

/// Lines looked at in each row of pixels.
const SUBROWS: i32 = 4;

impl Canvas {
    pub(super) fn new(width: usize, height: usize, origin: (i32, i32)) -> Self {
        Self {
            width,
            height,
            pixels: vec![[0.0; 4]; width * height],
            origin,
            coverage: vec![0.0; width + 1],
            painted: (width, height, 0, 0),
        }
    }

    /// Fills by the even–odd rule.
    pub(super) fn fill(&mut self, points: &[Screen], color: Color, alpha: f32) {
        self.fill_with(points, |_, _| (color, alpha));
    }

    /// Fills with a colour that depends on the place.
    pub(super) fn fill_with(
        &mut self,
        points: &[Screen],
        paint: impl Fn(i32, i32) -> (Color, f32),
    ) {
        if points.len() < 3 {
            return;
        }
        let (mut top, mut bottom) = (f32::INFINITY, f32::NEG_INFINITY);
        let (mut left, mut right) = (f32::INFINITY, f32::NEG_INFINITY);
        for p in points {
            (top, bottom) = (top.min(p.y), bottom.max(p.y));
            (left, right) = (left.min(p.x), right.max(p.x));
        }
        let (ox, oy) = (self.origin.0 as f32, self.origin.1 as f32);
        let x_low = ((left - ox).floor().max(0.0) as usize).min(self.width);
        let x_high = ((right - ox).ceil().max(0.0) as usize).min(self.width);
        let y_low = (top - oy).floor().max(0.0) as i32;
        let y_high = ((bottom - oy).ceil()).min(self.height as f32) as i32;
        if x_low >= x_high {
            return;
        }
        let mut crossings: Vec<f32> = Vec::with_capacity(8);
        for y in y_low..y_high {
            self.coverage[x_low..=x_high].fill(0.0);
            let mut any = false;
            for sub in 0..SUBROWS {
                let line = y as f32 + (sub as f32 + 0.5) / SUBROWS as f32 + oy;
                crossings.clear();
                let mut a = points[points.len() - 1];
                for b in points {
                    if (a.y > line) != (b.y > line) {
                        crossings.push(a.x + (b.x - a.x) * (line - a.y) / (b.y - a.y) - ox);
                    }
                    a = *b;
                }
                crossings.sort_by(f32::total_cmp);
                for span in crossings.chunks_exact(2) {
                    any |= self.cover(span[0], span[1]);
                }
            }
            if any {
                self.touch((x_low, y as usize), (x_high, y as usize + 1));
                self.mix_row(y, x_low, x_high, &paint);
            }
        }
    }

    fn touch(&mut self, low: (usize, usize), high: (usize, usize)) {
        let p = self.painted;
        self.painted = (
            p.0.min(low.0),
            p.1.min(low.1),
            p.2.max(high.0),
            p.3.max(high.1),
        );
    }

    fn cover(&mut self, from: f32, to: f32) -> bool {
        const SHARE: f32 = 1.0 / SUBROWS as f32;
        let from = from.max(0.0);
        let to = to.min(self.width as f32);
        if to <= from {
            return false;
        }
        let (first, last) = (from as usize, to as usize);
        if first == last {
            self.coverage[first] += (to - from) * SHARE;
            return true;
        }
        self.coverage[first] += (first as f32 + 1.0 - from) * SHARE;
        for c in &mut self.coverage[first + 1..last] {
            *c += SHARE;
        }
        self.coverage[last] += (to - last as f32) * SHARE;
        true
    }

    fn mix_row(
        &mut self,
        y: i32,
        x_low: usize,
        x_high: usize,
        paint: &impl Fn(i32, i32) -> (Color, f32),
    ) {
        let start = y as usize * self.width;
        for x in x_low..x_high {
            let cover = self.coverage[x].min(1.0);
            if cover > 0.003 {
                let (color, alpha) = paint(x as i32 + self.origin.0, y + self.origin.1);
                mix(&mut self.pixels[start + x], color, alpha * cover);
            }
        }
    }

    pub(super) fn ellipse(&mut self, c: Screen, rx: f32, ry: f32, color: Color, alpha: f32) {
        let corners = if rx.max(ry) < 4.0 { 8_u16 } else { 18 };
        let points: Vec<Screen> = (0..corners)
            .map(|i| {
                let (sin, cos) =
                    (f32::from(i) / f32::from(corners) * std::f32::consts::TAU).sin_cos();
                Screen {
                    x: c.x + cos * rx,
                    y: c.y + sin * ry,
                }
            })
            .collect();
        self.fill(&points, color, alpha);
    }

    /// A light that fades outwards; it brightens and hides nothing.
    pub(super) fn glow(&mut self, c: Screen, rx: f32, ry: f32, color: Color, strength: f32) {
        let (cx, cy) = (c.x - self.origin.0 as f32, c.y - self.origin.1 as f32);
        let y0 = (cy - ry).max(0.0) as usize;
        let y1 = ((cy + ry).max(0.0) as usize + 1).min(self.height);
        let x0 = (cx - rx).max(0.0) as usize;
        let x1 = ((cx + rx).max(0.0) as usize + 1).min(self.width);
        self.touch((x0, y0), (x1, y1));
        for y in y0..y1 {
            for x in x0..x1 {
                let (dx, dy) = ((x as f32 - cx) / rx, (y as f32 - cy) / ry);
                let d = dx * dx + dy * dy;
                if d < 1.0 {
                    let k = strength * (1.0 - d) * (1.0 - d);
                    let p = &mut self.pixels[y * self.width + x];
                    for (v, c) in p.iter_mut().zip(color) {
                        *v += c * k * (1.0 - *v * 0.7);
                    }
                    p[3] = p[3].max(k.min(1.0));
                }
            }
        }
    }
}

fn mix(pixel: &mut [f32; 4], color: Color, alpha: f32) {
    let rest = 1.0 - alpha;
    pixel[0] = color[0] * alpha + pixel[0] * rest;
    pixel[1] = color[1] * alpha + pixel[1] * rest;
    pixel[2] = color[2] * alpha + pixel[2] * rest;
    pixel[3] = alpha + pixel[3] * rest;
}

/// From `a` to `b`.
pub(super) fn blend(a: Color, b: Color, t: f32) -> Color {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t.clamp(0.0, 1.0))
}

pub(super) fn scale(c: Color, k: f32) -> Color {
    c.map(|v| v * k)
}

/// `0xrrggbb`.
pub(super) const fn rgb(hex: u32) -> Color {
    [
        ((hex >> 16) & 255) as f32 / 255.0,
        ((hex >> 8) & 255) as f32 / 255.0,
        (hex & 255) as f32 / 255.0,
    ]
}
