//! Metrics in the OpenMetrics text format, under names that Prometheus users
//! expect.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::gate::{Event, Observer};

/// Media type of what [`Metrics::text`] writes.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From a remembered verdict to the longest that an API server waits, in
/// seconds.
const BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

type Histograms<S> = Family<S, Histogram, fn() -> Histogram>;

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    /// Reviews that were answered.
    pub(super) requests: Family<RequestLabels, Counter>,
    /// How long that took, in seconds.
    pub(super) duration: Histograms<EndpointLabel>,
    /// Reviews being answered.
    pub(super) in_flight: Gauge,
    /// Requests that were not answered by a review.
    pub(super) refused: Family<ReasonLabel, Counter>,
    /// Answers that a defect kept from being made.
    pub(super) panics: Counter,
    /// Verdicts on images.
    pub(super) verdicts: Family<VerdictLabels, Counter>,
    /// What the gate did itself: resolving tags and verifying images.
    pub(super) work: Histograms<WorkLabels>,
    /// How long verifications waited for room, in seconds.
    pub(super) waited: Histogram,
    /// Verifications under way or waiting.
    pub(super) verifications: Gauge,
    /// Verdicts that are remembered.
    pub(super) remembered: Gauge,
    /// Attempts to take a changed file.
    pub(super) policy_reloads: Family<ResultLabel, Counter>,
    /// The same for the certificate and key.
    pub(super) certificate_reloads: Family<ResultLabel, Counter>,
    /// The same for the table of custom resources.
    pub(super) resources_reloads: Family<ResultLabel, Counter>,
    /// What decides: always 1.
    pub(super) policy: Family<PolicyLabels, Gauge>,
    /// When it expires.
    pub(super) policy_expiry: Gauge,
    /// When the certificate ends.
    pub(super) certificate_expiry: Gauge,
    /// Open connections.
    pub(super) connections: Gauge,
    /// Connections that the server ended, or did not get to speak to.
    pub(super) connections_cut: Family<ReasonLabel, Counter>,
    /// Lines of the log that nobody will read.
    pub(super) log_dropped: Counter,
}

/// Labels of a review.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) endpoint: &'static str,
    pub(super) operation: &'static str,
    pub(super) decision: &'static str,
}

/// Label of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndpointLabel {
    pub(super) endpoint: &'static str,
}

/// Label of a cause.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ReasonLabel {
    pub(super) reason: &'static str,
}

/// Labels of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct VerdictLabels {
    pub(super) decision: &'static str,
    pub(super) row: &'static str,
    pub(super) origin: &'static str,
}

/// Labels of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WorkLabels {
    pub(super) work: &'static str,
    pub(super) result: &'static str,
}

/// Label of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ResultLabel {
    pub(super) result: &'static str,
}

/// Labels of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PolicyLabels {
    pub(super) name: String,
    pub(super) serial: String,
    pub(super) digest: String,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    /// All of them at zero.
    pub(super) fn new() -> Self {
        let mut root = Registry::default();
        root.register_collector(Box::new(Process { started: SystemTime::now() }));
        let registry = root.sub_registry_with_prefix("ocisign");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "What runs", build);
        let requests = family(registry, "admission_requests", "Reviews that were answered");
        let duration = Histograms::new_with_constructor(histogram as fn() -> Histogram);
        registry.register(
            "admission_duration_seconds",
            "Time from a request's head to its answer",
            duration.clone(),
        );
        let reloads = |registry: &mut Registry, name: &str, what: &str| {
            family(registry, name, &format!("Attempts to take {what} that changed"))
        };
        let in_flight = added(registry, "admission_in_flight", "Reviews being answered");
        let refused =
            family(registry, "http_refusals", "Requests that were not answered by a review");
        let panics = added(registry, "panics", "Requests that a defect turned into a denial");
        let verdicts = family(registry, "verdicts", "Verdicts on images, each once a request");
        let work = Histograms::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("work_duration_seconds", "Time that registries took", work.clone());
        let waited = histogram();
        let help = "Time that verifications waited for room";
        registry.register("verification_wait_seconds", help, waited.clone());
        let verifications = added(registry, "verifications", "Verifications under way or waiting");
        let remembered = added(registry, "verdicts_remembered", "Verdicts that are remembered");
        let policy_reloads = reloads(registry, "policy_reloads", "a policy or key");
        let certificate_reloads = reloads(registry, "certificate_reloads", "a certificate");
        let resources_reloads =
            reloads(registry, "resources_reloads", "a table of custom resources");
        let policy = family(registry, "policy_info", "The policy that decides");
        let policy_expiry = added(
            registry,
            "policy_expiry_timestamp_seconds",
            "When the policy expires and denies everything; 0 for never",
        );
        let certificate_expiry = added(
            registry,
            "certificate_expiry_timestamp_seconds",
            "When the server's certificate ends",
        );
        let connections = added(registry, "connections", "Open connections");
        let connections_cut =
            family(registry, "connections_cut", "Connections that the server ended");
        let log_dropped =
            added(registry, "log_lines_dropped", "Lines of the log that were not written");
        Self {
            registry: root,
            requests,
            duration,
            in_flight,
            refused,
            panics,
            verdicts,
            work,
            waited,
            verifications,
            remembered,
            policy_reloads,
            certificate_reloads,
            resources_reloads,
            policy,
            policy_expiry,
            certificate_expiry,
            connections,
            connections_cut,
            log_dropped,
        }
    }

    /// All of them as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(16 << 10);
        // writing into a String does not fail
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Counts one request that no review answers.
    pub(super) fn refuse(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts one connection that the server ended.
    pub(super) fn cut(&self, reason: &'static str) {
        self.connections_cut.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts one review.
    pub(super) fn answered(&self, labels: &RequestLabels, took: Duration) {
        self.requests.get_or_create(labels).inc();
        let endpoint = labels.endpoint;
        self.duration.get_or_create(&EndpointLabel { endpoint }).observe(took.as_secs_f64());
    }
}

fn added<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn family<S, M>(registry: &mut Registry, name: &str, help: &str) -> Family<S, M>
where
    Family<S, M>: Metric + Clone + Default,
    S: Clone + std::hash::Hash + Eq,
{
    added(registry, name, help)
}

/// Counts what the gate does.
pub(super) struct GateMetrics(pub(super) Arc<Metrics>);

impl Observer for GateMetrics {
    fn event(&self, event: &Event<'_>) {
        let (work, done, took) = match event {
            Event::Resolved { outcome, took, .. } => ("resolve", outcome.is_ok(), took),
            Event::Verified { outcome, took, .. } => ("verify", outcome.is_ok(), took),
            Event::Verifying { waited, .. } => return self.0.waited.observe(waited.as_secs_f64()),
            // counted where a review is answered
            Event::Answered { .. } | Event::Undecided { .. } => return,
        };
        let labels = WorkLabels { work, result: if done { "done" } else { "failed" } };
        self.0.work.get_or_create(&labels).observe(took.as_secs_f64());
    }
}

/// What the system says of this process.
#[derive(Debug)]
struct Process {
    started: SystemTime,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kib = |name: &str| kib_of(&status, name).map(|kib| kib as f64 * 1024.0);
        let threads = field_of(&status, "Threads:").and_then(|text| text.parse().ok());
        let files = std::fs::read_dir("/proc/self/fd").map(|fds| fds.count() as f64).ok();
        let gauges = [
            ("start_time_seconds", "When the process started", Some(started.as_secs_f64())),
            ("resident_memory_bytes", "Memory in use", kib("VmRSS:")),
            ("resident_memory_max_bytes", "The most that was in use", kib("VmHWM:")),
            ("threads", "Threads", threads),
            ("open_fds", "Open file descriptors", files),
        ];
        for (name, help, value) in gauges {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::<f64>::new(value);
            let name = format!("process_{name}");
            let encoder = encoder.encode_descriptor(&name, help, None, gauge.metric_type())?;
            gauge.encode(encoder)?;
        }
        Ok(())
    }
}

fn field_of<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn kib_of(status: &str, name: &str) -> Option<u64> {
    field_of(status, name)?.strip_suffix("kB")?.trim().parse().ok()
}
