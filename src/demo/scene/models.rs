//! What moves: cars, buses, trucks, scooters and people, built from a few solids and painted in place.

use crate::rng::Rng;

use super::canvas::{Canvas, Color, blend, rgb, scale};
use super::lens::{Lens, Place, Screen, place};
use super::light::Light;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Heading {
    Away,
    Towards,
    Right,
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Model {
    Sedan(u32),
    Suv(u32),
    Taxi,
    Van(u32),
    Bus(u32),
    Truck(u32),
    Sweeper,
    Scooter(u32),
    Person(u32),
}

/// A box whose top may be shorter than its foot: x across, y up, z forward, from its middle on the ground.
#[derive(Clone, Copy)]
struct Solid {
    x: f32,
    y: (f32, f32),
    z: (f32, f32),
    /// How much the top is drawn in: each side, front, rear.
    taper: (f32, f32, f32),
    color: Color,
    /// Band of windows on the upright faces: height from, to, as shares of the solid.
    glass: Option<(f32, f32)>,
}

const PAINTS: [u32; 9] = [
    0xe8_e8ea, 0xd4_d6da, 0x2a_2c30, 0x8c_9298, 0xb0_2a2a, 0x2c_4a7c, 0x5a_4a3c, 0xf0_eee8,
    0x3c_5a50,
];
const GLASS: Color = rgb(0x26_2e38);
/// Towards the sun: on the right, behind the camera, high.
const SUN: Place = place(0.50, 0.74, -0.45);

impl Model {
    pub(super) fn parked(rng: &mut Rng) -> Self {
        let paint = paint(rng);
        if rng.chance(0.4) {
            Self::Suv(paint)
        } else {
            Self::Sedan(paint)
        }
    }

    /// The kinds that one street sees: few enough that each is soon painted in every place.
    pub(super) fn of_street(rng: &mut Rng, narrow: bool) -> Vec<(Self, f64)> {
        // Different ones: a street of brown cars looks made up.
        let mut next = rng.below(PAINTS.len());
        let mut any = || {
            next += 2;
            PAINTS[next % PAINTS.len()]
        };
        if narrow {
            return vec![
                (Self::Scooter(any()), 0.30),
                (Self::Scooter(any()), 0.25),
                (Self::Van(any()), 0.15),
                (Self::Sedan(any()), 0.18),
                (Self::Suv(any()), 0.12),
            ];
        }
        let (a, b, c, d) = (any(), any(), any(), any());
        vec![
            (Self::Sedan(a), 0.20),
            (Self::Sedan(b), 0.16),
            (Self::Suv(c), 0.17),
            (Self::Suv(d), 0.11),
            (Self::Taxi, 0.16),
            (
                Self::Bus([0x2a_8a6c, 0x2c_6ab0, 0xc8_5a2c][rng.below(3)]),
                0.09,
            ),
            (Self::Truck([0x2e_7a4a, 0xc8_7a1e][rng.below(2)]), 0.07),
            (Self::Sweeper, 0.04),
        ]
    }

    pub(super) fn length(self) -> f32 {
        match self {
            Self::Sedan(_) | Self::Taxi | Self::Suv(_) => 4.7,
            Self::Van(_) => 5.0,
            Self::Bus(_) => 11.0,
            Self::Truck(_) => 8.4,
            Self::Sweeper => 6.4,
            Self::Scooter(_) => 1.9,
            Self::Person(_) => 0.6,
        }
    }

    pub(super) fn height(self) -> f32 {
        match self {
            Self::Bus(_) | Self::Truck(_) => 3.4,
            Self::Sweeper | Self::Van(_) => 2.8,
            Self::Person(_) | Self::Scooter(_) => 1.9,
            Self::Sedan(_) | Self::Taxi | Self::Suv(_) => 2.0,
        }
    }

    fn solids(self) -> Vec<Solid> {
        let solid = |x, y, z, taper, color, glass| Solid {
            x,
            y,
            z,
            taper,
            color,
            glass,
        };
        match self {
            Self::Sedan(c) => car(rgb(c), 0.9, 1.44),
            Self::Taxi => {
                let mut s = car(rgb(0x2a_9a6a), 0.9, 1.46);
                s.push(solid(
                    0.35,
                    (1.46, 1.64),
                    (-0.5, -0.2),
                    (0.05, 0.0, 0.0),
                    rgb(0xf4_d850),
                    None,
                ));
                s.push(solid(
                    0.905,
                    (0.62, 0.78),
                    (-2.2, 2.2),
                    (0.0, 0.0, 0.0),
                    rgb(0xe8_e6da),
                    None,
                ));
                s
            }
            Self::Suv(c) => {
                let c = rgb(c);
                vec![
                    solid(
                        0.94,
                        (0.32, 1.05),
                        (-2.35, 2.35),
                        (0.04, 0.1, 0.05),
                        c,
                        None,
                    ),
                    solid(
                        0.90,
                        (1.05, 1.74),
                        (-2.30, 1.15),
                        (0.14, 0.75, 0.25),
                        c,
                        Some((0.12, 0.84)),
                    ),
                ]
            }
            Self::Van(c) => {
                let c = rgb(c);
                vec![
                    solid(0.88, (0.32, 1.1), (-2.5, 2.5), (0.0, 0.1, 0.0), c, None),
                    solid(
                        0.88,
                        (1.1, 1.98),
                        (-2.5, 2.4),
                        (0.08, 0.75, 0.05),
                        c,
                        Some((0.12, 0.78)),
                    ),
                ]
            }
            Self::Bus(c) => vec![
                solid(
                    1.25,
                    (0.38, 1.25),
                    (-5.5, 5.5),
                    (0.0, 0.05, 0.0),
                    rgb(c),
                    None,
                ),
                solid(
                    1.25,
                    (1.25, 2.75),
                    (-5.5, 5.45),
                    (0.03, 0.12, 0.02),
                    scale(rgb(c), 0.92),
                    Some((0.06, 0.86)),
                ),
                solid(
                    1.22,
                    (2.75, 3.12),
                    (-5.4, 5.3),
                    (0.14, 0.2, 0.2),
                    rgb(0xe4_e6e6),
                    None,
                ),
            ],
            Self::Truck(c) => vec![
                solid(
                    1.2,
                    (0.55, 0.95),
                    (-4.2, 4.2),
                    (0.0, 0.0, 0.0),
                    rgb(0x30_3234),
                    None,
                ),
                solid(
                    1.24,
                    (0.95, 2.75),
                    (-4.2, 1.9),
                    (-0.04, 0.1, 0.1),
                    rgb(c),
                    None,
                ),
                solid(
                    1.2,
                    (0.6, 2.85),
                    (2.1, 4.2),
                    (0.05, 0.18, 0.0),
                    scale(rgb(c), 1.1),
                    Some((0.52, 0.9)),
                ),
            ],
            Self::Sweeper => vec![
                solid(
                    1.05,
                    (0.4, 0.9),
                    (-3.2, 3.2),
                    (0.0, 0.0, 0.0),
                    rgb(0x38_3a3c),
                    None,
                ),
                solid(
                    1.05,
                    (0.9, 2.3),
                    (-3.2, 1.0),
                    (0.05, 0.1, 0.3),
                    rgb(0xf0_f0ec),
                    None,
                ),
                solid(
                    1.06,
                    (1.3, 1.6),
                    (-3.0, 0.9),
                    (0.0, 0.0, 0.0),
                    rgb(0x2a_8a50),
                    None,
                ),
                solid(
                    1.05,
                    (0.5, 2.35),
                    (1.2, 3.2),
                    (0.06, 0.3, 0.0),
                    rgb(0xf0_8a20),
                    Some((0.5, 0.9)),
                ),
                solid(
                    0.2,
                    (2.35, 2.55),
                    (1.8, 2.1),
                    (0.0, 0.0, 0.0),
                    rgb(0xff_b020),
                    None,
                ),
            ],
            Self::Scooter(c) => vec![
                solid(
                    0.12,
                    (0.15, 0.75),
                    (-0.9, 0.9),
                    (0.0, 0.25, 0.1),
                    rgb(c),
                    None,
                ),
                solid(
                    0.24,
                    (0.75, 1.38),
                    (-0.35, 0.12),
                    (0.02, 0.05, 0.0),
                    scale(rgb(c ^ 0x33_4455), 0.8),
                    None,
                ),
                solid(
                    0.13,
                    (1.40, 1.70),
                    (-0.25, 0.05),
                    (0.04, 0.03, 0.03),
                    rgb(0xf0_e8e0),
                    None,
                ),
            ],
            Self::Person(_) => Vec::new(),
        }
    }

    /// Paints it standing at `at`. `phase` is the step of a walk, 0 to 3.
    pub(super) fn paint(
        self,
        canvas: &mut Canvas,
        lens: &Lens,
        light: &Light,
        at: Place,
        heading: Heading,
        phase: u8,
    ) {
        if let Self::Person(c) = self {
            person(canvas, lens, light, at, c, phase);
            return;
        }
        let half = self.length() / 2.0;
        let wide = self.solids().iter().map(|s| s.x).fold(0.0, f32::max);
        let world = |x: f32, y: f32, z: f32| turned(at, heading, x, y, z);
        // Shade beneath, drawn out away from the sun.
        let away = light.shadow_length * 0.24 * self.height().min(2.5);
        let dark = (0.26 + light.shadow * 0.7).min(0.5);
        let foot = [(-wide, -half), (wide, -half), (wide, half), (-wide, half)];
        let cast: Vec<Place> = foot
            .iter()
            .map(|(x, z)| world(*x, 0.0, *z))
            .map(|p| {
                if p.x < at.x {
                    place(p.x - away, 0.0, p.z + 0.2)
                } else {
                    p
                }
            })
            .collect();
        canvas.fill(&lens.polygon(&cast), [0.02, 0.02, 0.04], dark);
        wheels(canvas, lens, light, &world, wide, half, self);
        let mut solids = self.solids();
        solids.sort_by(|a, b| {
            let far = |s: &Solid| {
                let p = world(0.0, 0.0, (s.z.0 + s.z.1) / 2.0);
                // What is higher covers what is lower.
                ((p.z - lens.eye.z).powi(2) + (p.x - lens.eye.x).powi(2)).sqrt() - s.y.0 * 4.0
            };
            far(b).total_cmp(&far(a))
        });
        for s in &solids {
            solid_faces(canvas, lens, light, &world, s);
        }
        lamps(canvas, lens, light, &world, self, wide, half, heading);
    }

    /// Where a sprite of it may have paint: corners of a box around it, its shade and its lamps.
    pub(super) fn bounds(
        self,
        lens: &Lens,
        light: &Light,
        at: Place,
        heading: Heading,
    ) -> Option<[f32; 4]> {
        let half = self.length() / 2.0 + 0.3;
        // The pool of light before it.
        let front = if light.night > 0.05 && heading == Heading::Towards {
            half + 4.8
        } else {
            half
        };
        let wide = 1.5_f32.min(self.length() / 2.0 + 0.2);
        let shade = light.shadow_length * 0.24 * self.height().min(2.5) + 0.2;
        let mut area = [
            f32::INFINITY,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NEG_INFINITY,
        ];
        for x in [-wide, wide] {
            for z in [-half, front] {
                for y in [0.0, self.height()] {
                    for dx in [0.0, -shade] {
                        let mut p = turned(at, heading, x, y, z);
                        p.x += dx;
                        let s = lens.point(p)?;
                        area = [
                            area[0].min(s.x),
                            area[1].min(s.y),
                            area[2].max(s.x),
                            area[3].max(s.y),
                        ];
                    }
                }
            }
        }
        Some(area)
    }
}

fn paint(rng: &mut Rng) -> u32 {
    rng.pick(&PAINTS).copied().unwrap_or(0xe8_e8ea)
}

fn car(c: Color, wide: f32, high: f32) -> Vec<Solid> {
    vec![
        Solid {
            x: wide,
            y: (0.28, 0.92),
            z: (-2.3, 2.3),
            taper: (0.04, 0.18, 0.08),
            color: c,
            glass: None,
        },
        Solid {
            x: wide - 0.04,
            y: (0.92, high),
            z: (-1.75, 1.05),
            taper: (0.18, 0.85, 0.6),
            color: c,
            glass: Some((0.12, 0.88)),
        },
    ]
}

fn turned(at: Place, heading: Heading, x: f32, y: f32, z: f32) -> Place {
    let (dx, dz) = match heading {
        Heading::Away => (x, z),
        Heading::Towards => (-x, -z),
        Heading::Right => (z, -x),
        Heading::Left => (-z, x),
    };
    place(at.x + dx, at.y + y, at.z + dz)
}

fn solid_faces(
    canvas: &mut Canvas,
    lens: &Lens,
    light: &Light,
    world: &impl Fn(f32, f32, f32) -> Place,
    s: &Solid,
) {
    let (side, front, rear) = s.taper;
    // Corners: rear left, rear right, front right, front left; foot and top.
    let foot = [(-s.x, s.z.0), (s.x, s.z.0), (s.x, s.z.1), (-s.x, s.z.1)];
    let top = [
        (-s.x + side, s.z.0 + rear),
        (s.x - side, s.z.0 + rear),
        (s.x - side, s.z.1 - front),
        (-s.x + side, s.z.1 - front),
    ];
    let corner = |i: usize, t: f32| {
        let (a, b) = (foot[i % 4], top[i % 4]);
        world(
            a.0 + (b.0 - a.0) * t,
            s.y.0 + (s.y.1 - s.y.0) * t,
            a.1 + (b.1 - a.1) * t,
        )
    };
    let middle = world(0.0, (s.y.0 + s.y.1) / 2.0, (s.z.0 + s.z.1) / 2.0);
    for i in 0..4 {
        let quad = [
            corner(i, 0.0),
            corner(i + 1, 0.0),
            corner(i + 1, 1.0),
            corner(i, 1.0),
        ];
        let Some(facing) = facing(lens, middle, &quad) else {
            continue;
        };
        canvas.fill(&lens.polygon(&quad), light.on(s.color, facing), 1.0);
        if let Some((low, high)) = s.glass {
            let at = |i: usize, along: f32, t: f32| {
                let (a, b) = (corner(i, t), corner(i + 1, t));
                place(a.x + (b.x - a.x) * along, a.y, a.z + (b.z - a.z) * along)
            };
            let sky = blend(light.sky_top, light.sky_low, 0.5);
            let pane = blend(light.on(GLASS, facing), sky, 0.16);
            let quad = [
                at(i, 0.06, low),
                at(i, 0.94, low),
                at(i, 0.94, high),
                at(i, 0.06, high),
            ];
            canvas.fill(&lens.polygon(&quad), pane, 0.96);
        }
    }
    let roof = [
        corner(0, 1.0),
        corner(1, 1.0),
        corner(2, 1.0),
        corner(3, 1.0),
    ];
    if let Some(facing) = facing(lens, middle, &roof) {
        canvas.fill(&lens.polygon(&roof), light.on(s.color, facing), 1.0);
    }
}

/// How much a face looks to the sun; `None` when it looks away from the lens.
fn facing(lens: &Lens, inside: Place, quad: &[Place; 4]) -> Option<f32> {
    let sub = |a: Place, b: Place| place(a.x - b.x, a.y - b.y, a.z - b.z);
    let dot = |a: Place, b: Place| a.x * b.x + a.y * b.y + a.z * b.z;
    let (u, v) = (sub(quad[1], quad[0]), sub(quad[2], quad[0]));
    let mut n = place(
        u.y * v.z - u.z * v.y,
        u.z * v.x - u.x * v.z,
        u.x * v.y - u.y * v.x,
    );
    let length = dot(n, n).sqrt().max(1e-6);
    n = place(n.x / length, n.y / length, n.z / length);
    if dot(n, sub(quad[0], inside)) < 0.0 {
        n = place(-n.x, -n.y, -n.z);
    }
    (dot(n, sub(lens.eye, quad[0])) > 0.0).then(|| dot(n, SUN).max(0.0))
}

fn wheels(
    canvas: &mut Canvas,
    lens: &Lens,
    light: &Light,
    world: &impl Fn(f32, f32, f32) -> Place,
    wide: f32,
    half: f32,
    model: Model,
) {
    let radius = match model {
        Model::Bus(_) | Model::Truck(_) | Model::Sweeper => 0.48,
        Model::Scooter(_) => 0.24,
        Model::Sedan(_) | Model::Suv(_) | Model::Taxi | Model::Van(_) | Model::Person(_) => 0.33,
    };
    let color = light.on(rgb(0x16_1618), 0.5);
    for z in [-half * 0.62, half * 0.64] {
        for x in [-wide + 0.02, wide - 0.02] {
            // An octagon upright on the side, and a tread as broad as a tyre.
            let rim: Vec<Place> = (0_u8..8)
                .map(|i| {
                    let (sin, cos) = (f32::from(i) * std::f32::consts::FRAC_PI_4).sin_cos();
                    world(x, radius + sin * radius, z + cos * radius)
                })
                .collect();
            canvas.fill(&lens.polygon(&rim), color, 1.0);
            let inner = x - x.signum() * 0.22;
            let tread = [
                world(x, 0.0, z - radius),
                world(inner, 0.0, z - radius),
                world(inner, radius * 1.4, z - radius),
                world(x, radius * 1.4, z - radius),
            ];
            canvas.fill(&lens.polygon(&tread), color, 1.0);
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one drawing step of `paint`")]
fn lamps(
    canvas: &mut Canvas,
    lens: &Lens,
    light: &Light,
    world: &impl Fn(f32, f32, f32) -> Place,
    model: Model,
    wide: f32,
    half: f32,
    heading: Heading,
) {
    if matches!(model, Model::Scooter(_) | Model::Person(_)) {
        return;
    }
    let big = matches!(model, Model::Bus(_) | Model::Truck(_) | Model::Sweeper);
    let y = if big { 0.8 } else { 0.66 };
    let (front, rear) = (half + 0.01, -half - 0.01);
    let quad = |x0: f32, x1: f32, y0: f32, y1: f32, z: f32| {
        lens.polygon(&[
            world(x0, y0, z),
            world(x1, y0, z),
            world(x1, y1, z),
            world(x0, y1, z),
        ])
    };
    if heading != Heading::Towards {
        for x in [-wide + 0.08, wide - 0.36] {
            let lit = blend(
                light.on(rgb(0xb0_1c18), 0.5),
                rgb(0xff_3020),
                light.night * 0.8,
            );
            canvas.fill(&quad(x, x + 0.28, y, y + 0.17, rear), lit, 1.0);
        }
        if heading == Heading::Away {
            let plate = if big { rgb(0xe0_b030) } else { rgb(0x2a_58b0) };
            canvas.fill(
                &quad(-0.23, 0.23, y - 0.2, y - 0.05, rear),
                light.on(plate, 0.6),
                1.0,
            );
            canvas.fill(
                &quad(-wide, wide, y - 0.38, y - 0.24, rear),
                light.on(rgb(0x24_2628), 0.4),
                0.9,
            );
        }
    }
    if heading == Heading::Towards {
        canvas.fill(
            &quad(-0.5, 0.5, y - 0.22, y + 0.1, front),
            light.on(rgb(0x22_2426), 0.4),
            0.95,
        );
        let plate = if big { rgb(0xe0_b030) } else { rgb(0x2a_58b0) };
        canvas.fill(
            &quad(-0.23, 0.23, y - 0.3, y - 0.16, front),
            light.on(plate, 0.6),
            1.0,
        );
    }
    if heading != Heading::Away {
        for x in [-wide + 0.08, wide - 0.40] {
            let lit = blend(light.on(rgb(0xd8_e0e4), 0.8), rgb(0xff_fce8), light.night);
            canvas.fill(&quad(x, x + 0.32, y, y + 0.16, front), lit, 1.0);
            if light.night > 0.05
                && let Some(c) = lens.point(world(x + 0.16, y + 0.08, front + 0.05))
            {
                let m = lens.per_metre(world(x, y, front));
                canvas.glow(c, m * 0.95, m * 0.8, rgb(0xff_f0d0), 0.9 * light.night);
            }
        }
    }
    if light.night > 0.05 && heading == Heading::Towards {
        let pool = lens.polygon(&[
            world(-0.8, 0.0, front),
            world(0.8, 0.0, front),
            world(1.3, 0.0, front + 4.6),
            world(-1.3, 0.0, front + 4.6),
        ]);
        canvas.fill(&pool, rgb(0xff_e8c0), 0.13 * light.night);
    }
}

/// A walker, seen from any side the same: a coat, legs in four steps, a head.
fn person(canvas: &mut Canvas, lens: &Lens, light: &Light, at: Place, coat: u32, phase: u8) {
    let Some(foot) = lens.point(at) else {
        return;
    };
    let m = lens.per_metre(at);
    let spot = |x: f32, y: f32| Screen {
        x: foot.x + x * m,
        y: foot.y - y * m,
    };
    let shade = spot(-0.12 * light.shadow_length, 0.0);
    canvas.ellipse(
        shade,
        m * 0.42,
        m * 0.10,
        [0.02, 0.02, 0.04],
        light.shadow * 0.8 + 0.15,
    );
    let swing = [0.0, 0.19, 0.0, -0.19][usize::from(phase % 4)];
    let trousers = light.on(rgb(0x2c_303c), 0.5);
    for (hip, step) in [(-0.09, swing), (0.09, -swing)] {
        canvas.fill(
            &[
                spot(hip - 0.09, 0.85),
                spot(hip + 0.09, 0.85),
                spot(hip + step + 0.07, 0.02),
                spot(hip + step - 0.07, 0.02),
            ],
            trousers,
            1.0,
        );
    }
    let color = light.on(rgb(coat), 0.55);
    canvas.fill(
        &[
            spot(-0.22, 1.42),
            spot(0.22, 1.42),
            spot(0.19, 0.75),
            spot(-0.19, 0.75),
        ],
        color,
        1.0,
    );
    for (side, step) in [(-1.0, -swing), (1.0, swing)] {
        let (a, b) = (side * 0.20, side * 0.27 + step * 0.8);
        canvas.fill(
            &[
                spot(a - 0.05, 1.4),
                spot(a + 0.06, 1.4),
                spot(b + 0.05, 0.8),
                spot(b - 0.05, 0.8),
            ],
            scale(color, 0.86),
            1.0,
        );
    }
    canvas.ellipse(
        spot(0.0, 1.58),
        m * 0.125,
        m * 0.15,
        light.on(rgb(0xd0_a080), 0.6),
        1.0,
    );
    canvas.ellipse(
        spot(0.0, 1.64),
        m * 0.13,
        m * 0.10,
        light.on(rgb(0x22_1e1c), 0.5),
        1.0,
    );
}
