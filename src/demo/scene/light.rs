//! Light by the hour on the clock: day, dusk, night, and the colours of the season.

use super::canvas::{Color, blend, rgb, scale};

#[derive(Clone, Debug)]
pub(super) struct Light {
    pub(super) sky_top: Color,
    pub(super) sky_low: Color,
    /// From everywhere, and from the sun.
    ambient: Color,
    sun: Color,
    /// 0 by day, 1 when lamps and windows give the light.
    pub(super) night: f32,
    /// How strong the sun's shadows are.
    pub(super) shadow: f32,
    /// How far the sun's shadows reach for a metre of height.
    pub(super) shadow_length: f32,
    /// Colour of the crowns.
    pub(super) leaves: Color,
}

impl Light {
    /// `hour` 0 to 24 on the clock, `month` 1 to 12.
    pub(super) fn at(hour: f32, month: u8) -> Self {
        // Day length at 38° north, by the month's middle.
        let season = ((f32::from(month) - 6.7) / 12.0 * std::f32::consts::TAU).cos();
        let half_day = 6.0 + 1.35 * season;
        let from_noon = (hour - 12.5).abs();
        // 1 at noon, 0 at sunrise and sunset, negative at night.
        let sun_up = (half_day - from_noon) / half_day;
        let day = ((sun_up + 0.04) / 0.22).clamp(0.0, 1.0);
        let dusk = (1.0 - ((sun_up - 0.02) / 0.18).abs()).clamp(0.0, 1.0);
        let night = (1.0 - (sun_up + 0.03) / 0.12).clamp(0.0, 1.0);
        let sky_top = blend(rgb(0x0b_1322), rgb(0x5e_8fc4), day);
        let sky_low = blend(rgb(0x1d_2537), rgb(0xcf_dde6), day);
        Self {
            sky_top: blend(sky_top, rgb(0x3f_4f7d), dusk * 0.75),
            sky_low: blend(sky_low, rgb(0xf0_a56a), dusk * 0.9),
            ambient: blend(
                blend(rgb(0x4a_526a), rgb(0x9a_a4b0), day),
                rgb(0x7c_7480),
                dusk * 0.6,
            ),
            sun: scale(
                blend(rgb(0xff_f0d8), rgb(0xff_a860), dusk),
                0.62 * day.max(dusk * 0.55),
            ),
            night,
            shadow: 0.42 * day * (1.0 - dusk * 0.4),
            shadow_length: (0.9 / sun_up.max(0.25)).min(2.6),
            leaves: match month {
                4 | 5 => rgb(0x6f_9a45),
                6..=9 => rgb(0x4a_7a38),
                10 | 11 => rgb(0xb0_8a3a),
                _ => rgb(0x7a_6a52),
            },
        }
    }

    /// A surface of this colour, `facing` the sun by 0 to 1.
    pub(super) fn on(&self, color: Color, facing: f32) -> Color {
        std::array::from_fn(|i| (color[i] * (self.ambient[i] + self.sun[i] * facing)).min(1.0))
    }

    /// The same seen through air.
    pub(super) fn far(&self, color: Color, distance_m: f32) -> Color {
        let haze = 1.0 - (-distance_m / 420.0).exp();
        blend(color, self.sky_low, haze * 0.85)
    }
}
