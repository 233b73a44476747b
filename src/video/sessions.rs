//! Chooses how a camera is spoken to: directly (retina, RTP interleaved in TCP), or by a worker process for the rest.
//!
//! `auto` begins with TCP, because it loses nothing; a camera that refuses it (461) gets UDP and then multicast in the same
//! attempt. What worked is remembered until it no longer does or the address changes. A camera whose answers retina cannot read
//! (a description that is cut off, a header of its own making) is spoken to by the worker, over TCP as well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::rtsp::RtspRunner;
use super::session::{Fault, SessionRunner, SessionSpec};
use super::sink::SessionSink;
use super::worker_session::WorkerRunner;
use crate::config::VideoConfig;
use crate::media::Media;
use crate::model::{BackendPolicy, Clock, KeepalivePolicy, Secret, StreamKey, Transport};

pub struct Sessions {
    direct: RtspRunner,
    worker: WorkerRunner,
    /// Of cameras with `auto`: what worked, and for which address.
    worked: Mutex<HashMap<StreamKey, (Secret, Transport)>>,
    /// Whose answers or packets only the worker can read, with the address for which that is so.
    lenient: Mutex<HashMap<StreamKey, Secret>>,
}

impl Sessions {
    pub fn new(config: &VideoConfig, clock: Arc<dyn Clock>, media: Media) -> Self {
        Self {
            direct: RtspRunner::new(config, Arc::clone(&clock)),
            worker: WorkerRunner::new(config, clock, media),
            worked: Mutex::default(),
            lenient: Mutex::default(),
        }
    }

    async fn over(
        &self,
        transport: Transport,
        spec: &SessionSpec,
        sink: &mut SessionSink,
        stop: &CancellationToken,
    ) -> Fault {
        let direct = transport == Transport::Tcp
            && !is_tls(&spec.url)
            && spec.policies.backend == BackendPolicy::Auto
            && spec.policies.keepalive == KeepalivePolicy::Auto;
        if direct && self.lenient().get(&spec.key) != Some(&spec.url) {
            let fault = self.direct.run(spec, sink, stop.clone()).await;
            if !fault.unreadable || stop.is_cancelled() {
                return fault;
            }
            if sink.is_playing() {
                info!("the next session lets a worker read the camera's packets");
                self.lenient().insert(spec.key.clone(), spec.url.clone());
                return fault;
            }
            info!("{}; trying the second back-end", fault.message);
            let second = Box::pin(self.worker.run(spec, transport, sink, stop)).await;
            if !sink.is_playing() {
                // The first one knows better what is wrong.
                return fault;
            }
            if sink.has_pictures() {
                self.lenient().insert(spec.key.clone(), spec.url.clone());
            }
            second
        } else {
            Box::pin(self.worker.run(spec, transport, sink, stop)).await
        }
    }

    fn lenient(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, Secret>> {
        self.lenient.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn auto(
        &self,
        spec: &SessionSpec,
        sink: &mut SessionSink,
        stop: &CancellationToken,
    ) -> Fault {
        let first = self.remembered(spec);
        let order = match first {
            Some(worked) => vec![worked],
            None if is_tls(&spec.url) => vec![Transport::Tls],
            None => vec![Transport::Tcp, Transport::Udp, Transport::Multicast],
        };
        let mut last = None;
        for transport in order {
            let fault = self.over(transport, spec, sink, stop).await;
            if sink.is_playing() {
                let known = (spec.url.clone(), transport);
                self.worked().insert(spec.key.clone(), known);
                return fault;
            }
            if first.is_some() {
                // Not what it was any more: the next attempt begins from the start.
                self.worked().remove(&spec.key);
                return fault;
            }
            if !fault.transport_refused || stop.is_cancelled() {
                return fault;
            }
            info!("the camera does not send over {transport}; trying another way");
            last = Some(fault);
        }
        last.unwrap_or_else(|| super::faults::unsupported_transport(Transport::Auto))
    }

    fn remembered(&self, spec: &SessionSpec) -> Option<Transport> {
        let worked = self.worked();
        let (url, transport) = worked.get(&spec.key)?;
        (*url == spec.url).then_some(*transport)
    }

    fn worked(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, (Secret, Transport)>> {
        self.worked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of an address that cannot be parsed the runner says so.
fn is_tls(url: &Secret) -> bool {
    super::address::Address::parse(url).is_ok_and(|a| a.tls)
}

#[async_trait]
impl SessionRunner for Sessions {
    async fn run(
        &self,
        spec: &SessionSpec,
        sink: &mut SessionSink,
        stop: CancellationToken,
    ) -> Fault {
        match spec.transport {
            Transport::Auto => self.auto(spec, sink, &stop).await,
            transport @ (Transport::Tcp
            | Transport::Udp
            | Transport::Http
            | Transport::Tls
            | Transport::Multicast) => self.over(transport, spec, sink, &stop).await,
        }
    }
}
