//! From a PUBLISH to a parcel, and from a commit to its PUBACK.

use std::sync::{Arc, Mutex, PoisonError};

use rumqttc::{AsyncClient, Publish, QoS};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::decode::{Decoded, Place, Refusal, json, nmea};
use super::super::parcel::{Parcel, Receipt};
use super::super::source::Source;
use super::super::topic::{PayloadKind, TopicFilter};
use crate::model::{Result, VehicleId};

/// Larger payloads are refused: thousands of positions fit.
pub(super) const MAX_PAYLOAD: usize = 256 << 10;
/// Refused elements of one message that are listed one by one.
const MAX_REFUSALS: usize = 10;
/// Memory of one decoded position, about.
const REPORT_BYTES: usize = 256;

/// Gives acknowledgements, for the connection that delivered the message only: a packet id of an earlier connection may stand for
/// another message now.
pub(super) struct Acknowledger {
    client: AsyncClient,
    source: Arc<Source>,
    connection: Mutex<u64>,
}

impl Acknowledger {
    pub(super) fn new(client: AsyncClient, source: Arc<Source>) -> Self {
        Self {
            client,
            source,
            connection: Mutex::new(0),
        }
    }

    pub(super) fn next_connection(&self) {
        *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn receipt(self: &Arc<Self>, publish: &Publish) -> PubAck {
        let connection = *self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        PubAck {
            to: Arc::clone(self),
            connection,
            qos: publish.qos,
            packet_id: publish.pkid,
        }
    }
}

struct PubAck {
    to: Arc<Acknowledger>,
    connection: u64,
    qos: QoS,
    packet_id: u16,
}

impl Receipt for PubAck {
    fn committed(self: Box<Self>) {
        if self.qos == QoS::AtMostOnce {
            return;
        }
        let now = self
            .to
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Otherwise the message comes again on the new connection, is known, and is acknowledged there.
        if *now == self.connection {
            let mut publish = Publish::new("", self.qos, Vec::new());
            publish.pkid = self.packet_id;
            if let Err(e) = self.to.client.try_ack(&publish) {
                self.to
                    .source
                    .trouble(format!("an acknowledgement could not be sent: {e}"));
            }
        }
    }
}

struct Read {
    vehicle: Option<VehicleId>,
    /// What kind of rule refuses, for the metric.
    class: &'static str,
    decoded: Decoded,
}

impl Read {
    fn refused(class: &'static str, rule: impl Into<String>) -> Self {
        let refusal = Refusal::new(Place::Byte(0), rule);
        Self {
            vehicle: None,
            class,
            decoded: Decoded {
                refusals: vec![refusal],
                ..Decoded::default()
            },
        }
    }
}

pub(super) struct Reader {
    source: Arc<Source>,
    filters: Arc<Vec<TopicFilter>>,
    options: nmea::Options,
    acknowledger: Arc<Acknowledger>,
}

impl Reader {
    pub(super) fn new(
        source: Arc<Source>,
        filters: Arc<Vec<TopicFilter>>,
        allow_no_checksum: bool,
        acknowledger: Arc<Acknowledger>,
    ) -> Self {
        Self {
            source,
            filters,
            options: nmea::Options { allow_no_checksum },
            acknowledger,
        }
    }

    /// Waits while the waiting room is full. `None` only when the room was closed.
    pub(super) async fn read(&self, publish: Publish, room: &Arc<Semaphore>) -> Option<Parcel> {
        let received = self.source.received();
        let receipt = self.acknowledger.receipt(&publish);
        let read = self.decode(&publish);
        self.source.without_position(read.decoded.without_position);
        self.refuse(&publish, &read);
        let reports = read.decoded.reports;
        let room = self.enter(room, reports.len() * REPORT_BYTES + 256).await?;
        Some(Parcel {
            source: Arc::clone(&self.source),
            received,
            vehicle: read.vehicle,
            reports,
            receipt: Box::new(receipt),
            _room: room,
        })
    }

    fn refuse(&self, publish: &Publish, read: &Read) {
        let refusals = &read.decoded.refusals;
        let note = |reason: String| {
            self.source
                .reject(&publish.topic, read.class, reason, &publish.payload);
        };
        for refusal in refusals.iter().take(MAX_REFUSALS) {
            note(refusal.to_string());
        }
        if refusals.len() > MAX_REFUSALS {
            let more = refusals.len() - MAX_REFUSALS;
            note(format!("and {more} more parts of the same message"));
        }
    }

    async fn enter(&self, room: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(super::super::ROOM_UNIT))
            .unwrap_or(u32::MAX)
            .min(super::super::ROOM_UNITS);
        if let Ok(permit) = Arc::clone(room).try_acquire_many_owned(units) {
            return Some(permit);
        }
        tracing::warn!(
            source = self.source.name(),
            "the waiting room for positions is full; reading stops until the database has taken some, the broker keeps the rest"
        );
        Arc::clone(room).acquire_many_owned(units).await.ok()
    }

    fn decode(&self, publish: &Publish) -> Read {
        let vehicle = match self.vehicle(&publish.topic) {
            None => {
                return Read::refused(
                    "topic",
                    "no topic filter fits; an old subscription of this client_id?",
                );
            }
            Some(Err(e)) => return Read::refused("topic", e.detail()),
            Some(Ok(vehicle)) => vehicle,
        };
        let payload = &publish.payload;
        if payload.len() > MAX_PAYLOAD {
            let rule = format!(
                "a message of {} bytes is larger than {MAX_PAYLOAD}; send fewer positions in one",
                payload.len()
            );
            return Read::refused("too_large", rule);
        }
        let (class, decoded) = match PayloadKind::of(&publish.topic, payload) {
            // How a retained message is deleted; not a position and not wrong.
            _ if payload.is_empty() => ("", Decoded::default()),
            PayloadKind::Json => ("json", json::decode(payload)),
            PayloadKind::Nmea => ("nmea", nmea::decode(payload, self.options)),
        };
        // Refused messages are no sign of life: anything can come from a broken sender.
        let alive = !decoded.reports.is_empty() || decoded.without_position > 0;
        Read {
            vehicle: alive.then_some(vehicle),
            class,
            decoded,
        }
    }

    fn vehicle(&self, topic: &str) -> Option<Result<VehicleId>> {
        self.filters.iter().find_map(|f| f.vehicle(topic))
    }
}
