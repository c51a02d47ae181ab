//! What a camera of single pictures shows: to requests, to whoever watches, and to the viewers of a slot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use super::Requests;
use super::slot::StreamSlot;
use crate::media::gop::{AccessUnit, Codec, DecodeRun};
use crate::model::{CameraKey, Stamps};
use crate::status::{CameraState, Status, StreamInfo};

/// A picture that came by itself.
pub(super) struct Shown {
    /// The file.
    pub(super) jpeg: Arc<[u8]>,
    /// Pixels.
    pub(super) size: (u32, u32),
    /// When its first byte came.
    pub(super) began: Instant,
    /// When that of the one before did: this one was taken since; `None` when that is not known.
    pub(super) until: Option<Instant>,
}

/// An instant that may be off by more than this is told to be so.
pub(super) const SURE: Duration = Duration::from_millis(60);

/// Who is shown a camera's pictures, and what is said of it.
pub(super) struct Showcase {
    key: CameraKey,
    status: Status,
    began: Instant,
    /// Viewers beside those who watch the stream.
    pub(super) slot: Option<StreamSlot>,
}

impl Showcase {
    /// Of the camera `key`, which begins now.
    pub(super) fn new(key: CameraKey, status: Status) -> Self {
        Self { key, status, began: Instant::now(), slot: None }
    }

    /// Takes in a picture that came by itself.
    pub(super) fn show(&self, shown: Shown, requests: &mut Requests) {
        let Shown { jpeg, size, began, until } = shown;
        self.show_connected(size);
        let within = until.map_or(Duration::ZERO, |until| began.saturating_duration_since(until) / 2);
        let doubt = (within > SURE).then(|| unsure(within).into());
        self.give(&jpeg, began - within, until, doubt, requests);
    }

    /// Shows a picture to whoever looks, and gives it to requests for instants up to `until`.
    pub(super) fn give(
        &self,
        jpeg: &Arc<[u8]>,
        instant: Instant,
        until: Option<Instant>,
        doubt: Option<Arc<str>>,
        requests: &mut Requests,
    ) {
        if let Some(slot) = &self.slot {
            slot.show(jpeg);
        }
        let since_began = instant.saturating_duration_since(self.began);
        let unit = AccessUnit {
            rtp_ns: i64::try_from(since_began.as_nanos()).unwrap_or(i64::MAX),
            instant,
            data: Arc::clone(jpeg),
            starts: Some(0),
            is_disposable: false,
            missing: 0,
            is_leading: false,
            doubt: None,
        };
        requests.show_alone(Codec::Jpeg, &unit);
        if let Some(until) = until {
            let (wanted_rtp_ns, units) = (unit.rtp_ns, vec![unit]);
            requests.give(
                until,
                &DecodeRun {
                    codec: Codec::Jpeg,
                    units,
                    wanted_rtp_ns,
                    instant,
                    remark: doubt,
                    spacing: Duration::ZERO,
                },
            );
        }
    }

    pub(super) fn show_connected(&self, (width, height): (u32, u32)) {
        let info = StreamInfo {
            codec: "jpeg".to_owned(),
            width,
            height,
            fps: None,
            gop_frames: None,
            jitter_ms: None,
            clock_offset_ms: None,
            stamps: Stamps::Good,
        };
        let Some(was) = self.status.camera(&self.key) else { return };
        let was_away = was.state != CameraState::Connected;
        if !was_away && was.stream.as_ref() == Some(&info) {
            return;
        }
        if was_away {
            info!(codec = info.codec, width, height, "camera connected");
        }
        self.status.update_camera(&self.key, |camera| {
            camera.state = CameraState::Connected;
            camera.last_error = None;
            camera.stream = Some(info);
        });
    }
}

/// That an instant may be off by `within` to either side.
pub(super) fn unsure(within: Duration) -> String {
    format!(
        "the camera takes its time for a picture, so its instant is sure to {} ms only",
        within.as_millis()
    )
}
