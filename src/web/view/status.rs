//! Everything at once: status and counts.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::camera::CameraAndImage;
use super::contact::GpioView;
use super::event::Failures;
use super::receiver::{DeviceView, ReceiverView};
use super::storage::StorageAndUse;
use super::target::{BacklogView, TargetAndBacklog};
use super::time::Time;
use super::upload::UploadCounts;
use crate::clock;
use crate::model::ClockState;
use crate::status::{Action, Alarm, ClockStatus, DisplayState, Severity};
use crate::store::CameraTally;

/// The state of every part.
#[derive(Serialize, ToSchema)]
#[schema(as = Status)]
pub(in crate::web) struct StatusView {
    #[schema(example = "0.1.0")]
    pub(in crate::web) version: &'static str,
    /// Seconds since the start.
    #[schema(example = 81_234)]
    pub(in crate::web) uptime: u64,
    /// Whether every target is.
    #[schema(example = true)]
    pub(in crate::web) online: bool,
    pub(in crate::web) gpio: GpioView,
    /// Whether contacts are simulated (`GPIO_BACKEND=sim`).
    pub(in crate::web) simulated: bool,
    pub(in crate::web) uploads: UploadCounts,
    pub(in crate::web) storage: StorageAndUse,
    pub(in crate::web) targets: Vec<TargetAndBacklog>,
    pub(in crate::web) clock: ClockView,
    pub(in crate::web) failures: Failures,
    /// The worst first.
    pub(in crate::web) alarms: Vec<AlarmView>,
    /// Whether this is the demonstration.
    pub(in crate::web) demo: bool,
    pub(in crate::web) cameras: Vec<CameraAndImage>,
    /// Those that may bring pictures themselves.
    pub(in crate::web) devices: Vec<DeviceView>,
    pub(in crate::web) receiver: ReceiverView,
    /// The display at the box; null where the settings name none.
    pub(in crate::web) display: Option<DisplayView>,
    /// Whether a server reads number plates in the pictures.
    pub(in crate::web) analysis: bool,
}

/// The display at the box.
#[derive(Serialize, ToSchema)]
#[schema(as = Display)]
pub(in crate::web) struct DisplayView {
    /// Its controller, as in the settings.
    #[schema(example = "ssd1306")]
    pub(in crate::web) kind: &'static str,
    /// Whether it shows what it should.
    pub(in crate::web) shown: bool,
    /// Why it does not, and what to do.
    #[schema(example = json!(null))]
    pub(in crate::web) error: Option<String>,
}

impl From<DisplayState> for DisplayView {
    fn from(state: DisplayState) -> Self {
        Self { kind: state.kind, shown: state.error.is_none(), error: state.error }
    }
}

/// The wall clock.
#[derive(Serialize, ToSchema)]
#[schema(as = Clock)]
pub(in crate::web) struct ClockView {
    /// Whether a time service vouches for it: `synced` or `unsynced`.
    pub(in crate::web) state: ClockState,
    pub(in crate::web) now: Time,
    /// What an operator should know.
    pub(in crate::web) message: Option<String>,
    /// How often it was set since the start.
    pub(in crate::web) steps: u64,
    #[schema(example = json!(null))]
    pub(in crate::web) last_step_at: Option<Time>,
    /// How far it was set the last time.
    pub(in crate::web) moved_ms: Option<i64>,
    /// Triggers whose time was corrected since the start.
    pub(in crate::web) corrected: u64,
}

impl From<&ClockStatus> for ClockView {
    fn from(clock: &ClockStatus) -> Self {
        let now = clock::now();
        Self {
            state: if clock.is_synced { ClockState::Synced } else { ClockState::Unsynced },
            now: Time(now),
            message: clock.message(now),
            steps: clock.steps,
            last_step_at: clock.last_step.map(|step| Time(step.at)),
            moved_ms: clock.last_step.map(|step| step.moved_ms),
            corrected: clock.corrected,
        }
    }
}

/// Something an operator should know of.
#[derive(Serialize, ToSchema)]
#[schema(as = Alarm)]
pub(in crate::web) struct AlarmView {
    /// What is wrong, stable: camera_away, target_away, target_refusing, pictures_refused, contact_stuck, contact_noisy,
    /// trigger_failed (until seen, or until a picture was stored after one that could not be), text_watched (until seen),
    /// contacts_unwatched, contact_flickers, ledger_late, disk_short, pictures_unstored, pictures_gone, pictures_unreadable,
    /// takeover_incomplete, folder_not_followed, database_damaged, database_replaced, away (the picture directory),
    /// retention_failed, backup_failed, upload_stuck, task_restarted, connections (all are taken), descriptors (open files
    /// run short); there may be more. Of a code there is one alarm for each camera, target or task.
    #[schema(example = "camera_away")]
    pub(in crate::web) code: &'static str,
    /// What the code is about, such as camera, target, name (of a task), count, reason; `what` is the code of its sentence,
    /// one of those in docs/codes.md.
    #[schema(value_type = Object, example = json!({"camera": "r1"}))]
    pub(in crate::web) args: Map<String, Value>,
    #[schema(value_type = Severity)]
    pub(in crate::web) severity: &'static str,
    /// The part of the program it is about.
    #[schema(example = "camera")]
    pub(in crate::web) part: &'static str,
    /// What is wrong and what to do, for people.
    #[schema(example = "camera r1 has been away for ten minutes; check its power and cable")]
    pub(in crate::web) message: String,
    pub(in crate::web) since: Time,
    pub(in crate::web) action: ActionView,
}

impl From<Alarm> for AlarmView {
    fn from(alarm: Alarm) -> Self {
        let Action { code, text, link } = alarm.kind.action();
        Self {
            code: alarm.kind.code(),
            args: alarm.args,
            severity: alarm.kind.severity().as_str(),
            part: alarm.kind.part(),
            message: alarm.message,
            since: Time(alarm.since),
            action: ActionView { code, text, link },
        }
    }
}

/// What to do next.
#[derive(Serialize, ToSchema)]
#[schema(as = Action)]
pub(in crate::web) struct ActionView {
    /// Stable.
    #[schema(example = "see_camera")]
    pub(in crate::web) code: &'static str,
    /// The same for people.
    #[schema(example = "See the camera")]
    pub(in crate::web) text: &'static str,
    /// Where on the dashboard its cause is seen.
    #[schema(example = "#camera-r1")]
    pub(in crate::web) link: Option<String>,
}

/// What a camera has done, and what is kept of it.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct Tally {
    /// Triggers that led to a picture.
    #[schema(example = 1203)]
    pub(in crate::web) captured: u64,
    /// Triggers for which another one stands.
    pub(in crate::web) coalesced: u64,
    /// Triggers without a picture.
    pub(in crate::web) failed: u64,
    /// Pictures and clips that are there.
    #[schema(example = 1203)]
    pub(in crate::web) images: u64,
    /// Their size.
    #[schema(example = 496_123_904)]
    pub(in crate::web) bytes: u64,
}

impl From<&CameraTally> for Tally {
    fn from(tally: &CameraTally) -> Self {
        Self {
            captured: tally.captured,
            coalesced: tally.coalesced,
            failed: tally.failed,
            images: tally.images,
            bytes: tally.bytes,
        }
    }
}

/// Uploads, by target and in total.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct UploadStats {
    pub(in crate::web) total: UploadCounts,
    /// By target.
    pub(in crate::web) targets: BTreeMap<&'static str, UploadCounts>,
    /// By target.
    pub(in crate::web) backlog: BTreeMap<&'static str, BacklogView>,
}

/// Counts, per camera, per target and in total.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub(in crate::web) struct StatsView {
    pub(in crate::web) total: Tally,
    /// By key.
    pub(in crate::web) cameras: BTreeMap<String, Tally>,
    pub(in crate::web) uploads: UploadStats,
    pub(in crate::web) storage: StorageAndUse,
}
