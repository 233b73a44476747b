//! In an ingest worker: whose certificate is believed.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_rtsp_server::gio;
use sha2::{Digest, Sha256};

use crate::model::TlsPolicy;

/// Why the camera's certificate was refused, once it was.
pub(super) type Refusal = Arc<Mutex<Option<String>>>;

/// A list of authorities must hold one: this certificate's key was destroyed when it was made, so it never signed another.
const NOBODY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUIm7GtqAZ7/UkT8K5f9zU1PfovuIwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGbm9ib2R5MCAXDTI2MTEyNDEwNTAxNFoYDzIxMjYxMDMxMTA1
MDE0WjARMQ8wDQYDVQQDDAZub2JvZHkwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAShEV1DT4ywckbeQdfd+gs0eBrRLwPhDrbmkSriI321QWHTYyzJx27Pc9wfvv9R
AtLzV3hApzXl9YHQj1k+Ap9eo1MwUTAdBgNVHQ4EFgQUPVWS6uPOUBAQlG5cDqWd
4Gcf3twwHwYDVR0jBBgwFoAUPVWS6uPOUBAQlG5cDqWd4Gcf3twwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiBEM2jtwHgYzCe+aOHva2idBvu8+/p8
bBs29zhlbI6T+AIhAKjwWjWKuzoVMe5SwyDpl0A6dl2e2AVBW2ra5hBt6wDL
-----END CERTIFICATE-----
";

fn nobody() -> Result<gio::TlsFileDatabase, String> {
    let broken =
        |e: &dyn std::fmt::Display| format!("the list of authorities cannot be made ({e})");
    // The database reads it at once, and only from a path.
    let file = rustix::fs::memfd_create("authorities", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|e| broken(&e))?;
    let mut file = std::fs::File::from(file);
    file.write_all(NOBODY.as_bytes()).map_err(|e| broken(&e))?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    gio::TlsFileDatabase::new(path)
        .map_err(|e| format!("TLS does not work on this machine ({e}); install glib-networking"))
}

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
        source.set_property("tls-database", nobody()?);
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
            (TlsPolicy::System | TlsPolicy::Unreadable, _) | (TlsPolicy::Pinned(_), None) => false,
        };
        if !accept {
            let seen = fingerprint.map_or("unknown".into(), hex::encode);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        Some(accept.to_value())
    });
    Ok(refusal)
}
