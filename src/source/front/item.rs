//! What comes of an open session: pictures, and what the camera says of its clock.

use crate::source::rtp::report::SenderReport;
use crate::source::rtp::{RtpReceiver, Unit};

/// What comes of a session.
#[derive(Debug)]
pub enum Item {
    /// A picture.
    Unit(Unit),
    /// What the camera says of its clock: an RTP time in ticks like those of pictures, and the time of day (NTP).
    Report {
        /// RTP time.
        ticks: i64,
        /// Seconds since 1900 in the upper half.
        ntp: u64,
    },
}

/// Reads a report; whether it is one.
pub(super) fn report(receiver: &RtpReceiver, bytes: &[u8], reported: &mut Option<Item>) -> bool {
    let Some(SenderReport { ntp, time }) = SenderReport::find(bytes) else { return false };
    if let Some(ticks) = receiver.ticks(time) {
        *reported = Some(Item::Report { ticks, ntp });
    }
    true
}
