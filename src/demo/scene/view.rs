//! What one camera looks at: the street's shape, chosen by seed, and where along it everything stands.

use crate::rng::Rng;

use super::lens::{Lens, place};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Avenue,
    /// The walled town: one lane each way, grey tiled roofs, a tower over the street.
    OldTown,
    /// Water and a promenade on the right.
    River,
}

#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) style: Style,
    pub(super) seed: u64,
    /// In each direction.
    pub(super) lanes: usize,
    pub(super) half_width: f32,
    eye: (f32, f32),
    pitch: f32,
    yaw: f32,
    fov: f32,
}

pub(super) const LANE_M: f32 = 3.5;
/// Along the street: stop line, crosswalk, the crossing street, the far crosswalk, the far stop line.
pub(super) const STOP_Z: f32 = 26.5;
pub(super) const WALK_Z: (f32, f32) = (28.0, 32.0);
pub(super) const CROSS_Z: (f32, f32) = (34.0, 48.0);
pub(super) const FAR_WALK_Z: (f32, f32) = (50.0, 54.0);
pub(super) const FAR_STOP_Z: f32 = 55.5;
/// Where the street ends in the haze.
pub(super) const END_Z: f32 = 420.0;

impl View {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed).fork(9_100);
        let style = match seed % 4 {
            1 => Style::OldTown,
            3 => Style::River,
            _ => Style::Avenue,
        };
        let lanes = match style {
            Style::OldTown => 1,
            Style::River => 2,
            Style::Avenue => 2 + usize::from(rng.chance(0.5)),
        };
        let half_width = lanes as f32 * LANE_M + if lanes > 1 { 1.4 } else { 2.6 };
        let mut unit = |from: f32, to: f32| from + (to - from) * rng.unit() as f32;
        // On a pole at one kerb, or on the gantry over the middle.
        let side = [-1.0, 1.0, 0.25, 1.0][(seed / 4 % 4) as usize];
        let eye = (side * (half_width + 1.0), unit(6.6, 8.4));
        let yaw = -side * unit(5.0, 9.5);
        Self {
            style,
            seed,
            lanes,
            half_width,
            eye,
            pitch: unit(5.5, 7.5),
            yaw,
            fov: unit(56.0, 64.0),
        }
    }

    pub(super) fn lens(&self, width: usize, height: usize) -> Lens {
        let eye = place(self.eye.0, self.eye.1, 0.0);
        Lens::new(
            width as f32,
            height as f32,
            eye,
            self.pitch,
            self.yaw,
            self.fov,
        )
    }

    pub(super) fn fov_deg(&self) -> f32 {
        self.fov
    }

    /// Middle of a lane; 0 is next to the middle line. Away from the camera keeps right.
    pub(super) fn lane_x(&self, lane: usize, away: bool) -> f32 {
        let x = 0.4 + (lane as f32 + 0.5) * LANE_M;
        if away { x } else { -x }
    }
}
