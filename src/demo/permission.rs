//! The one call the safe bindings leave out: who may see a mounted stream.
#![allow(
    unsafe_code,
    reason = "gstreamer-rtsp-server 0.25 does not bind gst_rtsp_media_factory_add_role_from_structure"
)]

use gstreamer::glib::translate::ToGlibPtr as _;
use gstreamer_rtsp_server as rtsp;

/// Lets whoever has this role see and open the stream; everyone else is asked to sign in.
pub(super) fn allow(factory: &rtsp::RTSPMediaFactory, role: &str) {
    let permissions = gstreamer::Structure::builder(role)
        .field("media.factory.access", true)
        .field("media.factory.construct", true)
        .build();
    // SAFETY: both pointers live through the call, which copies the structure and takes no ownership ("transfer: none").
    unsafe {
        rtsp::ffi::gst_rtsp_media_factory_add_role_from_structure(
            factory.to_glib_none().0,
            permissions.to_glib_none().0,
        );
    }
}
