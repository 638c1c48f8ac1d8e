//! Logs, panics and metrics of the process. The log is for debugging and may be lost; the ledger is the truth.
//!
//! Every line goes through the scrubber before it leaves the process.

use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use metrics::Unit;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Replaces secrets in a text; gives every other text back as it is.
pub type Scrubber = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Why logs or metrics can't be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log's filter is not understood.
    #[error(
        "the log filter is not understood: {0}; write it like info or info,midwatch::chat=debug"
    )]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process did it before.
    #[error("{0} were started before in this process; start them once")]
    Started(&'static str),
}

/// Logs to standard error from now on, panics included. `json`: one object a line, for machines.
///
/// A line that can't be written is lost, and nothing else: told of there, the same failure would end the process.
pub fn start_logs(filter: &str, json: bool, scrub: Scrubber) -> Result<(), TelemetryError> {
    let scrub = scrub_quoted(scrub);
    let started = if json {
        let writer = Scrubbed::new(io::stderr, scrub_json(scrub));
        let logs = tracing_subscriber::fmt().json().flatten_event(true);
        logs.with_env_filter(EnvFilter::try_new(filter)?)
            .with_writer(writer)
            .log_internal_errors(false)
            .try_init()
    } else {
        let logs = tracing_subscriber::fmt();
        // Left alone on a terminal: the default respects NO_COLOR.
        let logs = if io::IsTerminal::is_terminal(&io::stderr()) {
            logs
        } else {
            logs.with_ansi(false)
        };
        logs.with_env_filter(EnvFilter::try_new(filter)?)
            .with_writer(Scrubbed::new(io::stderr, scrub))
            .log_internal_errors(false)
            .try_init()
    };
    started.map_err(|_| TelemetryError::Started("logs"))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Writes each event scrubbed. An event is one `write`: the formatter hands over whole lines.
#[derive(Clone)]
pub struct Scrubbed<M> {
    make: M,
    scrub: Scrubber,
}

impl<M> Scrubbed<M> {
    /// Puts the scrubber before the writers that `make` makes.
    pub fn new(make: M, scrub: Scrubber) -> Self {
        Self { make, scrub }
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Scrubbed<M> {
    type Writer = ScrubbedWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        ScrubbedWriter {
            inner: self.make.make_writer(),
            scrub: self.scrub.clone(),
        }
    }
}

/// Writes what is left after scrubbing.
pub struct ScrubbedWriter<W> {
    inner: W,
    scrub: Scrubber,
}

impl<W: Write> Write for ScrubbedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let clean = (self.scrub)(&String::from_utf8_lossy(bytes));
        self.inner.write_all(clean.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Scrubs a text in which values stand quoted: in quotes, a secret that somebody had quoted before looks different.
///
/// Only a text in which one is found that way loses its backslashes, and stays on its line.
fn scrub_quoted(scrub: Scrubber) -> Scrubber {
    Arc::new(move |text| {
        let scrubbed = scrub(text);
        if !scrubbed.contains('\\') {
            return scrubbed;
        }
        let unquoted = unquoted(&scrubbed);
        let again = scrub(&unquoted);
        if again == unquoted {
            return scrubbed;
        }
        let end = if text.ends_with('\n') { "\n" } else { "" };
        again.trim_end().replace(['\n', '\r'], " ") + end
    })
}

/// Without the backslashes that a Rust literal puts in.
fn unquoted(text: &str) -> String {
    let mut unquoted = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next()).flatten();
        unquoted.push(match escaped {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(other) => other,
            None => c,
        });
    }
    unquoted
}

/// Scrubs the texts *in* a JSON line: a secret with a quote in it looks different once it is escaped.
fn scrub_json(scrub: Scrubber) -> Scrubber {
    Arc::new(move |line| match serde_json::from_str(line) {
        Ok(value) => format!("{}\n", scrub_value(value, &scrub)),
        Err(_) => scrub(line),
    })
}

fn scrub_value(value: serde_json::Value, scrub: &Scrubber) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(scrub(&text)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| scrub_value(item, scrub))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, scrub_value(value, scrub)))
            .collect(),
        other => other,
    }
}

/// Only a panic's literal message is logged: a formatted one may hold what somebody typed.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic
        .location()
        .map_or_else(String::new, ToString::to_string);
    let message = panic
        .payload()
        .downcast_ref::<&'static str>()
        .copied()
        .unwrap_or("its message is withheld, it may hold data");
    let thread = std::thread::current();
    tracing::error!(
        place,
        thread = thread.name().unwrap_or("unnamed"),
        "a part of midwatch panicked at {place}: {message}; this is a fault of midwatch, report it with this line"
    );
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Spans of time, in seconds.
    Seconds,
}

/// A metric and what it tells.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Starts with `midwatch_`.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it tells, with its labels.
    pub help: &'static str,
}

use MetricKind::{Counter, Gauge, Seconds};

/// Every metric. A name that is recorded anywhere must stand here; `docs/operations.md` shows the same table.
pub const METRICS: &[Metric] = &[
    metric("midwatch_build_info", Gauge, "Always 1; label version"),
    metric(
        "midwatch_inbounds_total",
        Counter,
        "Inbounds recorded; labels platform, receipt (new or duplicate)",
    ),
    metric(
        "midwatch_memberships_total",
        Counter,
        "Answers of platforms to who is in one of their groups; labels platform, result (heard or failed)",
    ),
    metric(
        "midwatch_inbound_seconds",
        Seconds,
        "From reaching us to being durable; label platform",
    ),
    metric(
        "midwatch_deliveries_refused_total",
        Counter,
        "Requests refused before they became an inbound; labels platform, reason",
    ),
    metric(
        "midwatch_deliveries_ignored_total",
        Counter,
        "Deliveries that are nothing for us; labels platform, kind",
    ),
    metric(
        "midwatch_deliveries_malformed_total",
        Counter,
        "Deliveries that nobody can make sense of; label platform",
    ),
    metric(
        "midwatch_deliveries_repeated_total",
        Counter,
        "Deliveries that the platform marked as repeated; label platform",
    ),
    metric(
        "midwatch_deliveries_not_kept_total",
        Counter,
        "Deliveries that could not be made durable; label platform",
    ),
    metric(
        "midwatch_history_inbounds_total",
        Counter,
        "Inbounds that were heard only by reading a channel's history; label platform",
    ),
    metric(
        "midwatch_refusals_total",
        Counter,
        "Inbounds refused before a rule was asked; label refusal",
    ),
    metric(
        "midwatch_decisions_total",
        Counter,
        "Decisions; label decision (allow, require_approval, hold, deny)",
    ),
    metric(
        "midwatch_runs_finished_total",
        Counter,
        "Runs that ended; label outcome",
    ),
    metric("midwatch_runs_open", Gauge, "Runs that have not ended"),
    metric(
        "midwatch_steps_total",
        Counter,
        "Attempts of steps that ended; labels action, result",
    ),
    metric(
        "midwatch_step_seconds",
        Seconds,
        "How long attempts of steps took; label action",
    ),
    metric(
        "midwatch_postings_total",
        Counter,
        "Deliveries of postings; labels platform, result (delivered, taken, lost, deferred, in_doubt, absent, dropped)",
    ),
    metric(
        "midwatch_postings_waiting",
        Gauge,
        "Postings not yet delivered; label platform",
    ),
    metric(
        "midwatch_platform_connected",
        Gauge,
        "Connections through which we hear a platform; label platform",
    ),
    metric(
        "midwatch_catalog_loads_total",
        Counter,
        "Times the files were read; label result (taken or kept)",
    ),
    metric(
        "midwatch_http_requests_total",
        Counter,
        "HTTP requests answered; label status",
    ),
    metric(
        "midwatch_http_sent_away_total",
        Counter,
        "connections that waited for nothing and were closed because there was no room for another",
    ),
    metric(
        "midwatch_unreadable_total",
        Counter,
        "Rows that only a newer version can read, left to it; label what (run, inbound, posting)",
    ),
    metric(
        "midwatch_clock_ahead",
        Gauge,
        "Seconds that this host's clock is ahead of the database's; negative: behind",
    ),
    metric(
        "midwatch_commits_total",
        Counter,
        "Commits of the store; those who wait at the same time share one",
    ),
    metric(
        "midwatch_calls_total",
        Counter,
        "Calls to people by means that leave chat; labels means, result (delivered or failed)",
    ),
    metric(
        "midwatch_faults_total",
        Counter,
        "Faults of ours; label where",
    ),
];

const fn metric(name: &'static str, kind: MetricKind, help: &'static str) -> Metric {
    Metric { name, kind, help }
}

/// What the metrics are now.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// Records metrics from now on, for the whole process.
pub fn start_metrics() -> Result<Metrics, TelemetryError> {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Started("metrics"))?;
    describe();
    metrics::gauge!("midwatch_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(Metrics(handle))
}

impl Metrics {
    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }

    /// Folds recorded spans of time together until cancelled, so that memory stays small when nobody reads them.
    pub async fn keep_small(&self, cancel: &CancellationToken) {
        const EVERY: Duration = Duration::from_secs(5);
        while cancel
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            self.0.run_upkeep();
        }
    }
}

fn recorder() -> metrics_exporter_prometheus::PrometheusRecorder {
    // From a fast acknowledgement to a long step.
    const BUCKETS: &[f64] = &[
        0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 3.0, 10.0, 60.0, 600.0, 3600.0,
    ];
    PrometheusBuilder::new()
        .set_buckets(BUCKETS)
        .expect("the list above is not empty")
        .build_recorder()
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            Counter => metrics::describe_counter!(metric.name, metric.help),
            Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Seconds => metrics::describe_histogram!(metric.name, Unit::Seconds, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn hide(secret: &'static str) -> Scrubber {
        Arc::new(move |text| text.replace(secret, "[redacted]"))
    }

    fn logged(json: bool, scrub: Scrubber, act: impl FnOnce()) -> String {
        let sink = Sink::default();
        let kept = sink.clone();
        let scrub = scrub_quoted(scrub);
        let scrub = if json { scrub_json(scrub) } else { scrub };
        let writer = Scrubbed::new(move || kept.clone(), scrub);
        let layer = tracing_subscriber::fmt::layer().with_ansi(false);
        if json {
            let layer = layer.json().flatten_event(true).with_writer(writer);
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        } else {
            let layer = layer.with_writer(writer);
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        }
        sink.text()
    }

    #[test]
    fn a_secret_never_reaches_the_log() {
        for json in [false, true] {
            let text = logged(json, hide("hush"), || {
                tracing::info!(token = "hush", "it is hush, they say");
            });
            assert!(!text.contains("hush"), "{text}");
            assert!(text.contains("it is [redacted], they say"), "{text}");
        }
    }

    #[test]
    fn a_secret_with_a_quote_in_it_is_found_in_a_json_line() {
        let text = logged(true, hide("a\"b\\c"), || tracing::info!("pass: a\"b\\c."));
        assert!(text.contains("pass: [redacted]."), "{text}");
        assert!(text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn a_secret_that_was_quoted_before_is_found_in_a_line_of_text() {
        let text = logged(false, hide("it\\'s"), || {
            tracing::info!(said = "echo it\\'s \"here\"", "a\\b");
        });
        assert!(text.contains("[redacted]"), "{text}");
        assert!(!text.contains("'s"), "{text}");
        let text = logged(false, hide("two\nlines"), || {
            tracing::info!(said = "two\nlines");
        });
        assert!(text.ends_with("said=\"[redacted]\"\n"), "{text}");
        let text = logged(false, hide("nothing"), || tracing::info!(said = "a\\b"));
        assert!(text.contains(r"a\\b"), "{text}");
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_without_its_data() {
        let text = logged(false, hide("nothing"), || {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(log_panic));
            let typed = "typed by somebody";
            let formatted = std::panic::catch_unwind(|| panic!("bad: {typed}"));
            let literal = std::panic::catch_unwind(|| panic!("the pipe is gone"));
            std::panic::set_hook(before);
            assert!(formatted.is_err() && literal.is_err());
        });
        assert!(!text.contains("typed by somebody"), "{text}");
        assert!(text.contains("src/telemetry.rs:"), "{text}");
        assert!(text.contains("the pipe is gone"), "{text}");
    }

    #[test]
    fn metrics_are_rendered_with_their_help() {
        let recorder = recorder();
        let rendered = Metrics(recorder.handle());
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!("midwatch_decisions_total", "decision" => "allow").increment(2);
            metrics::histogram!("midwatch_step_seconds", "action" => "run").record(0.2);
        });
        let text = rendered.render();
        assert!(
            text.contains("# HELP midwatch_decisions_total Decisions;"),
            "{text}"
        );
        assert!(
            text.contains("midwatch_decisions_total{decision=\"allow\"} 2"),
            "{text}"
        );
        assert!(
            text.contains("midwatch_step_seconds_bucket{action=\"run\",le=\"0.5\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn every_metric_has_our_prefix_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.name.starts_with("midwatch_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Counter,
                "{}",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_seconds"),
                metric.kind == Seconds,
                "{}",
                metric.name
            );
        }
    }
}
