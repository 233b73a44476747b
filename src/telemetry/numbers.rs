//! Counting, and what `/metrics` answers.

use std::sync::OnceLock;

use metrics::{Counter, Key, KeyName, Label, Level, Metadata};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::metric::{Kind, Metric};
use crate::model::{Error, Result};

/// From a fast commit on an SSD to a disk in trouble.
const SECONDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

static METADATA: Metadata<'static> = Metadata::new("zhenbei", Level::INFO, None);

/// The numbers of this process.
#[derive(Clone)]
pub struct Numbers(PrometheusHandle);

impl Numbers {
    /// Starts counting; later calls give the same numbers. What was counted before is lost.
    pub fn start() -> Result<Self> {
        static STARTED: OnceLock<Numbers> = OnceLock::new();
        if let Some(numbers) = STARTED.get() {
            return Ok(numbers.clone());
        }
        let trouble = |e: &dyn std::fmt::Display| {
            Error::internal("metrics", format!("metrics cannot be started: {e}"))
        };
        let mut builder = PrometheusBuilder::new();
        for m in Metric::ALL.iter().filter(|m| m.kind() == Kind::Histogram) {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(m.name().to_owned()), &SECONDS)
                .map_err(|e| trouble(&e))?;
        }
        let recorder = builder.build_recorder();
        let numbers = Self(recorder.handle());
        if let Err(e) = metrics::set_global_recorder(recorder) {
            // Two at the same time: the first one counts.
            return STARTED.get().cloned().ok_or_else(|| trouble(&e));
        }
        metrics::with_recorder(describe);
        Ok(STARTED.get_or_init(|| numbers).clone())
    }

    /// Prometheus' text format, version 0.0.4.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

fn describe(recorder: &dyn metrics::Recorder) {
    for m in Metric::ALL {
        let (name, help) = (KeyName::from_const_str(m.name()), m.help().into());
        match m.kind() {
            Kind::Counter => recorder.describe_counter(name, None, help),
            Kind::Gauge => recorder.describe_gauge(name, None, help),
            Kind::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
}

fn key(metric: Metric, labels: &[(&'static str, &str)]) -> Key {
    debug_assert!(
        labels
            .iter()
            .map(|(k, _)| *k)
            .eq(metric.labels().iter().copied()),
        "{metric:?} has the labels {:?}",
        metric.labels()
    );
    let labels: Vec<Label> = labels
        .iter()
        .map(|(k, v)| Label::new(*k, (*v).to_owned()))
        .collect();
    Key::from_parts(metric.name(), labels)
}

/// A counter to keep, for what happens with every picture: looking it up costs more than counting.
pub fn counter(metric: Metric, labels: &[(&'static str, &str)]) -> Counter {
    debug_assert_eq!(metric.kind(), Kind::Counter);
    metrics::with_recorder(|r| r.register_counter(&key(metric, labels), &METADATA))
}

/// Adds to a counter.
pub fn count(metric: Metric, labels: &[(&'static str, &str)], n: u64) {
    counter(metric, labels).increment(n);
}

/// Sets a gauge.
pub fn gauge(metric: Metric, labels: &[(&'static str, &str)], value: f64) {
    debug_assert_eq!(metric.kind(), Kind::Gauge);
    metrics::with_recorder(|r| r.register_gauge(&key(metric, labels), &METADATA)).set(value);
}

/// Notes a duration.
pub fn observe(metric: Metric, labels: &[(&'static str, &str)], took: std::time::Duration) {
    debug_assert_eq!(metric.kind(), Kind::Histogram);
    metrics::with_recorder(|r| r.register_histogram(&key(metric, labels), &METADATA))
        .record(took.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_counted_is_rendered() {
        let numbers = Numbers::start().unwrap();
        count(
            Metric::FleetReceived,
            &[("source", "mqtt:test \"quoted\"")],
            3,
        );
        count(
            Metric::FleetReceived,
            &[("source", "mqtt:test \"quoted\"")],
            2,
        );
        gauge(Metric::ArchiveQueueBytes, &[("volume", "default")], 12.0);
        observe(Metric::FleetCommit, &[], Duration::from_millis(7));
        let text = Numbers::start().unwrap().render();
        for line in [
            "# HELP zhenbei_fleet_messages_total Messages received.",
            "# TYPE zhenbei_fleet_messages_total counter",
            r#"zhenbei_fleet_messages_total{source="mqtt:test \"quoted\""} 5"#,
            r#"zhenbei_archive_queue_bytes{volume="default"} 12"#,
            r#"zhenbei_fleet_commit_seconds_bucket{le="0.01"} 1"#,
            r#"zhenbei_fleet_commit_seconds_bucket{le="0.005"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nnot in\n{text}");
        }
        drop(numbers);
    }
}
