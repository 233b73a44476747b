//! Trees, lamp posts, hedges, the gantry with the traffic lights, parked cars: what stands along a street.

use crate::rng::Rng;

use super::backdrop::Painter;
use super::canvas::{blend, rgb, scale};
use super::lens::{Place, Screen, place};
use super::models::{Heading, Model};
use super::view::{CROSS_Z, FAR_WALK_Z, Style, WALK_Z};

enum Thing {
    Tree(f32),
    Lamp,
    Hedge,
    Parked(Model),
}

pub(super) fn rows(p: &mut Painter<'_>) {
    let half = p.view.half_width;
    let mut things: Vec<(Place, Thing)> = Vec::new();
    for side in [-1.0_f32, 1.0] {
        let mut rng = p.rng(if side > 0.0 { 40 } else { 41 });
        // The pole's own side stays free before the crossing: a tree there would fill the picture.
        let own = p.lens.eye.x * side > 0.0;
        let clear = |z: f32| (z < WALK_Z.0 - 2.5 && !own) || z > FAR_WALK_Z.1 + 2.5;
        let mut z = 13.0 + rng.unit() as f32 * 4.0;
        let old = p.view.style == Style::OldTown;
        let step = if old { 17.0 } else { 8.5 };
        while z < 240.0 {
            if clear(z) {
                let size = 0.8 + 0.45 * rng.unit() as f32;
                let size = if old { size * 0.7 } else { size };
                things.push((place(side * (half + 1.6), 0.0, z), Thing::Tree(size)));
                if !old && z < 120.0 {
                    things.push((place(side * (half + 1.2), 0.0, z + 2.0), Thing::Hedge));
                }
            }
            z += step + rng.unit() as f32 * 2.5;
        }
        let mut z = 21.0;
        while z < 260.0 {
            if clear(z) {
                things.push((place(side * (half + 0.7), 0.0, z), Thing::Lamp));
            }
            z += 27.0;
        }
        if !old {
            let mut z = 60.0 + rng.unit() as f32 * 12.0;
            while z < 130.0 {
                let model = Model::parked(&mut rng);
                things.push((place(side * (half + 3.6), 0.0, z), Thing::Parked(model)));
                z += 6.5 + rng.unit() as f32 * 14.0;
            }
        }
    }
    things.sort_by(|a, b| b.0.z.total_cmp(&a.0.z));
    let mut rng = p.rng(42);
    for (at, thing) in things {
        match thing {
            Thing::Tree(size) => tree(p, at, size, &mut rng),
            Thing::Lamp => lamp(p, at),
            Thing::Hedge => hedge(p, at, &mut rng),
            Thing::Parked(model) => {
                let heading = if at.x > 0.0 {
                    Heading::Away
                } else {
                    Heading::Towards
                };
                model.paint(&mut p.canvas, p.lens, p.light, at, heading, 0);
            }
        }
    }
    if p.view.style == Style::River {
        railing(p);
    }
    gantry(p);
}

fn tree(p: &mut Painter<'_>, at: Place, size: f32, rng: &mut Rng) {
    let crown = place(at.x, 4.6 * size, at.z);
    let reach = 2.1 * size;
    // Shade on the ground, drawn out away from the sun.
    if let Some(c) = p
        .lens
        .point(place(at.x - 1.4 * p.light.shadow_length, 0.02, at.z + 0.8))
    {
        let m = p.lens.per_metre(at);
        p.canvas.ellipse(
            c,
            m * reach * 1.3,
            m * reach * 0.24,
            [0.02, 0.02, 0.05],
            p.light.shadow * 0.8 + 0.06,
        );
    }
    let w = 0.16 * size;
    p.face(
        &[
            place(at.x - w, 0.0, at.z),
            place(at.x + w, 0.0, at.z),
            place(at.x + w * 0.6, 4.0 * size, at.z),
            place(at.x - w * 0.6, 4.0 * size, at.z),
        ],
        rgb(0x5c_4c3c),
        0.4,
    );
    let m = p.lens.per_metre(crown);
    let Some(middle) = p.lens.point(crown) else {
        return;
    };
    let leaves = scale(p.light.leaves, 0.85 + 0.3 * rng.unit() as f32);
    let blobs = if m * reach < 14.0 { 9 } else { 34 };
    for i in 0..blobs {
        let t = i as f32 / blobs as f32;
        let angle = rng.unit() as f32 * 6.3;
        let out = (rng.unit() as f32).sqrt() * reach * 0.72;
        let c = Screen {
            x: middle.x + angle.cos() * out * m + t * reach * m * 0.12,
            y: middle.y + angle.sin() * out * m * 0.95 - t * reach * m * 0.16,
        };
        let r = reach
            * m
            * (0.17 + 0.15 * rng.unit() as f32)
            * if m * reach < 14.0 { 1.5 } else { 1.0 };
        // Later blobs lie on top and nearer to the sun.
        let facing = 0.12 + 0.75 * t;
        let tone = p.light.on(scale(leaves, 0.62 + 0.5 * t), facing);
        let color = p.light.far(tone, at.z);
        p.canvas.ellipse(c, r, r * 0.86, color, 0.93);
    }
}

fn hedge(p: &mut Painter<'_>, at: Place, rng: &mut Rng) {
    let m = p.lens.per_metre(at);
    for i in 0..7 {
        let z = at.z + 3.6 - i as f32 * 0.55;
        let Some(c) = p.lens.point(place(at.x, 0.4, z)) else {
            continue;
        };
        let tone = scale(rgb(0x4c_6a3a), 0.75 + 0.35 * rng.unit() as f32);
        let color = p.light.far(p.light.on(tone, 0.5), z);
        p.canvas.ellipse(c, m * 0.5, m * 0.42, color, 1.0);
    }
}

fn lamp(p: &mut Painter<'_>, at: Place) {
    let steel = rgb(0x7c_8288);
    let inward = -at.x.signum();
    let arm = at.x + inward * 2.6;
    p.face(
        &[
            place(at.x - 0.09, 0.0, at.z),
            place(at.x + 0.09, 0.0, at.z),
            place(at.x + 0.06, 8.6, at.z),
            place(at.x - 0.06, 8.6, at.z),
        ],
        steel,
        0.6,
    );
    p.face(
        &[
            place(at.x, 8.4, at.z),
            place(arm, 9.1, at.z),
            place(arm, 9.24, at.z),
            place(at.x, 8.6, at.z),
        ],
        steel,
        0.6,
    );
    let head = place(arm, 9.1, at.z);
    let m = p.lens.per_metre(head);
    if let Some(c) = p.lens.point(head) {
        let dark = p.light.on(rgb(0x9a_a0a4), 0.5);
        let color = blend(dark, rgb(0xff_f0c8), p.light.night);
        p.canvas.ellipse(c, m * 0.42, m * 0.13, color, 1.0);
        if p.light.night > 0.05 {
            p.canvas
                .glow(c, m * 2.6, m * 2.0, rgb(0xff_d890), 0.75 * p.light.night);
        }
    }
    if p.light.night > 0.05
        && let Some(c) = p.lens.point(place(arm + inward * 1.5, 0.0, at.z))
    {
        p.canvas
            .glow(c, m * 8.5, m * 2.6, rgb(0xff_c878), 0.36 * p.light.night);
    }
}

fn railing(p: &mut Painter<'_>) {
    let x = p.view.half_width + 6.0;
    let stone = rgb(0xc8_c4ba);
    let mut z = 170.0;
    while z > 8.0 {
        if z < CROSS_Z.0 - 3.0 || z > CROSS_Z.1 + 3.0 {
            for (y0, y1) in [(0.95, 1.1), (0.25, 0.38)] {
                let bar = [
                    place(x, y0, z),
                    place(x, y0, z + 2.0),
                    place(x, y1, z + 2.0),
                    place(x, y1, z),
                ];
                p.face(&bar, stone, 0.5);
            }
            let post = [
                place(x - 0.1, 0.0, z),
                place(x + 0.1, 0.0, z),
                place(x + 0.1, 1.25, z),
                place(x - 0.1, 1.25, z),
            ];
            p.face(&post, stone, 0.7);
        }
        z -= 2.0;
    }
}

/// Where the light heads hang: (x, y, z) of the middle lamp of each.
pub(super) fn light_heads(half_width: f32) -> [Place; 2] {
    [
        place(half_width * 0.45, 6.3, FAR_WALK_Z.1 + 1.0),
        place(half_width + 0.9, 3.4, CROSS_Z.1 + 1.5),
    ]
}

fn gantry(p: &mut Painter<'_>) {
    let half = p.view.half_width;
    let z = FAR_WALK_Z.1 + 1.0;
    let steel = rgb(0x6a_7076);
    let x = half + 1.1;
    p.face(
        &[
            place(x - 0.14, 0.0, z),
            place(x + 0.14, 0.0, z),
            place(x + 0.11, 6.6, z),
            place(x - 0.11, 6.6, z),
        ],
        steel,
        0.6,
    );
    p.face(
        &[
            place(half * 0.3, 6.25, z),
            place(x, 6.35, z),
            place(x, 6.55, z),
            place(half * 0.3, 6.4, z),
        ],
        steel,
        0.6,
    );
    // The blue street sign beside the lights.
    let sign = [
        place(half * 0.62, 5.6, z - 0.1),
        place(half * 0.62 + 3.0, 5.6, z - 0.1),
        place(half * 0.62 + 3.0, 6.9, z - 0.1),
        place(half * 0.62, 6.9, z - 0.1),
    ];
    let blue = blend(
        p.light.on(rgb(0x1f_5aa8), 0.7),
        rgb(0x2a_6ac0),
        p.light.night * 0.6,
    );
    p.flat(&sign, blue, 1.0);
    for (i, y) in [5.85_f32, 6.35].into_iter().enumerate() {
        let stripe = [
            place(half * 0.62 + 0.3, y, z - 0.15),
            place(half * 0.62 + 2.6 - 0.5 * i as f32, y, z - 0.15),
            place(half * 0.62 + 2.6 - 0.5 * i as f32, y + 0.22, z - 0.15),
            place(half * 0.62 + 0.3, y + 0.22, z - 0.15),
        ];
        p.flat(&stripe, p.light.on([0.9; 3], 0.7), 0.9);
    }
    let pole = light_heads(half)[1];
    p.face(
        &[
            place(pole.x - 0.08, 0.0, pole.z),
            place(pole.x + 0.08, 0.0, pole.z),
            place(pole.x + 0.08, pole.y, pole.z),
            place(pole.x - 0.08, pole.y, pole.z),
        ],
        steel,
        0.6,
    );
    for head in light_heads(half) {
        let housing = [
            place(head.x - 0.28, head.y - 0.85, head.z - 0.2),
            place(head.x + 0.28, head.y - 0.85, head.z - 0.2),
            place(head.x + 0.28, head.y + 0.85, head.z - 0.2),
            place(head.x - 0.28, head.y + 0.85, head.z - 0.2),
        ];
        p.face(&housing, rgb(0x20_2224), 0.5);
    }
}
