//! What it means that a camera refused a request, in words (RFC 2326 section 11). Pure.

use url::Url;

use super::named::Named;
use crate::config::shown_url;
use crate::model::{CameraFault, foreign};
use crate::source::SourceError;

/// Of an address so many characters are shown.
const PLACE_MAX: usize = 160;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStep {
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
pub enum LoginKnowledge {
    /// There is no user name to tell it.
    Unknown,
    /// It did not ask in a way that could be answered.
    Untold,
    /// It was told.
    Told,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRefusal {
    /// What it was for.
    pub step: RequestStep,
    /// 400 to 599.
    pub status: u16,
    /// Of what.
    pub url: String,
    /// What the camera knew.
    pub access: LoginKnowledge,
    /// Datagrams were wanted.
    pub wants_datagrams: bool,
}

impl RequestRefusal {
    /// What the operator reads. A camera that locks accounts or does not have what is wanted is asked again after minutes
    /// only.
    pub fn say(&self, named: &Named<'_>) -> SourceError {
        let (address, number) = (named.address.to_owned(), u64::from(named.number));
        let Self { step, status, access, wants_datagrams, .. } = self;
        // A user and a password may stand in it.
        let url = Url::parse(&self.url).map_or_else(|_| self.url.clone(), |url| shown_url(&url));
        let url = foreign::line(&url, PLACE_MAX);
        let (status, transport) = (*status, if *wants_datagrams { "tcp" } else { "udp" }.to_owned());
        let fault = match (status, access) {
            (401, LoginKnowledge::Unknown) => CameraFault::LoginMissing { address, number, kinds: None },
            (401, LoginKnowledge::Told) => CameraFault::LoginRefused { address, number, kinds: None },
            (401, LoginKnowledge::Untold) => CameraFault::LoginUnsaid { address, number },
            (403, LoginKnowledge::Unknown) => CameraFault::StreamForbidden { address, number },
            (403, _) => CameraFault::UserForbidden { address, number },
            (404 | 410, _) => CameraFault::NoStream { address, number, url, status },
            (453, _) => CameraFault::NoSession { address },
            (461, _) => CameraFault::TransportRefused { address, number, transport },
            (408 | 500 | 502..=504, _) => CameraFault::Busy { address, status },
            (505, _) => CameraFault::VersionUnknown { address, number },
            _ => match step {
                RequestStep::Describe => CameraFault::DescribeRefused { address, number, url, status },
                RequestStep::SetUp => CameraFault::SetupRefused { address, number, transport, status },
                RequestStep::Play | RequestStep::Keepalive | RequestStep::Other => {
                    CameraFault::PlayRefused { address, number, status }
                }
            },
        };
        SourceError { fault, is_refusal: matches!(status, 401 | 403 | 404 | 410 | 461) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Named<'_> = Named { address: "10.0.0.7:554", host: "10.0.0.7", number: 3 };

    #[test]
    fn every_status_names_the_trouble_and_the_next_step() {
        for (step, status, access, wanted) in [
            (RequestStep::Describe, 401, LoginKnowledge::Unknown, ["wants a user name", "CAMERA_3_USERNAME"]),
            (
                RequestStep::Describe,
                401,
                LoginKnowledge::Told,
                ["refused the user name or password", "CAMERA_3_PASSWORD"],
            ),
            (RequestStep::Describe, 401, LoginKnowledge::Untold, ["locked", "CAMERA_3_PASSWORD"]),
            (RequestStep::Describe, 403, LoginKnowledge::Told, ["rights", "CAMERA_3_USERNAME"]),
            (
                RequestStep::Describe,
                404,
                LoginKnowledge::Told,
                ["no stream at rtsp://10.0.0.7/1", "CAMERA_3_RTSP"],
            ),
            (RequestStep::Describe, 400, LoginKnowledge::Told, ["path and channel", "CAMERA_3_RTSP"]),
            (RequestStep::Describe, 455, LoginKnowledge::Unknown, ["path and channel", "restart"]),
            (RequestStep::Describe, 503, LoginKnowledge::Unknown, ["starting or busy", "asked again"]),
            (RequestStep::SetUp, 453, LoginKnowledge::Unknown, ["too many", "asked again"]),
            (RequestStep::SetUp, 461, LoginKnowledge::Unknown, ["CAMERA_3_TRANSPORT", "udp"]),
            (RequestStep::SetUp, 459, LoginKnowledge::Unknown, ["set up", "CAMERA_3_TRANSPORT"]),
            (RequestStep::Play, 454, LoginKnowledge::Unknown, ["refused to send", "restart"]),
            (RequestStep::Play, 551, LoginKnowledge::Unknown, ["refused to send", "CAMERA_3_RTSP"]),
        ] {
            let url = "rtsp://u:secret@10.0.0.7/1".to_owned();
            let said = RequestRefusal { step, status, url, access, wants_datagrams: false }
                .say(&NAMED)
                .fault
                .to_string();
            for part in wanted {
                assert!(said.contains(part), "{status}: {said}");
            }
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn nothing_that_is_said_is_the_language_of_programs() {
        for step in [RequestStep::Describe, RequestStep::SetUp, RequestStep::Play] {
            for (status, access) in (400..600).flat_map(|status| {
                [LoginKnowledge::Unknown, LoginKnowledge::Untold, LoginKnowledge::Told]
                    .map(|access| (status, access))
            }) {
                let url = "rtsp://10.0.0.7/1".to_owned();
                let said = RequestRefusal { step, status, url, access, wants_datagrams: true }
                    .say(&NAMED)
                    .fault
                    .to_string();
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
