//! Positions from an MQTT broker (3.1.1, QoS 1).
//!
//! The session is persistent (fixed client id) and acknowledgements are ours to give: the broker keeps what we have not committed,
//! through restarts of either side. We subscribe again on every connection, since a broker may have lost the session. The loop
//! that reads the connection never waits for the database; when the waiting room is full it stops reading, and the broker keeps
//! the rest.

mod endpoint;
mod receive;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::mqttbytes::Error as WireError;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS,
    StateError, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::endpoint::Endpoint;
use self::receive::{Acknowledger, Reader};
use super::backoff::Backoff;
use super::parcel::Parcel;
use super::source::{RejectedBook, Source, SourceState};
use super::topic::TopicFilter;
use crate::config::MqttConfig;
use crate::model::{Clock, Result};

/// A packet id is 16 bits: no more can be unacknowledged, so the queue of acknowledgements is never full.
const REQUESTS: usize = 65_536 + 64;
/// Larger packets are read only when one comes, to refuse it: see [`MqttSource::after_error`].
const USUAL_PACKET: usize = 1 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A session that lasted so long was a good one: the next failure starts with short waits.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// A session that the broker ended sooner counts towards "someone else uses our client id".
const SHORT_SESSION: Duration = Duration::from_secs(60);
const SHORT_SESSIONS: usize = 3;
const STOP_PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct MqttSource {
    source: Arc<Source>,
    endpoint: Endpoint,
    filters: Arc<Vec<TopicFilter>>,
    client: AsyncClient,
    eventloop: EventLoop,
    acknowledger: Arc<Acknowledger>,
    reader: Reader,
    backoff: Backoff,
    connected_at: Option<Instant>,
    /// How long the last sessions lasted that the broker ended.
    ended: VecDeque<Duration>,
}

/// Why the loop ended.
enum Next {
    Stop,
    Go,
}

impl MqttSource {
    pub(super) fn new(
        config: &MqttConfig,
        clock: Arc<dyn Clock>,
        book: Arc<RejectedBook>,
    ) -> Result<Self> {
        let endpoint = Endpoint::parse(config)?;
        let filters = config
            .topics
            .iter()
            .map(|t| TopicFilter::parse(t))
            .collect::<Result<Vec<_>>>()?;
        if filters.is_empty() {
            return Err(crate::model::Error::invalid(
                "bad_topic",
                format!("[[mqtt]] {} has no topics", config.url.redacted()),
            ));
        }
        let filters = Arc::new(filters);
        let mut options =
            MqttOptions::new(&endpoint.client_id, endpoint.host.as_str(), endpoint.port);
        options
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_keep_alive(KEEP_ALIVE)
            .set_max_packet_size(USUAL_PACKET, USUAL_PACKET)
            .set_transport(endpoint.transport());
        if let Some((user, password)) = &endpoint.user {
            options.set_credentials(user, password.reveal());
        }
        let (client, mut eventloop) = AsyncClient::new(options, REQUESTS);
        let mut network = eventloop.network_options();
        network.set_connection_timeout(5).set_tcp_nodelay(true);
        eventloop.set_network_options(network);
        let source = Arc::new(Source::new(endpoint.name(), clock, book));
        let acknowledger = Arc::new(Acknowledger::new(client.clone(), Arc::clone(&source)));
        Ok(Self {
            reader: Reader::new(
                Arc::clone(&source),
                Arc::clone(&filters),
                config.allow_no_checksum,
                Arc::clone(&acknowledger),
            ),
            source,
            endpoint,
            filters,
            client,
            eventloop,
            acknowledger,
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(30)),
            connected_at: None,
            ended: VecDeque::new(),
        })
    }

    pub(super) fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Until `stop`; then keeps the connection until `drained`, so that the last acknowledgements leave.
    pub(super) async fn run(
        mut self,
        parcels: mpsc::Sender<Parcel>,
        room: Arc<Semaphore>,
        stop: CancellationToken,
        drained: CancellationToken,
    ) {
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                event = self.eventloop.poll() => event,
            };
            let next = match event {
                Ok(event) => self.take(event, &parcels, &room, &stop).await,
                Err(error) => self.after_error(&error, &stop).await,
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        drop(parcels);
        self.leave(&drained).await;
    }

    async fn take(
        &mut self,
        event: Event,
        parcels: &mpsc::Sender<Parcel>,
        room: &Arc<Semaphore>,
        stop: &CancellationToken,
    ) -> Next {
        let packet = match event {
            Event::Incoming(packet) => packet,
            Event::Outgoing(_) => return Next::Go,
        };
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the other packets are the library's business"
        )]
        match packet {
            Incoming::ConnAck(ack) => self.connected(ack.session_present),
            Incoming::SubAck(ack) => self.subscribed(&ack.return_codes),
            Incoming::Publish(publish) => {
                let parcel = tokio::select! {
                    () = stop.cancelled() => return Next::Stop,
                    parcel = self.reader.read(publish, room) => parcel,
                };
                if let Some(parcel) = parcel {
                    // The waiting room has let it in, so the queue has place; the ingest takes from it at once.
                    tokio::select! {
                        () = stop.cancelled() => return Next::Stop,
                        sent = parcels.send(parcel) => if sent.is_err() {
                            return Next::Stop;
                        },
                    }
                }
            }
            _ => {}
        }
        Next::Go
    }

    fn connected(&mut self, session_present: bool) {
        self.connected_at = Some(Instant::now());
        self.source.is(SourceState::Connected);
        self.source.well();
        tracing::info!(source = self.source.name(), session_present, "connected");
        let filters: Vec<SubscribeFilter> = self
            .filters
            .iter()
            .map(|f| SubscribeFilter::new(f.subscription(), QoS::AtLeastOnce))
            .collect();
        // On every connection, whatever the broker says it remembers: it may have lost the session, or keep one from before the
        // topics were changed.
        if let Err(e) = self.client.try_subscribe_many(filters) {
            self.source
                .trouble(format!("cannot subscribe at {}: {e}", self.source.name()));
        }
    }

    fn subscribed(&self, codes: &[SubscribeReasonCode]) {
        for (filter, code) in self.filters.iter().zip(codes) {
            let problem = match code {
                SubscribeReasonCode::Success(QoS::AtMostOnce) => {
                    "grants it without acknowledgements only: positions may be lost"
                }
                SubscribeReasonCode::Success(_) => continue,
                SubscribeReasonCode::Failure => {
                    "refuses the subscription: allow it in the broker's access list"
                }
            };
            let text = format!(
                "topic filter `{}`: the broker at {}:{} {problem}",
                filter.subscription(),
                self.endpoint.host,
                self.endpoint.port
            );
            tracing::warn!(source = self.source.name(), "{text}");
            self.source.trouble(text);
        }
    }

    async fn after_error(&mut self, error: &ConnectionError, stop: &CancellationToken) -> Next {
        // What was read from the old connection and not yet taken will be sent again; its packet ids mean nothing any more.
        self.eventloop.state.events.clear();
        self.acknowledger.next_connection();
        // Once more, for an acknowledgement that slipped in while the connection was being given up.
        self.eventloop.clean();
        self.source.is(SourceState::Down);

        let options = &mut self.eventloop.mqtt_options;
        let mut text = self.endpoint.explain(error);
        if let ConnectionError::MqttState(StateError::Deserialization(
            WireError::PayloadSizeLimitExceeded(size),
        )) = error
        {
            // The broker would send it first, again and again, and nothing behind it would ever arrive. Read this one, to refuse
            // and acknowledge it.
            options.set_max_packet_size(size + 1_024, USUAL_PACKET);
            text = format!(
                "a message of {size} bytes is waiting at {}; it is read once, to be refused. Limit messages on the broker \
                 (mosquitto: message_size_limit)",
                self.source.name()
            );
        } else {
            options.set_max_packet_size(USUAL_PACKET, USUAL_PACKET);
        }
        if let Some(lasted) = self.connected_at.take().map(|at| at.elapsed()) {
            if lasted >= GOOD_SESSION {
                self.backoff.reset();
            }
            self.note_end(lasted, error);
            if self.someone_has_our_name() {
                text = format!(
                    "{text}. It has now ended {SHORT_SESSIONS} sessions soon after they began: most likely another client uses \
                     client_id `{}` too; give each its own in [[mqtt]] client_id",
                    self.endpoint.client_id
                );
            }
        }
        let wait = self.backoff.next_wait();
        tracing::warn!(
            source = self.source.name(),
            attempt = self.backoff.attempts(),
            wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "{text}"
        );
        self.source.trouble(text);
        tokio::select! {
            () = stop.cancelled() => return Next::Stop,
            () = tokio::time::sleep(wait) => {}
        }
        self.source.is(SourceState::Connecting);
        Next::Go
    }

    /// A takeover looks to the one who loses like this: the broker accepts, then closes without a word.
    fn note_end(&mut self, lasted: Duration, error: &ConnectionError) {
        let closed = match error {
            ConnectionError::MqttState(StateError::ConnectionAborted) => true,
            ConnectionError::Io(e) | ConnectionError::MqttState(StateError::Io(e)) => matches!(
                e.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::ConnectionAborted
            ),
            ConnectionError::MqttState(StateError::Deserialization(WireError::Io(_))) => true,
            ConnectionError::MqttState(_)
            | ConnectionError::NetworkTimeout
            | ConnectionError::FlushTimeout
            | ConnectionError::Tls(_)
            | ConnectionError::ConnectionRefused(_)
            | ConnectionError::NotConnAck(_)
            | ConnectionError::RequestsDone => false,
        };
        if closed && lasted < SHORT_SESSION {
            self.ended.push_back(lasted);
            while self.ended.len() > SHORT_SESSIONS {
                self.ended.pop_front();
            }
        } else {
            self.ended.clear();
        }
    }

    fn someone_has_our_name(&self) -> bool {
        self.ended.len() >= SHORT_SESSIONS
    }

    async fn leave(mut self, drained: &CancellationToken) {
        let give_up = Instant::now() + STOP_PATIENCE;
        if self.connected_at.is_some() {
            // Messages that still come are not taken and not acknowledged: the broker keeps them for the next start.
            loop {
                let event = tokio::select! {
                    () = drained.cancelled() => break,
                    event = tokio::time::timeout_at(give_up, self.eventloop.poll()) => event,
                };
                if !matches!(event, Ok(Ok(_))) {
                    break;
                }
            }
            // The DISCONNECT goes out behind the last acknowledgements.
            if self.client.try_disconnect().is_ok() {
                while let Ok(Ok(event)) =
                    tokio::time::timeout_at(give_up, self.eventloop.poll()).await
                {
                    if event == Event::Outgoing(Outgoing::Disconnect) {
                        break;
                    }
                }
            }
        }
        self.source.is(SourceState::Down);
        self.source.trouble("stopped");
    }
}
