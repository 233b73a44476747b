//! The picture of one demo camera: a street drawn in perspective, with traffic, lights, the hour's light and a burnt-in
//! clock.
//!
//! It must be cheap, also in a debug build: what stands still is painted once for a light, what moves is painted once for a
//! place and then copied, and a frame touches only where something moved. Nothing here reads a clock.
#![allow(
    clippy::should_implement_trait,
    clippy::wildcard_enum_match_arm,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_lossless,
    reason = "pixels: small numbers, clamped to the picture before they become indices"
)]

mod backdrop;
mod buildings;
mod canvas;
mod furniture;
mod lens;
mod light;
mod models;
mod picture;
mod rng;
mod sprites;
mod street;
mod text;
mod view;

pub use rng::Rng;

use canvas::{Canvas, rgb};
use lens::{Lens, place};
use light::Light;
use models::Heading;
use picture::{Picture, Sprite};
use sprites::Sprites;
use street::{Signal, Street};
use text::Font;
use view::View;

/// What the burnt-in clock shows, and what the light follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// As written into the picture.
    pub clock: String,
    /// 0 to 24.
    pub hour: f32,
    /// 1 to 12.
    pub month: u8,
}

/// The street of one camera, shared by its streams so that they show the same cars.
pub struct Traffic(Street);

impl Traffic {
    pub fn new(seed: u64) -> Self {
        Self(Street::new(&View::new(seed)))
    }

    pub fn step(&mut self, seconds: f32) {
        self.0.step(seconds);
    }
}

/// One stream's picture.
pub struct Scene {
    view: View,
    lens: Lens,
    light: Light,
    lit_for: (i32, u8),
    picture: Picture,
    gap: (i32, i32),
    sprites: Sprites,
    lamps: [Sprite; 3],
    lamp_places: Vec<(i32, i32)>,
    font: Font,
    name: Sprite,
    clock: (String, Sprite),
}

/// The light is taken anew this often: it changes by one part in a hundred.
const LIGHTS_PER_HOUR: f32 = 6.0;
const CLOCK_LETTERS: &str = "0123456789-:.+UTC";

impl Scene {
    /// `width` and `height` must be even.
    pub fn new(seed: u64, width: usize, height: usize, name: &str, moment: &Moment) -> Self {
        let view = View::new(seed);
        let lens = view.lens(width, height);
        let light = Light::at(moment.hour, moment.month);
        let (canvas, gap) = backdrop::backdrop(&view, &lens, &light);
        let picture = Picture::new(&canvas);
        let size = (height * 24 / 540).max(12);
        let font = Font::new(size, CLOCK_LETTERS);
        let named = Font::new(size, name).line(name);
        let (lamps, lamp_places) = signal_lamps(&view, &lens);
        Self {
            clock: (String::new(), font.line("")),
            lit_for: lit_for(moment),
            sprites: Sprites::default(),
            name: named,
            view,
            lens,
            light,
            picture,
            gap: (gap.0 as i32, gap.1 as i32),
            lamps,
            lamp_places,
            font,
        }
    }

    pub fn fov_deg(seed: u64) -> f64 {
        f64::from(View::new(seed).fov_deg())
    }

    /// Draws the moment; the answer is I420.
    pub fn draw(&mut self, traffic: &Traffic, moment: &Moment) -> &[u8] {
        if self.lit_for != lit_for(moment) {
            self.lit_for = lit_for(moment);
            self.light = Light::at(moment.hour, moment.month);
            let (canvas, gap) = backdrop::backdrop(&self.view, &self.lens, &self.light);
            self.picture = Picture::new(&canvas);
            self.gap = (gap.0 as i32, gap.1 as i32);
            self.sprites = Sprites::default();
        }
        self.picture.clear();
        self.sprites.frame();
        self.signal(traffic.0.signal());
        for actor in traffic.0.actors() {
            if let Some((sprite, x, y)) = self.sprites.of(actor, &self.lens, &self.light) {
                let across = matches!(actor.heading, Heading::Left | Heading::Right);
                let gap = if across { self.gap } else { (0, i32::MAX) };
                self.picture.lay_between(sprite, x, y, gap);
            }
        }
        if self.clock.0 != moment.clock {
            self.clock = (moment.clock.clone(), self.font.line(&moment.clock));
        }
        let margin = self.lens.height as i32 / 36;
        self.picture.lay(&self.clock.1, margin, margin);
        let x = self.lens.width as i32 - self.name.width() as i32 - margin;
        let y = self.lens.height as i32 - self.name.height() as i32 - margin;
        self.picture.lay(&self.name, x & !1, y & !1);
        self.picture.frame()
    }

    fn signal(&mut self, signal: Signal) {
        let lamp = match signal {
            Signal::Red => 0,
            Signal::Yellow => 1,
            Signal::Green => 2,
        };
        for chunk in self.lamp_places.chunks_exact(3) {
            let (x, y) = chunk[lamp];
            self.picture.lay(&self.lamps[lamp], x, y);
        }
    }
}

fn lit_for(moment: &Moment) -> (i32, u8) {
    ((moment.hour * LIGHTS_PER_HOUR) as i32, moment.month)
}

/// The three lit lamps, and where they are in each head.
fn signal_lamps(view: &View, lens: &Lens) -> ([Sprite; 3], Vec<(i32, i32)>) {
    let heads = furniture::light_heads(view.half_width);
    let m = lens.per_metre(heads[0]);
    let r = (m * 0.22).max(1.5);
    let side = ((r * 6.0) as usize).next_multiple_of(2);
    let middle = side as f32 / 2.0;
    let lamps = [0xff_3a28, 0xff_c028, 0x38_f080].map(|color| {
        let mut canvas = Canvas::new(side, side, (0, 0));
        let c = lens::Screen {
            x: middle,
            y: middle,
        };
        canvas.glow(c, r * 2.8, r * 2.8, rgb(color), 0.5);
        canvas.ellipse(c, r, r, rgb(color), 1.0);
        Sprite::new(&canvas, (middle as i32, middle as i32))
    });
    let mut places = Vec::new();
    for head in heads {
        for dy in [0.55, 0.0, -0.55] {
            if let Some(s) = lens.point(place(head.x, head.y + dy, head.z - 0.25)) {
                places.push((s.x.round() as i32, s.y.round() as i32));
            }
        }
    }
    (lamps, places)
}
