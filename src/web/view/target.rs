//! Targets: how they stand, what waits for them, and what came of trying one out.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::closed::ClosedWord;
use super::time::Time;
use crate::config::words_of;
use crate::model::{Coded, FileName, ImageId, TargetId};
use crate::status::{Pause, TargetStatus};
use crate::targets::{StepKind, TryoutReport};
use crate::web::uploads::Backlog;

/// How an upload target stands.
#[derive(Serialize, ToSchema)]
#[schema(as = TargetEvent)]
pub(in crate::web) struct TargetView {
    pub(in crate::web) target: TargetId,
    /// What people call it.
    #[schema(example = "HTTP API")]
    pub(in crate::web) label: String,
    /// How deliveries go: it can be reached and has not refused or failed the last one; null before the first contact.
    pub(in crate::web) online: Option<bool>,
    /// Null before the first contact.
    pub(in crate::web) reachable: Option<bool>,
    /// Its last answer to a delivery was a fault of its own.
    pub(in crate::web) failing: bool,
    /// Since when it is as it is.
    pub(in crate::web) since: Time,
    /// What it last said when it refused or could not be reached.
    pub(in crate::web) last_error: Option<String>,
    /// The same for programs: one of the codes in docs/codes.md.
    #[schema(example = json!(null))]
    pub(in crate::web) last_error_code: Option<&'static str>,
    /// What the code is about.
    #[schema(value_type = Option<Object>, example = json!(null))]
    pub(in crate::web) last_error_params: Option<Map<String, Value>>,
    pub(in crate::web) last_delivered: Option<Time>,
    /// When it is tried again, while it is paused.
    #[schema(example = json!(null))]
    pub(in crate::web) paused_until: Option<Time>,
    #[schema(value_type = Option<Pause>, example = json!(null))]
    pub(in crate::web) paused_by: Option<&'static str>,
}

impl From<TargetStatus> for TargetView {
    fn from(target: TargetStatus) -> Self {
        Self {
            target: target.id,
            label: target.id.label(),
            online: target.online,
            reachable: target.is_reachable,
            failing: target.is_failing,
            since: Time(target.since),
            last_error_code: target.last_error.as_ref().and_then(Coded::code),
            last_error_params: target.last_error.as_ref().map(Coded::params),
            last_error: target.last_error.map(|fault| words_of(target.id, &fault.to_string())),
            last_delivered: target.last_delivered.map(Time),
            paused_until: target.paused_until.map(Time),
            paused_by: target.paused_by.map(Pause::as_str),
        }
    }
}

/// An upload target and what waits for it.
#[derive(Serialize, ToSchema)]
#[schema(as = Target)]
pub(in crate::web) struct TargetAndBacklog {
    #[serde(flatten)]
    pub(in crate::web) target: TargetView,
    pub(in crate::web) backlog: BacklogView,
}

/// A target changed.
#[derive(Serialize, ToSchema)]
#[schema(as = ConnectivityEvent)]
pub(in crate::web) struct TargetChange {
    #[serde(flatten)]
    pub(in crate::web) target: TargetView,
    /// Whether every target is online.
    pub(in crate::web) all_online: bool,
}

/// What waits for a target. Rates are those of the last five minutes.
#[derive(Serialize, ToSchema)]
#[schema(as = Backlog)]
pub(in crate::web) struct BacklogView {
    /// Uploads that wait or are under way.
    pub(in crate::web) pending: u64,
    /// The instant of the oldest picture among them.
    pub(in crate::web) oldest: Option<Time>,
    /// How long ago that was, in seconds.
    #[schema(example = 90)]
    pub(in crate::web) oldest_age_s: Option<u64>,
    /// To a tenth.
    #[schema(example = 11.5)]
    pub(in crate::web) pictures_per_minute: f64,
    #[schema(example = 4_750_000.0)]
    pub(in crate::web) bytes_per_minute: f64,
    /// Seconds until nothing waits, at this rate; null while nothing goes or nothing waits.
    pub(in crate::web) drained_in_s: Option<u64>,
    /// Pictures that are sent at the same time.
    #[schema(example = 2)]
    pub(in crate::web) parallel: usize,
    /// The hours of the day in which it is served.
    #[schema(example = "22:00-05:30")]
    pub(in crate::web) window: Option<String>,
}

impl From<&Backlog> for BacklogView {
    fn from(backlog: &Backlog) -> Self {
        Self {
            pending: backlog.pending,
            oldest: backlog.oldest.map(Time),
            oldest_age_s: backlog.oldest_age.map(|age| age.as_secs()),
            pictures_per_minute: (backlog.rate.pictures * 10.0).round() / 10.0,
            bytes_per_minute: backlog.rate.bytes.round(),
            drained_in_s: backlog.drained_in.map(|wait| wait.as_secs()),
            parallel: backlog.lane.parallel,
            window: backlog.lane.window.map(|window| window.to_string()),
        }
    }
}

/// What was seen when a target was tried out.
#[derive(Serialize, ToSchema)]
#[schema(as = TargetTest)]
pub(in crate::web) struct TestView {
    pub(in crate::web) target: TargetId,
    /// Scheme, host and port.
    #[schema(example = "https://gate.example:443")]
    pub(in crate::web) address: String,
    /// The picture was taken and no step failed.
    #[schema(example = true)]
    pub(in crate::web) ok: bool,
    /// Why not.
    pub(in crate::web) error: Option<String>,
    /// Null if none was sent.
    pub(in crate::web) picture: Option<TestPictureView>,
    pub(in crate::web) steps: Vec<StepView>,
}

/// The test picture.
#[derive(Serialize, ToSchema)]
#[schema(as = TestPicture)]
pub(in crate::web) struct TestPictureView {
    #[schema(value_type = String, example = "test_1795176000_1.jpg")]
    pub(in crate::web) filename: FileName,
    /// The idempotency key.
    pub(in crate::web) id: ImageId,
    /// Length of the file.
    #[schema(example = 48_112)]
    pub(in crate::web) bytes: u64,
}

/// A step on the way to a delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = TestStep)]
pub(in crate::web) struct StepView {
    #[schema(value_type = StepKind)]
    pub(in crate::web) step: &'static str,
    /// Null: not done.
    #[schema(example = true)]
    pub(in crate::web) ok: Option<bool>,
    /// What was seen, and what to do.
    #[schema(example = "gate.example has the address 192.0.2.7")]
    pub(in crate::web) text: String,
    #[schema(example = 12)]
    pub(in crate::web) ms: u64,
    /// By step: host, proxy and addresses; connections with address, outcome and ms; TLS version and certificate;
    /// statuses and content_type.
    #[schema(value_type = Option<Object>)]
    pub(in crate::web) seen: Option<Value>,
}

impl From<TryoutReport> for TestView {
    fn from(report: TryoutReport) -> Self {
        Self {
            target: report.target,
            ok: report.is_ok(),
            error: report.error().map(str::to_owned),
            address: report.address,
            picture: report.picture.map(|picture| TestPictureView {
                filename: picture.filename,
                id: picture.id,
                bytes: picture.bytes,
            }),
            steps: report
                .steps
                .into_iter()
                .map(|step| StepView {
                    step: step.kind.word(),
                    ok: step.ok,
                    text: step.text,
                    ms: step.ms,
                    seen: step.seen.map(|seen| json!(seen)),
                })
                .collect(),
        }
    }
}
