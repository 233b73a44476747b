//! The reconciler: compares the wanted cameras with the tasks that run and makes them agree.
//!
//! Configuration changes, restarts and repairs take the same path; a sweep every 30 s repairs whatever was missed. The
//! supervisor owns every task; a changed stream is told to stop and awaited before it starts again, so that a camera never
//! has two sessions of one stream.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span};

use super::address::Address;
use super::hosts::Hosts;
use super::hub::{Hub, Video};
use super::lifecycle::{BackoffPolicy, Lifecycle};
use super::session::{SessionRunner, SessionSpec};
use super::shards::Shards;
use super::task::StreamTask;
use crate::config::VideoConfig;
use crate::model::{Camera, Clock, StreamKey, StreamRole};

const SWEEP: Duration = Duration::from_secs(30);
/// A session that showed pictures for this long was a good one.
const STABLE_AFTER: Duration = Duration::from_secs(30);

impl Video {
    /// The handle, and the work: spawn it and await it after cancelling `stop`.
    pub fn start(
        config: VideoConfig,
        clock: Arc<dyn Clock>,
        runner: Arc<dyn SessionRunner>,
        wanted: watch::Receiver<Arc<Vec<Camera>>>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        Self::start_on(Shards::here(), config, clock, runner, wanted, stop)
    }

    /// As [`Video::start`], with every stream on its shard.
    pub fn start_on(
        shards: Shards,
        config: VideoConfig,
        clock: Arc<dyn Clock>,
        runner: Arc<dyn SessionRunner>,
        wanted: watch::Receiver<Arc<Vec<Camera>>>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let hub = Arc::new(Hub::new(config.ring_bytes, clock, shards));
        let patience = Duration::from_millis(config.answer_timeout_ms.saturating_mul(2));
        let supervisor = Supervisor {
            hub: Arc::clone(&hub),
            hosts: Hosts::new(config.connects_per_host, patience),
            runner,
            config,
            stop,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            names: HashMap::new(),
            broken: HashSet::new(),
            wanted: BTreeMap::new(),
        };
        (Self { hub }, supervisor.run(wanted))
    }
}

struct Wanted {
    spec: SessionSpec,
    record: bool,
}

struct Running {
    spec: SessionSpec,
    stop: CancellationToken,
}

struct Supervisor {
    hub: Arc<Hub>,
    hosts: Hosts,
    runner: Arc<dyn SessionRunner>,
    config: VideoConfig,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    running: HashMap<StreamKey, Running>,
    names: HashMap<Id, StreamKey>,
    /// Streams whose task itself panicked: started again by the next sweep, not at once.
    broken: HashSet<StreamKey>,
    wanted: BTreeMap<StreamKey, Wanted>,
}

impl Supervisor {
    async fn run(mut self, mut cameras: watch::Receiver<Arc<Vec<Camera>>>) {
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The source of the list may go first at shutdown; the cameras keep running until `stop`.
        let mut source_gone = false;
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = self.tasks.join_next_with_id() => self.reap(ended),
                changed = cameras.changed(), if !source_gone => source_gone = changed.is_err(),
                _ = sweep.tick() => self.broken.clear(),
            }
            // Those that ended in the same moment, in one go.
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.reap(ended);
            }
            self.wanted = wanted_streams(&cameras.borrow_and_update());
            self.reconcile();
        }
        for running in self.running.values() {
            running.stop.cancel();
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.reap(ended);
        }
        self.hub.retain(|_| false);
        self.hub.publish(|_| false);
        info!("all cameras are released");
    }

    /// Idempotent, over the whole list.
    fn reconcile(&mut self) {
        for (key, running) in &self.running {
            if self.wanted.get(key).is_none_or(|w| w.spec != running.spec) {
                running.stop.cancel();
            }
        }
        let missing: Vec<SessionSpec> = self
            .wanted
            .iter()
            .filter(|(key, _)| !self.running.contains_key(*key) && !self.broken.contains(*key))
            .map(|(_, w)| w.spec.clone())
            .collect();
        for spec in missing {
            self.start(spec);
        }
        self.hub
            .retain(|key| self.wanted.contains_key(key) || self.running.contains_key(key));
        self.hub
            .publish(|key| self.wanted.get(key).is_some_and(|w| w.record));
        self.hosts.forget_unused();
    }

    fn start(&mut self, spec: SessionSpec) {
        let ms = Duration::from_millis;
        let key = spec.key.clone();
        let authority = Address::parse(&spec.url)
            .map(|a| a.authority)
            .unwrap_or_default();
        let stop = self.stop.child_token();
        let min = ms(self.config.backoff_min_ms.max(1));
        let policy = BackoffPolicy {
            min,
            max: ms(self.config.backoff_max_ms).max(min),
            stable_after: STABLE_AFTER,
        };
        let task = StreamTask {
            stream: self.hub.stream_or_new(&key),
            spec: spec.clone(),
            runner: Arc::clone(&self.runner),
            host: self.hosts.host(&authority),
            lifecycle: Lifecycle::new(policy),
            picture_timeout: ms(self.config.picture_timeout_ms.max(1)),
            stop: stop.clone(),
        };
        let span = info_span!("camera", id = %key.camera, stream = %key.role);
        let shard = self.hub.shards.of(&key.camera);
        let run = Box::pin(task.run()).instrument(span);
        let id = self.tasks.spawn_on(run, &shard).id();
        self.names.insert(id, key.clone());
        self.running.insert(key, Running { spec, stop });
    }

    fn reap(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(e) => e.id(),
        };
        let Some(key) = self.names.remove(&id) else {
            return;
        };
        self.running.remove(&key);
        if let Err(e) = ended {
            error!(camera = %key, "the camera's task broke and is started again in at most 30 s; please report it: {e}");
            self.broken.insert(key);
        }
    }
}

/// Main and sub stream of each camera. Of cameras with the same id the last counts; the store refuses such lists.
fn wanted_streams(cameras: &[Camera]) -> BTreeMap<StreamKey, Wanted> {
    let streams = cameras.iter().flat_map(|camera| {
        camera.streams().map(|(role, url)| {
            let key = StreamKey::new(camera.id.clone(), role);
            let record = camera.record && role == StreamRole::Main;
            let spec = SessionSpec {
                key: key.clone(),
                url: url.clone(),
                transport: camera.transport,
                policies: camera.policies,
            };
            (key, Wanted { spec, record })
        })
    });
    streams.collect()
}
