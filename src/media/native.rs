//! The few calls of FFmpeg that its safe bindings do not offer. Runs only in a worker process.
#![allow(
    unsafe_code,
    reason = "ffmpeg-next has no safe form of these two calls; each is one line on a pointer it owns"
)]

use ffmpeg_next::ffi;
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling;

/// How numbers become colours: the matrix of ITU-T H.273 and whether they use all 256 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colours {
    pub(crate) matrix: Matrix,
    pub(crate) full_range: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Bt601,
    Bt709,
    Bt2020,
}

impl Matrix {
    const fn number(self) -> i32 {
        match self {
            Self::Bt601 => ffi::SWS_CS_ITU601,
            Self::Bt709 => ffi::SWS_CS_ITU709,
            Self::Bt2020 => ffi::SWS_CS_BT2020,
        }
    }
}

/// Tells the scaler what the numbers on both sides mean. False when the pair of formats cannot be told.
pub(crate) fn set_colours(scaler: &mut scaling::Context, from: Colours, to: Colours) -> bool {
    const NEUTRAL: i32 = 0;
    const ONE: i32 = 1 << 16;
    // SAFETY: the pointer is that of a living context, borrowed mutably for this call; `sws_getCoefficients` answers a
    // pointer into a constant table for every number, and the callee copies the four coefficients.
    unsafe {
        ffi::sws_setColorspaceDetails(
            scaler.as_mut_ptr(),
            ffi::sws_getCoefficients(from.matrix.number()),
            i32::from(from.full_range),
            ffi::sws_getCoefficients(to.matrix.number()),
            i32::from(to.full_range),
            NEUTRAL,
            ONE,
            ONE,
        ) >= 0
    }
}

/// Whether the decoder had to guess parts of this picture.
pub(crate) fn is_damaged(picture: &Video) -> bool {
    // SAFETY: reads one integer of a living frame.
    let errors = unsafe { (*picture.as_ptr()).decode_error_flags };
    errors != 0 || picture.is_corrupt()
}
