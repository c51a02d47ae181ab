//! What it means that a camera refused a request, in words (RFC 2326 section 11). Pure.

use url::Url;

use super::named::Named;
use crate::config::shown_url;
use crate::model::foreign;
use crate::source::SourceError;

/// Of an address so many characters are shown.
const PLACE_MAX: usize = 160;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// What the camera has.
    Describe,
    /// How it comes.
    SetUp,
    /// That it comes.
    Play,
    /// That it goes on.
    Keepalive,
    /// Something else.
    Other,
}

/// What the camera knows of who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// There is no user name to tell it.
    Unknown,
    /// It did not ask in a way that could be answered.
    Untold,
    /// It was told.
    Told,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it was for.
    pub step: Step,
    /// 400 to 599.
    pub status: u16,
    /// Of what.
    pub url: String,
    /// What the camera knew.
    pub access: Access,
    /// Datagrams were wanted.
    pub wants_datagrams: bool,
}

impl Refusal {
    /// What the operator reads. A camera that locks accounts or does not have what is wanted is asked again after minutes
    /// only.
    pub fn say(&self, named: &Named<'_>) -> SourceError {
        let Named { address, number: n, .. } = named;
        let Self { step, status, access, wants_datagrams, .. } = self;
        // A user and a password may stand in it.
        let url = Url::parse(&self.url).map_or_else(|_| self.url.clone(), |url| shown_url(&url));
        let url = foreign::line(&url, PLACE_MAX);
        let message = match (status, access) {
            (401, Access::Unknown) => format!(
                "the camera at {address} wants a user name and password; set CAMERA_{n}_USERNAME and \
                 CAMERA_{n}_PASSWORD"
            ),
            (401, Access::Told) => format!(
                "the camera at {address} refused the user name or password (status 401); check CAMERA_{n}_USERNAME and \
                 CAMERA_{n}_PASSWORD, or CAMERA_USERNAME and CAMERA_PASSWORD"
            ),
            (401, Access::Untold) => format!(
                "the camera at {address} refused us and does not say which log-in it wants; its account may be locked \
                 for some minutes: check CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, and set its RTSP log-in to digest \
                 or basic"
            ),
            (403, Access::Unknown) => format!(
                "the camera at {address} forbids this stream (status 403); set CAMERA_{n}_USERNAME and \
                 CAMERA_{n}_PASSWORD, or allow it in the camera's settings"
            ),
            (403, _) => format!(
                "the camera at {address} refused the user name or password, or its user may not see this stream (status \
                 403); check CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, and the rights of that user"
            ),
            (404 | 410, _) => format!(
                "the camera at {address} has no stream at {url} (status {status}); check path and channel in \
                 CAMERA_{n}_RTSP"
            ),
            (453, _) => format!(
                "the camera at {address} has no session or bandwidth left for us (status 453): too many programs watch \
                 it; close one, or let the camera allow more; it is asked again"
            ),
            (461, _) => format!(
                "the camera at {address} refused this transport; set CAMERA_{n}_TRANSPORT to {}",
                if *wants_datagrams { "tcp" } else { "udp" }
            ),
            (408 | 500 | 502..=504, _) => format!(
                "the camera at {address} is starting or busy (status {status}); it is asked again; if this goes on, \
                 restart it"
            ),
            (505, _) => format!(
                "the camera at {address} speaks another version of RTSP (status 505); update its firmware, or check the \
                 port in CAMERA_{n}_RTSP"
            ),
            _ => match step {
                Step::Describe => format!(
                    "the camera at {address} refused the request for {url} (status {status}); check path and channel \
                     in CAMERA_{n}_RTSP, and restart the camera if they are right"
                ),
                Step::SetUp => format!(
                    "the camera at {address} refused to set up its video (status {status}); set CAMERA_{n}_TRANSPORT to \
                     {}, or use another stream of it in CAMERA_{n}_RTSP",
                    if *wants_datagrams { "tcp" } else { "udp" }
                ),
                Step::Play | Step::Keepalive | Step::Other => format!(
                    "the camera at {address} refused to send its video (status {status}); restart it, or use another \
                     stream of it in CAMERA_{n}_RTSP"
                ),
            },
        };
        SourceError { message, is_refusal: matches!(status, 401 | 403 | 404 | 410 | 461) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Named<'_> = Named { address: "10.0.0.7:554", host: "10.0.0.7", number: 3 };

    #[test]
    fn every_status_names_the_trouble_and_the_next_step() {
        for (step, status, access, wanted) in [
            (Step::Describe, 401, Access::Unknown, ["wants a user name", "CAMERA_3_USERNAME"]),
            (Step::Describe, 401, Access::Told, ["refused the user name or password", "CAMERA_3_PASSWORD"]),
            (Step::Describe, 401, Access::Untold, ["locked", "CAMERA_3_PASSWORD"]),
            (Step::Describe, 403, Access::Told, ["rights", "CAMERA_3_USERNAME"]),
            (Step::Describe, 404, Access::Told, ["no stream at rtsp://10.0.0.7/1", "CAMERA_3_RTSP"]),
            (Step::Describe, 400, Access::Told, ["path and channel", "CAMERA_3_RTSP"]),
            (Step::Describe, 455, Access::Unknown, ["path and channel", "restart"]),
            (Step::Describe, 503, Access::Unknown, ["starting or busy", "asked again"]),
            (Step::SetUp, 453, Access::Unknown, ["too many", "asked again"]),
            (Step::SetUp, 461, Access::Unknown, ["CAMERA_3_TRANSPORT", "udp"]),
            (Step::SetUp, 459, Access::Unknown, ["set up", "CAMERA_3_TRANSPORT"]),
            (Step::Play, 454, Access::Unknown, ["refused to send", "restart"]),
            (Step::Play, 551, Access::Unknown, ["refused to send", "CAMERA_3_RTSP"]),
        ] {
            let url = "rtsp://u:secret@10.0.0.7/1".to_owned();
            let said = Refusal { step, status, url, access, wants_datagrams: false }.say(&NAMED).message;
            for part in wanted {
                assert!(said.contains(part), "{status}: {said}");
            }
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn nothing_that_is_said_is_the_language_of_programs() {
        for step in [Step::Describe, Step::SetUp, Step::Play] {
            for (status, access) in (400..600).flat_map(|status| {
                [Access::Unknown, Access::Untold, Access::Told].map(|access| (status, access))
            }) {
                let url = "rtsp://10.0.0.7/1".to_owned();
                let said = Refusal { step, status, url, access, wants_datagrams: true }.say(&NAMED).message;
                for raw in [
                    "status 200",
                    "Unexpected RTSP",
                    "os error",
                    "CSeq",
                    "buffered:",
                    "Response {",
                    "Native:",
                ] {
                    assert!(!said.contains(raw), "{said}");
                }
                assert!(
                    said.contains("CAMERA_3_") || said.contains("restart") || said.contains("asked again"),
                    "{said}"
                );
            }
        }
    }
}
