//! In an ingest worker: whose certificate is believed.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server::gio;
use sha2::{Digest, Sha256};

use crate::model::TlsPolicy;

/// Why the camera's certificate was refused, once it was.
pub(super) type Refusal = Arc<Mutex<Option<String>>>;

pub(super) fn refused(refusal: &Refusal) -> Option<String> {
    refusal
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// Makes `source` (an `rtspsrc`) believe what the policy says.
pub(super) fn set_up(source: &gst::Element, policy: TlsPolicy) -> Result<Refusal, String> {
    let refusal = Refusal::default();
    if let TlsPolicy::Pinned(_) = policy {
        // `accept-certificate` is asked only about certificates that nobody vouches for. Without any authority that is all of
        // them, so that a certificate of a public authority cannot stand in for the pinned one.
        let nobody = gio::TlsFileDatabase::new("/dev/null")
            .map_err(|e| format!("TLS does not work on this machine ({e}); install glib-networking"))?;
        source.set_property("tls-database", nobody);
    }
    let told = Arc::clone(&refusal);
    source.connect("accept-certificate", false, move |args| {
        let fingerprint = args
            .get(2)
            .and_then(|peer| peer.get::<glib::Object>().ok())
            .and_then(|peer| {
                peer.property_value("certificate")
                    .get::<Option<glib::ByteArray>>()
                    .ok()
                    .flatten()
            })
            .map(|der| <[u8; 32]>::from(Sha256::digest(&*der)));
        let accept = match (policy, fingerprint) {
            (TlsPolicy::Insecure, _) => true,
            (TlsPolicy::Pinned(wanted), Some(seen)) => wanted == seen,
            (TlsPolicy::System, _) | (TlsPolicy::Pinned(_), None) => false,
        };
        if !accept {
            let seen = fingerprint.map_or("unknown".into(), hex::encode);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        Some(accept.to_value())
    });
    Ok(refusal)
}
