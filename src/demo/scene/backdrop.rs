//! Everything of a street that stands still, painted once for a light and size.

use crate::rng::Rng;

use super::canvas::{Canvas, Color, blend, rgb, scale};
use super::lens::{Lens, Place, Screen, place};
use super::light::Light;
use super::view::{CROSS_Z, END_Z, FAR_STOP_Z, FAR_WALK_Z, LANE_M, STOP_Z, Style, View, WALK_Z};

pub(super) struct Painter<'a> {
    pub(super) view: &'a View,
    pub(super) lens: &'a Lens,
    pub(super) light: &'a Light,
    pub(super) canvas: Canvas,
    /// Columns between which the crossing street can be seen past the corner houses.
    pub(super) gap: (f32, f32),
}

const WALK_M: f32 = 6.0;
const WHITE: Color = rgb(0xe8_e8e4);
const YELLOW: Color = rgb(0xd8_a83c);

pub(super) fn backdrop(view: &View, lens: &Lens, light: &Light) -> (Canvas, (f32, f32)) {
    let canvas = Canvas::new(lens.width as usize, lens.height as usize, (0, 0));
    let mut p = Painter {
        view,
        lens,
        light,
        canvas,
        gap: (0.0, lens.width),
    };
    p.sky();
    p.skyline();
    p.ground();
    p.markings();
    // From far to near, so that the near hides the far.
    super::buildings::rows(&mut p);
    super::furniture::rows(&mut p);
    (p.canvas, p.gap)
}

impl Painter<'_> {
    pub(super) fn rng(&self, part: u64) -> Rng {
        Rng::new(self.view.seed).fork(part)
    }

    /// A flat thing in the street, lit, with air before it.
    pub(super) fn face(&mut self, corners: &[Place], color: Color, facing: f32) {
        let lit = self.light.on(color, facing);
        self.flat(corners, lit, 1.0);
    }

    /// As [`Self::face`], with the colour as it is.
    pub(super) fn flat(&mut self, corners: &[Place], color: Color, alpha: f32) {
        let z = corners.iter().map(|c| c.z).sum::<f32>() / corners.len() as f32;
        let color = self.light.far(color, z.max(0.0));
        let points = self.lens.polygon(corners);
        self.canvas.fill(&points, color, alpha);
    }

    /// A rectangle on the ground.
    fn slab(&mut self, x: (f32, f32), z: (f32, f32), color: Color, alpha: f32) {
        // Long slabs are cut, so that each piece has the haze of its distance.
        let mut from = z.0;
        while from < z.1 {
            let to = if from < 12.0 {
                z.1.min(12.0)
            } else {
                z.1.min(from * 1.25)
            };
            let corners = [
                place(x.0, 0.0, from),
                place(x.1, 0.0, from),
                place(x.1, 0.0, to + 0.02),
                place(x.0, 0.0, to + 0.02),
            ];
            let lit = self.light.on(color, 0.62);
            self.flat(&corners, lit, alpha);
            from = to;
        }
    }

    fn sky(&mut self) {
        let (width, horizon) = (self.lens.width, self.lens.horizon());
        let frame = [
            (0.0, 0.0),
            (width, 0.0),
            (width, horizon + 12.0),
            (0.0, horizon + 12.0),
        ]
        .map(|(x, y)| Screen { x, y });
        let (top, low) = (self.light.sky_top, self.light.sky_low);
        self.canvas.fill_with(&frame, |_, y| {
            let t = (y as f32 / horizon.max(1.0)).powf(0.8);
            (blend(top, low, t), 1.0)
        });
        let mut rng = self.rng(1);
        let cloud = blend(self.light.sky_low, [1.0; 3], 0.5 * (1.0 - self.light.night));
        for _ in 0..5 {
            let (cx, cy) = (rng.unit() as f32 * width, rng.unit() as f32 * horizon * 0.7);
            for _ in 0..7 {
                let c = Screen {
                    x: cx + (rng.unit() as f32 - 0.5) * width * 0.22,
                    y: cy + (rng.unit() as f32 - 0.5) * horizon * 0.10,
                };
                let r = width * (0.03 + 0.05 * rng.unit() as f32);
                self.canvas.glow(c, r, r * 0.28, cloud, 0.16);
            }
        }
    }

    /// Loess hills and the towers of the next districts, in haze.
    fn skyline(&mut self) {
        let (width, horizon) = (self.lens.width, self.lens.horizon());
        let mut rng = self.rng(2);
        for (layer, height) in [(0.0_f32, 0.075), (1.0, 0.05)] {
            let (a, b) = (rng.unit() as f32 * 6.0, rng.unit() as f32 * 6.0);
            let mut points: Vec<Screen> = (0_u16..=40)
                .map(|i| {
                    let t = f32::from(i) / 40.0;
                    let rise = 0.6 + 0.3 * (t * 7.0 + a).sin() + 0.18 * (t * 17.0 + b).sin();
                    Screen {
                        x: t * width,
                        y: horizon - rise * height * self.lens.height,
                    }
                })
                .collect();
            points.push(Screen {
                x: width,
                y: horizon + 12.0,
            });
            points.push(Screen {
                x: 0.0,
                y: horizon + 12.0,
            });
            let hill = self.light.on(rgb(0x8a_7f62), 0.3);
            let color = blend(hill, self.light.sky_low, 0.72 - layer * 0.12);
            self.canvas.fill(&points, color, 1.0);
        }
        for _ in 0..16 {
            let z = 420.0 + rng.unit() as f32 * 500.0;
            let x = (rng.unit() as f32 - 0.5) * 900.0;
            let (w, h) = (
                18.0 + rng.unit() as f32 * 26.0,
                26.0 + rng.unit() as f32 * 70.0,
            );
            let points = self.lens.polygon(&[
                place(x, 0.0, z),
                place(x + w, 0.0, z),
                place(x + w, h, z),
                place(x, h, z),
            ]);
            let tower = self.light.on(rgb(0x8c_939c), 0.5);
            let color = blend(tower, self.light.sky_low, 0.62 + (z - 420.0) / 2_000.0);
            self.canvas.fill(&points, color, 1.0);
        }
    }

    fn ground(&mut self) {
        let half = self.view.half_width;
        let (paving, earth) = match self.view.style {
            Style::OldTown => (rgb(0x9a_9088), rgb(0x8a_7c68)),
            Style::Avenue | Style::River => (rgb(0xa8_a49c), rgb(0x8a_8670)),
        };
        let asphalt = if self.view.style == Style::OldTown {
            rgb(0x77_7470)
        } else {
            rgb(0x5a_5c60)
        };
        self.slab((-400.0, 400.0), (1.0, 900.0), earth, 1.0);
        for side in [-1.0, 1.0] {
            let (a, b) = (side * half, side * (half + WALK_M));
            self.slab((a.min(b), a.max(b)), (1.0, END_Z), paving, 1.0);
            // Tiles: a seam every metre and a half, while they can be told apart.
            let mut z = 12.0;
            while z < 60.0 {
                self.slab(
                    (a.min(b), a.max(b)),
                    (z, z + 0.09),
                    scale(paving, 0.86),
                    0.8,
                );
                z += 1.5;
            }
        }
        if self.view.style == Style::River {
            let x = half + WALK_M;
            self.slab((x, x + 5.0), (1.0, END_Z), rgb(0x6f_8050), 1.0);
            let water = blend(self.light.sky_low, rgb(0x2a_4a58), 0.55);
            let corners = [
                place(x + 5.0, -2.0, 1.0),
                place(x + 75.0, -2.0, 1.0),
                place(x + 75.0, -2.0, END_Z),
                place(x + 5.0, -2.0, END_Z),
            ];
            let points = self.lens.polygon(&corners);
            self.canvas.fill(&points, water, 1.0);
            let mut rng = self.rng(4);
            for _ in 0..90 {
                let z = 14.0 + rng.unit() as f32 * 160.0;
                let at = x + 7.0 + rng.unit() as f32 * 64.0;
                let ripple = blend(water, self.light.sky_low, 0.5);
                let length = 1.5 + rng.unit() as f32 * 5.0;
                self.flat(
                    &[
                        place(at, -2.0, z),
                        place(at + length, -2.0, z),
                        place(at + length, -2.0, z + 0.25),
                        place(at, -2.0, z + 0.25),
                    ],
                    ripple,
                    0.45,
                );
            }
        }
        self.slab((-half, half), (1.0, END_Z), asphalt, 1.0);
        self.slab((-260.0, 260.0), CROSS_Z, asphalt, 1.0);
        // Worn wheel tracks are lighter, the middle of a lane is dark with oil.
        for lane in 0..self.view.lanes {
            for away in [true, false] {
                let x = self.view.lane_x(lane, away);
                for dx in [-0.85, 0.85] {
                    self.slab(
                        (x + dx - 0.3, x + dx + 0.3),
                        (1.0, END_Z),
                        scale(asphalt, 1.10),
                        0.45,
                    );
                }
                self.slab(
                    (x - 0.25, x + 0.25),
                    (1.0, 140.0),
                    scale(asphalt, 0.86),
                    0.4,
                );
            }
        }
        self.patches(asphalt);
        for side in [-1.0, 1.0] {
            let x = side * half;
            for z in [(1.0, WALK_Z.0 - 1.0), (CROSS_Z.1 + 6.5, END_Z)] {
                self.slab(((x - 0.18).min(x + 0.18), x + 0.18), z, rgb(0xc4_c2ba), 1.0);
            }
        }
    }

    /// Repairs and manholes.
    fn patches(&mut self, asphalt: Color) {
        let mut rng = self.rng(5);
        let half = self.view.half_width;
        for _ in 0..9 {
            let (x, z) = (
                (rng.unit() as f32 * 2.0 - 1.0) * (half - 1.5),
                14.0 + rng.unit() as f32 * 70.0,
            );
            let (w, l) = (0.8 + rng.unit() as f32 * 1.4, 1.0 + rng.unit() as f32 * 5.0);
            let tone = scale(asphalt, 0.80 + 0.12 * rng.unit() as f32);
            self.slab((x - w, x + w), (z, z + l), tone, 0.8);
        }
        for _ in 0..5 {
            let at = place(
                (rng.unit() as f32 * 2.0 - 1.0) * (half - 1.0),
                0.0,
                15.0 + rng.unit() as f32 * 40.0,
            );
            if let Some(c) = self.lens.point(at) {
                let r = self.lens.per_metre(at) * 0.38;
                let color = self.light.on(rgb(0x48_494c), 0.6);
                self.canvas.ellipse(c, r, r * 0.34, color, 0.9);
            }
        }
    }

    fn markings(&mut self) {
        let half = self.view.half_width;
        let pieces = [(1.0, STOP_Z), (FAR_STOP_Z, END_Z)];
        for z in pieces {
            for x in [-0.18_f32, 0.18] {
                self.slab((x - 0.07, x + 0.07), z, YELLOW, 0.95);
            }
            if self.view.style != Style::OldTown {
                for x in [-half + 0.55, half - 0.55] {
                    self.slab((x - 0.07, x + 0.07), z, WHITE, 0.8);
                }
            }
            for lane in 1..self.view.lanes {
                for side in [-1.0, 1.0] {
                    let x = side * (0.4 + lane as f32 * LANE_M);
                    let near_stop = if z.0 < STOP_Z {
                        (STOP_Z - 9.0, STOP_Z)
                    } else {
                        (FAR_STOP_Z, FAR_STOP_Z + 14.0)
                    };
                    self.slab((x - 0.07, x + 0.07), near_stop, WHITE, 0.9);
                    let mut at = z.0.max(2.0);
                    while at < z.1.min(190.0) {
                        self.slab((x - 0.07, x + 0.07), (at, at + 3.0), WHITE, 0.9);
                        at += 9.0;
                    }
                }
            }
        }
        self.slab((0.3, half - 0.4), (STOP_Z, STOP_Z + 0.4), WHITE, 0.95);
        self.slab(
            (-half + 0.4, -0.3),
            (FAR_STOP_Z, FAR_STOP_Z + 0.5),
            WHITE,
            0.95,
        );
        for (from, to) in [WALK_Z, FAR_WALK_Z] {
            let mut x = -half + 0.5;
            while x < half - 0.6 {
                self.slab((x, x + 0.5), (from, to), WHITE, 0.92);
                x += 1.1;
            }
        }
        for lane in 0..self.view.lanes {
            self.arrow(self.view.lane_x(lane, true), STOP_Z - 8.0);
        }
    }

    /// Straight on.
    fn arrow(&mut self, x: f32, z: f32) {
        let color = self.light.on(WHITE, 0.62);
        let head = [
            place(x - 0.55, 0.0, z + 2.6),
            place(x + 0.55, 0.0, z + 2.6),
            place(x, 0.0, z + 4.6),
        ];
        let stem = [
            place(x - 0.14, 0.0, z),
            place(x + 0.14, 0.0, z),
            place(x + 0.14, 0.0, z + 2.7),
            place(x - 0.14, 0.0, z + 2.7),
        ];
        self.flat(&head, color, 0.9);
        self.flat(&stem, color, 0.9);
    }
}
