//! Chooses how a camera is spoken to: directly (retina, RTP interleaved in TCP), or by a worker process for the rest.
//!
//! `auto` begins with TCP, because it loses nothing; a camera that refuses it (461) gets UDP and then multicast in the same
//! attempt. What worked is remembered until it no longer does or the address changes.

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
    /// Of cameras with `auto`: those whose packets only the worker can read.
    unreadable: Mutex<HashMap<StreamKey, Secret>>,
}

impl Sessions {
    pub fn new(config: &VideoConfig, clock: Arc<dyn Clock>, media: Media) -> Self {
        Self {
            direct: RtspRunner::new(config, Arc::clone(&clock)),
            worker: WorkerRunner::new(config, clock, media),
            worked: Mutex::default(),
            unreadable: Mutex::default(),
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
            && spec.policies.keepalive == KeepalivePolicy::Auto
            && !self.is_unreadable(spec);
        if direct {
            self.direct.run(spec, sink, stop.clone()).await
        } else {
            Box::pin(self.worker.run(spec, transport, sink, stop)).await
        }
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
            if fault.unreadable {
                info!("the next session lets a worker read the camera's packets");
                self.unreadable().insert(spec.key.clone(), spec.url.clone());
            }
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

    fn is_unreadable(&self, spec: &SessionSpec) -> bool {
        spec.transport == Transport::Auto && self.unreadable().get(&spec.key) == Some(&spec.url)
    }

    fn unreadable(&self) -> std::sync::MutexGuard<'_, HashMap<StreamKey, Secret>> {
        self.unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
            transport => self.over(transport, spec, sink, &stop).await,
        }
    }
}
