//! Houses along both sides: fronts with windows, shops at their feet, tiled roofs in the old town.

use crate::rng::Rng;

use super::backdrop::Painter;
use super::canvas::{Color, blend, rgb, scale};
use super::lens::{Place, place};
use super::view::{CROSS_Z, Style};

const WALLS: [u32; 8] = [
    0xb8_b0a2, 0xa8_9a8a, 0xc2_bdb4, 0x8f_9aa6, 0xb5_9c86, 0x9d_a3a0, 0xc9_c0ae, 0x7f_8c9a,
];
const SIGNS: [u32; 7] = [
    0xb8_3a2e, 0x2c_6aa0, 0x2f_8a5a, 0xd0_8a2c, 0x7a_3c88, 0xc8_c4b8, 0x1f_4a7a,
];

struct House {
    /// The wall on the street; the house lies outward of it.
    x: f32,
    out: f32,
    z: (f32, f32),
    height: f32,
    wall: Color,
    glass: bool,
    seed: u64,
}

pub(super) fn rows(p: &mut Painter<'_>) {
    let mut houses = Vec::new();
    for side in [-1.0_f32, 1.0] {
        if side > 0.0 && p.view.style == Style::River {
            continue;
        }
        let mut rng = p.rng(if side > 0.0 { 20 } else { 21 });
        // A low roof right before the lens would hide the street.
        let own = p.lens.eye.x * side > 0.0;
        let mut z = if own && p.view.style == Style::OldTown {
            CROSS_Z.1 + 7.0
        } else {
            4.0
        };
        while z < 330.0 {
            let length = rng.range(11.0, 30.0) as f32;
            if z + length > CROSS_Z.0 - 5.0 && z < CROSS_Z.1 + 6.0 {
                z = CROSS_Z.1 + 6.0 + rng.unit() as f32 * 4.0;
                continue;
            }
            houses.push(house(
                p.view.style,
                p.view.half_width,
                side,
                (z, z + length),
                &mut rng,
            ));
            z += length + rng.range(0.6, 5.0) as f32;
        }
        // Behind the crossing, along the other street.
        for k in 0..4 {
            let x = p.view.half_width + 34.0 + 26.0 * k as f32;
            let mut other = house(
                p.view.style,
                0.0,
                side,
                (CROSS_Z.1 + 8.0, CROSS_Z.1 + 24.0),
                &mut rng,
            );
            other.x = side * x;
            other.out = side * 20.0;
            houses.push(other);
        }
    }
    houses.sort_by(|a, b| {
        b.z.0
            .total_cmp(&a.z.0)
            .then(b.x.abs().total_cmp(&a.x.abs()))
    });
    for h in &houses {
        if h.z.1 < CROSS_Z.0
            && let Some(corner) = p.lens.point(place(h.x, 0.0, h.z.1))
        {
            if h.x < 0.0 {
                p.gap.0 = p.gap.0.max(corner.x);
            } else {
                p.gap.1 = p.gap.1.min(corner.x);
            }
        }
        draw(p, h);
    }
    if p.view.style == Style::OldTown {
        tower(p);
    }
}

fn house(style: Style, half_width: f32, side: f32, z: (f32, f32), rng: &mut Rng) -> House {
    let old = style == Style::OldTown;
    let height = if old {
        rng.range(4.2, 7.5)
    } else if rng.chance(0.3) {
        rng.range(26.0, 62.0)
    } else {
        rng.range(11.0, 24.0)
    } as f32;
    let set_back = if old {
        3.2
    } else {
        rng.range(6.5, 10.0) as f32
    };
    let wall = if old {
        rgb(0x86_8078)
    } else {
        rgb(rng.pick(&WALLS).copied().unwrap_or(0xb8_b0a2))
    };
    House {
        x: side * (half_width + set_back),
        out: side * rng.range(12.0, 22.0) as f32,
        z,
        height,
        wall: scale(wall, rng.range(0.85, 1.08) as f32),
        glass: !old && height > 24.0 && rng.chance(0.55),
        seed: rng.next(),
    }
}

fn draw(p: &mut Painter<'_>, h: &House) {
    let (z0, z1) = h.z;
    let far = h.x + h.out;
    let up = h.height;
    // The wall towards us, then the wall on the street. The sun stands on the right behind us.
    let front = [
        place(h.x, 0.0, z0),
        place(far, 0.0, z0),
        place(far, up, z0),
        place(h.x, up, z0),
    ];
    p.face(&front, h.wall, 0.55);
    let street = [
        place(h.x, 0.0, z0),
        place(h.x, 0.0, z1),
        place(h.x, up, z1),
        place(h.x, up, z0),
    ];
    let facing = if h.x < 0.0 { 0.85 } else { 0.16 };
    p.face(&street, h.wall, facing);
    let mut rng = Rng::new(h.seed);
    windows(p, h, &mut rng, facing, true);
    windows(p, h, &mut rng, 0.55, false);
    if p.view.style == Style::OldTown {
        roof(p, h);
    } else {
        shops(p, h, &mut rng);
        // A parapet.
        let top = up + 0.7;
        let edge = [
            place(h.x, up, z0),
            place(h.x, up, z1),
            place(h.x, top, z1),
            place(h.x, top, z0),
        ];
        p.face(&edge, scale(h.wall, 0.8), facing);
    }
}

fn windows(p: &mut Painter<'_>, h: &House, rng: &mut Rng, facing: f32, on_street: bool) {
    let old = p.view.style == Style::OldTown;
    let (from, to) = if on_street { h.z } else { (0.0, h.out.abs()) };
    let floor_m = if old { 2.9 } else { 3.3 };
    let first = if old { 0.7 } else { 4.6 };
    // Far windows run together: one band a floor is what is left of them.
    let detail = p.lens.per_metre(place(h.x, 0.0, h.z.0.max(14.0)));
    let bay = if detail < 7.0 { 7.0 } else { 3.4 };
    let mut y = first;
    while y + 2.0 < h.height {
        let mut s = from + 0.9;
        while s + bay * 0.6 < to {
            let (a, b) = if h.glass {
                (s - 0.1, s + bay - 0.5)
            } else {
                (s, s + bay * 0.56)
            };
            let wide = |t: f32, up: f32| {
                if on_street {
                    place(h.x, up, t)
                } else {
                    place(h.x + t * h.out.signum(), up, h.z.0)
                }
            };
            let top = y + if h.glass { 2.6 } else { 1.7 };
            let pane: [Place; 4] = [wide(a, y), wide(b, y), wide(b, top), wide(a, top)];
            let lit = rng.chance(0.42);
            let warmth = rng.unit() as f32;
            let shade = rng.range(0.75, 1.15) as f32;
            let sky = blend(p.light.sky_top, p.light.sky_low, 0.6);
            let day = blend(
                p.light.on(rgb(0x3a_4754), facing),
                sky,
                if h.glass { 0.45 } else { 0.18 },
            );
            let lamp = blend(rgb(0xff_c878), rgb(0xd8_e4f0), warmth * 0.7);
            let color = if lit {
                blend(scale(day, shade), lamp, p.light.night * 0.85)
            } else {
                scale(day, shade)
            };
            p.flat(&pane, color, 0.95);
            s += bay;
        }
        y += floor_m;
    }
}

/// Shop fronts under coloured boards.
fn shops(p: &mut Painter<'_>, h: &House, rng: &mut Rng) {
    let mut z = h.z.0 + 0.3;
    while z + 3.0 < h.z.1 {
        let end = (z + rng.range(3.5, 8.0) as f32).min(h.z.1 - 0.2);
        let side = |y0: f32, y1: f32, a: f32, b: f32| {
            [
                place(h.x, y0, a),
                place(h.x, y0, b),
                place(h.x, y1, b),
                place(h.x, y1, a),
            ]
        };
        let inside = blend(
            p.light.on(rgb(0x4c_4a48), 0.5),
            rgb(0xff_dca0),
            0.12 + p.light.night * 0.75,
        );
        p.flat(&side(0.1, 2.9, z, end - 0.3), inside, 1.0);
        let board = rgb(rng.pick(&SIGNS).copied().unwrap_or(0xb8_3a2e));
        let lit = blend(
            p.light.on(board, 0.6),
            scale(board, 1.35),
            p.light.night * 0.9,
        );
        p.flat(&side(3.0, 4.1, z, end - 0.15), lit, 1.0);
        // Letters on it, as light strokes.
        let mut s = z + 0.6;
        while s + 0.7 < end - 0.4 {
            p.flat(
                &side(3.25, 3.85, s, s + 0.5),
                blend(lit, [1.0; 3], 0.65),
                0.8,
            );
            s += 0.95;
        }
        z = end;
    }
}

/// Grey tiles, rising from eaves that reach over the wall.
fn roof(p: &mut Painter<'_>, h: &House) {
    let (z0, z1) = (h.z.0 - 0.3, h.z.1 + 0.3);
    let eave = h.x - h.out.signum() * 0.9;
    let ridge = h.x + h.out * 0.42;
    let (low, high) = (h.height - 0.2, h.height + 2.3);
    let slope = [
        place(eave, low, z0),
        place(eave, low, z1),
        place(ridge, high, z1),
        place(ridge, high, z0),
    ];
    p.face(&slope, rgb(0x58_5a5c), 0.6);
    let mut z = z0;
    while z < z1 && z < 70.0 {
        let rib = [
            place(eave, low, z),
            place(eave, low, z + 0.16),
            place(ridge, high, z + 0.16),
            place(ridge, high, z),
        ];
        p.face(&rib, rgb(0x44_4648), 0.4);
        z += 0.75;
    }
    let gable = [
        place(h.x, h.height - 0.3, h.z.0),
        place(h.x + h.out * 0.84, h.height - 0.3, h.z.0),
        place(ridge, high, h.z.0),
    ];
    p.face(&gable, scale(h.wall, 0.92), 0.55);
    // Red lanterns under the eaves.
    let mut z = (h.z.0 + 1.5).max(20.0);
    while z < h.z.1 && z < 90.0 {
        let at = place(eave, low - 0.7, z);
        if let Some(c) = p.lens.point(at) {
            let r = p.lens.per_metre(at) * 0.26;
            let red = blend(
                p.light.on(rgb(0xc8_2a1e), 0.7),
                rgb(0xff_5a30),
                p.light.night,
            );
            p.canvas
                .glow(c, r * 5.0, r * 5.0, rgb(0xff_6030), 0.30 * p.light.night);
            p.canvas.ellipse(c, r, r * 1.15, red, 1.0);
        }
        z += 4.2;
    }
}

/// The bell tower that stands over the old street.
fn tower(p: &mut Painter<'_>) {
    let z = 118.0;
    let brick = rgb(0x86_7a6c);
    let wide = 10.5;
    for (x0, x1) in [(-wide, -3.4), (3.4, wide)] {
        p.face(
            &[
                place(x0, 0.0, z),
                place(x1, 0.0, z),
                place(x1, 9.0, z),
                place(x0, 9.0, z),
            ],
            brick,
            0.6,
        );
    }
    p.face(
        &[
            place(-3.5, 6.0, z),
            place(3.5, 6.0, z),
            place(3.5, 9.0, z),
            place(-3.5, 9.0, z),
        ],
        brick,
        0.6,
    );
    p.face(
        &[
            place(-wide, 9.0, z),
            place(wide, 9.0, z),
            place(wide, 10.0, z),
            place(-wide, 10.0, z),
        ],
        scale(brick, 0.8),
        0.6,
    );
    for (storey, half, y) in [(0, 7.6_f32, 10.0_f32), (1, 5.8, 15.2)] {
        let hall = blend(
            p.light.on(rgb(0x9c_3a2a), 0.6),
            rgb(0xff_a050),
            p.light.night * 0.4,
        );
        p.flat(
            &[
                place(-half, y, z),
                place(half, y, z),
                place(half, y + 3.2, z),
                place(-half, y + 3.2, z),
            ],
            hall,
            1.0,
        );
        let mut x = -half + 0.8;
        while x < half - 1.0 {
            let pane = blend(
                p.light.on(rgb(0x5c_2a20), 0.5),
                rgb(0xff_d080),
                0.1 + p.light.night * 0.7,
            );
            p.flat(
                &[
                    place(x, y + 0.5, z),
                    place(x + 1.1, y + 0.5, z),
                    place(x + 1.1, y + 2.6, z),
                    place(x, y + 2.6, z),
                ],
                pane,
                1.0,
            );
            x += 1.9;
        }
        let reach = half + 2.6;
        let top = half - if storey == 1 { 4.2 } else { 1.2 };
        // Eaves that turn up at their ends.
        p.face(
            &[
                place(-reach, y + 3.6, z),
                place(-reach + 1.6, y + 3.0, z),
                place(reach - 1.6, y + 3.0, z),
                place(reach, y + 3.6, z),
                place(top, y + 5.4, z),
                place(-top, y + 5.4, z),
            ],
            rgb(0x4a_5450),
            0.6,
        );
    }
}
