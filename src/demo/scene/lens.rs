//! From the street to the picture: a pinhole camera on a pole.
//!
//! The street's own axes: x to the right of its middle line, y up, z along it away from the camera; metres.

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) z: f32,
}

pub(super) const fn place(x: f32, y: f32, z: f32) -> Place {
    Place { x, y, z }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Screen {
    pub(super) x: f32,
    pub(super) y: f32,
}

#[derive(Clone, Debug)]
pub(super) struct Lens {
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) eye: Place,
    focal: f32,
    pitch: (f32, f32),
    yaw: (f32, f32),
}

const NEAR_M: f32 = 1.0;

impl Lens {
    pub(super) fn new(
        width: f32,
        height: f32,
        eye: Place,
        pitch_deg: f32,
        yaw_deg: f32,
        fov_deg: f32,
    ) -> Self {
        Self {
            width,
            height,
            eye,
            focal: width / 2.0 / (fov_deg.to_radians() / 2.0).tan(),
            pitch: pitch_deg.to_radians().sin_cos(),
            yaw: yaw_deg.to_radians().sin_cos(),
        }
    }

    fn turned(&self, p: Place) -> Place {
        let (x, y, z) = (p.x - self.eye.x, p.y - self.eye.y, p.z - self.eye.z);
        let (sin, cos) = self.yaw;
        let (x, z) = (x * cos - z * sin, x * sin + z * cos);
        let (sin, cos) = self.pitch;
        place(x, y * cos + z * sin, z * cos - y * sin)
    }

    fn screen(&self, p: Place) -> Screen {
        Screen {
            x: self.width / 2.0 + self.focal * p.x / p.z,
            y: self.height / 2.0 - self.focal * p.y / p.z,
        }
    }

    /// A point, if it is in front of the lens.
    pub(super) fn point(&self, p: Place) -> Option<Screen> {
        let t = self.turned(p);
        (t.z > NEAR_M).then(|| self.screen(t))
    }

    /// Pixels that a metre takes at `p`.
    pub(super) fn per_metre(&self, p: Place) -> f32 {
        self.focal / self.turned(p).z.max(NEAR_M)
    }

    /// Height of the horizon in the picture.
    pub(super) fn horizon(&self) -> f32 {
        self.height / 2.0 - self.focal * self.pitch.0 / self.pitch.1
    }

    /// A flat polygon, cut where it comes behind the lens.
    pub(super) fn polygon(&self, points: &[Place]) -> Vec<Screen> {
        let turned: Vec<Place> = points.iter().map(|p| self.turned(*p)).collect();
        let mut out = Vec::with_capacity(points.len() + 2);
        for (i, a) in turned.iter().enumerate() {
            let b = turned[(i + 1) % turned.len()];
            if a.z >= NEAR_M {
                out.push(self.screen(*a));
            }
            if (a.z >= NEAR_M) != (b.z >= NEAR_M) {
                let t = (NEAR_M - a.z) / (b.z - a.z);
                out.push(self.screen(place(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t, NEAR_M)));
            }
        }
        out
    }
}
