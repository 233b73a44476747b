//! Moving things painted once for each place on a coarse grid, and copied from then on.

use std::collections::HashMap;

use super::canvas::Canvas;
use super::lens::{Lens, Place, place};
use super::light::Light;
use super::models::{Heading, Model};
use super::picture::Sprite;
use super::street::Actor;

type Key = (Model, Heading, i32, i32, u8);

#[derive(Default)]
pub(super) struct Sprites {
    known: HashMap<Key, Option<Sprite>>,
    /// Sprites that may be painted now; without credit the next best size stands in for some frames.
    credit: f32,
    bytes: usize,
}

/// Beyond this all are thrown away and painted anew as they are needed.
const KEPT_BYTES: usize = 24 << 20;
/// Painting is slow in a debug build, and a stutter shows more than a car a few hands too large.
const CREDIT_PER_FRAME: f32 = if cfg!(debug_assertions) { 0.34 } else { 3.0 };
/// Growth from one size to the next.
const SIZE_STEP: f32 = 0.075;
const SIDE_STEP_M: f32 = 3.5;

impl Sprites {
    /// A new frame begins.
    pub(super) fn frame(&mut self) {
        self.credit = (self.credit + CREDIT_PER_FRAME).min(CREDIT_PER_FRAME.max(1.0));
    }

    /// The key itself, or while there is no credit the nearest one that is painted.
    fn stand_in(&self, key: Key) -> Key {
        if self.credit >= 1.0 || self.known.contains_key(&key) {
            return key;
        }
        (1..=4)
            .flat_map(|d| [key.2 + d, key.2 - d])
            .map(|k| (key.0, key.1, k, key.3, key.4))
            .find(|k| self.known.contains_key(k))
            .unwrap_or(key)
    }

    /// The sprite for an actor and where on the picture to lay it.
    pub(super) fn of(
        &mut self,
        actor: Actor,
        lens: &Lens,
        light: &Light,
    ) -> Option<(&Sprite, i32, i32)> {
        let across = matches!(actor.heading, Heading::Left | Heading::Right);
        if !across && actor.at.z < 3.0 {
            return None;
        }
        if unseen(actor, lens) {
            return None;
        }
        // Along the street sizes go by factors, across it by metres.
        let (k, grid) = if across {
            let k = (actor.at.x / SIDE_STEP_M).round();
            (k, place(k * SIDE_STEP_M, 0.0, actor.at.z))
        } else {
            let k = (actor.at.z.ln() / SIZE_STEP).round();
            (k, place(actor.at.x, 0.0, (k * SIZE_STEP).exp()))
        };
        let lane = if across { actor.at.z } else { actor.at.x };
        // People walk anywhere: their column is rounded, cars have their lane.
        let (lane, grid) = match actor.model {
            Model::Person(_) => (0.0, place(0.0, 0.0, grid.z)),
            _ => (lane, grid),
        };
        if self.bytes > KEPT_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        let key = (
            actor.model,
            actor.heading,
            k as i32,
            (lane * 8.0) as i32,
            actor.phase,
        );
        let key = self.stand_in(key);
        let credit = &mut self.credit;
        let sprite = self
            .known
            .entry(key)
            .or_insert_with(|| {
                *credit -= 1.0;
                let painted = paint(actor, grid, lens, light);
                self.bytes += painted.as_ref().map_or(0, Sprite::bytes) + size_of::<Key>();
                painted
            })
            .as_ref()?;
        let here = lens.point(actor.at)?;
        Some((sprite, here.x.round() as i32, here.y.round() as i32))
    }
}

/// Whether all of it is below or beside the picture; what is near the lens is large and not worth painting then.
fn unseen(actor: Actor, lens: &Lens) -> bool {
    let half = actor.model.length() / 2.0;
    let top = place(actor.at.x, actor.model.height(), actor.at.z + half);
    let wide = (lens.per_metre(actor.at) * (half + 3.0)).max(4.0);
    lens.point(top)
        .is_none_or(|p| p.y > lens.height || p.x + wide < 0.0 || p.x - wide > lens.width)
}

fn paint(actor: Actor, at: Place, lens: &Lens, light: &Light) -> Option<Sprite> {
    let area = actor.model.bounds(lens, light, at, actor.heading)?;
    let point = lens.point(at)?;
    let (left, top) = (
        (area[0] - 3.0).floor() as i32,
        (area[1] - 3.0).floor() as i32,
    );
    let width = ((area[2] - area[0]) as usize + 8)
        .next_multiple_of(2)
        .min(700);
    let height = ((area[3] - area[1]) as usize + 8)
        .next_multiple_of(2)
        .min(500);
    let mut canvas = Canvas::new(width, height, (left, top));
    actor
        .model
        .paint(&mut canvas, lens, light, at, actor.heading, actor.phase);
    Some(Sprite::new(
        &canvas,
        (point.x.round() as i32, point.y.round() as i32),
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{Moment, Scene, Traffic};

    /// Writes frames for a person to look at when `ZHENBEI_SCENES` names a folder; always checks that they differ.
    #[test]
    fn the_picture_moves() {
        let moment = |hour, tenth: u32| Moment {
            clock: format!("2026-11-24 14:24:{:02}.{} UTC+8", tenth / 10, tenth % 10),
            hour,
            month: 11,
        };
        let mut traffic = Traffic::new(2);
        let mut scene = Scene::new(2, 320, 180, "榆阳广场 东", &moment(14.0, 0));
        let first = scene.draw(&traffic, &moment(14.0, 0)).to_vec();
        traffic.step(0.5);
        let second = scene.draw(&traffic, &moment(14.0, 5)).to_vec();
        assert_eq!(first.len(), 320 * 180 * 3 / 2);
        let changed = first.iter().zip(&second).filter(|(a, b)| a != b).count();
        assert!(changed > 200, "{changed} samples changed");
        if let Ok(folder) = std::env::var("ZHENBEI_SCENES") {
            for seed in [0, 1] {
                for hour in [17.4, 20.0] {
                    let t = std::time::Instant::now();
                    let mut traffic = Traffic::new(seed);
                    let mut scene =
                        Scene::new(seed, 960, 540, "长城路 人民路 北", &moment(hour, 0));
                    let made = t.elapsed();
                    let t = std::time::Instant::now();
                    for i in 0..300 {
                        traffic.step(0.08);
                        scene.draw(&traffic, &moment(hour, i));
                    }
                    let cold = t.elapsed() / 300;
                    let t = std::time::Instant::now();
                    for i in 0..60 {
                        traffic.step(0.08);
                        scene.draw(&traffic, &moment(hour, i));
                    }
                    println!(
                        "{seed} {hour} made {made:?} cold {cold:?} sprites {} frame {:?}",
                        scene.sprites.known.len(),
                        t.elapsed() / 60
                    );
                    let frame = scene.draw(&traffic, &moment(hour, 61)).to_vec();
                    std::fs::write(format!("{folder}/scene-{seed}-{hour}.yuv"), frame).unwrap();
                }
            }
        }
    }
}
