//! Why a front ended a conversation, and what people are told of it. Pure.

use std::io::ErrorKind;

use url::Url;

use super::description::{self, NoVideo};
use super::named::Named;
use super::refusal::RequestRefusal;
use super::wire;
use crate::config::shown_url;
use crate::model::foreign;
use crate::source::SourceError;
use crate::source::certificate::Trouble;

/// Why a conversation ended.
#[derive(Debug)]
pub enum FrontFault {
    /// The camera's name is not known.
    Name,
    /// No connection came about.
    Connect(std::io::Error),
    /// What came over the connection exceeds a bound, or is not RTSP.
    Wire(wire::WireExcess),
    /// A session description exceeds a bound.
    Description(description::DescriptionExcess),
    /// A session description is of no use.
    NoVideo(NoVideo),
    /// A page of the web came where a description was asked for.
    Page,
    /// The camera refused a request.
    Refused(RequestRefusal),
    /// The camera sends to everybody on the network.
    Multicast,
    /// The camera sends datagrams although the connection was asked for.
    DatagramsOnly,
    /// Datagrams were promised, and none came.
    NoDatagrams,
    /// The camera closed the connection when it was told user name and password, and never took them before.
    ClosedAfterLogin,
    /// The camera says that the stream is there; it may be empty.
    Elsewhere(String),
    /// A status that RTSP does not have.
    Status(u16),
    /// So many bytes came before any video was promised.
    Opening(usize),
    /// So many bytes came, and not one whole picture.
    Picture(usize),
    /// A message was begun and not ended for so many seconds.
    Slow(u64),
    /// More requests and stray answers than a camera has reason for.
    Talk,
    /// More packets that are no video than anything can send in earnest.
    Flood,
    /// More pictures than this in a second.
    Pictures(u32),
    /// The camera closed the connection.
    Closed {
        /// After it had promised video.
        is_playing: bool,
    },
    /// The connection broke.
    Broken(std::io::Error),
    /// The connection was not secured.
    Tls(Trouble),
    /// The camera does not take RTSP inside HTTP: it answered with this status, or with no HTTP.
    Tunnel(Option<u16>),
    /// Something on this machine did not work.
    Own(std::io::Error),
}

/// Of an address that a camera names so many characters are shown.
const PLACE_MAX: usize = 120;

/// Of the name of a codec so many. The longest registered ones have 20.
const CODEC_MAX: usize = 40;

/// What to do with a camera that no honest firmware behaves like.
const DISTRUST: &str =
    "restart it and update its firmware; if it goes on, disconnect it: it may be broken or taken over";

impl FrontFault {
    /// Whether what was seen before it may still be read by the library: nothing in it was out of bounds.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::ClosedAfterLogin | Self::Broken(_))
    }

    /// What the operator reads. Who exceeds a bound is asked again after minutes only.
    pub fn say(&self, named: &Named<'_>) -> SourceError {
        let Named { address, host, number: n } = named;
        let message = match self {
            Self::Name => format!("the name {host} was not found; check CAMERA_{n}_IP or CAMERA_{n}_RTSP"),
            Self::Connect(error) => match error.kind() {
                ErrorKind::ConnectionRefused => format!(
                    "nothing listens at {address} (connection refused); is the camera's RTSP service switched on, and \
                     is the port right?"
                ),
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => format!(
                    "the camera at {address} cannot be reached: no route; check cable, power and address"
                ),
                ErrorKind::TimedOut => {
                    format!("the camera at {address} does not answer; check its power, cable and address")
                }
                _ => format!("cannot connect to the camera at {address}: {error}"),
            },
            Self::Wire(wire::WireExcess::Http) => format!(
                "the camera at {address} answers with HTTP: this is the port of its web pages; set the port of its RTSP \
                 service, often 554, in CAMERA_{n}_RTSP"
            ),
            Self::Wire(wire::WireExcess::Tls) => format!(
                "the camera at {address} wants an encrypted connection on this port; begin CAMERA_{n}_RTSP with \
                 rtsps:// instead of rtsp://"
            ),
            Self::Wire(wire::WireExcess::Slip) => format!(
                "the camera at {address} sends nothing but what cannot be read as RTSP any more; restart it, or set \
                 CAMERA_{n}_TRANSPORT to udp"
            ),
            Self::Wire(wire::WireExcess::Unknown) => format!(
                "the camera at {address} sent what cannot be read as RTSP; check the port in CAMERA_{n}_RTSP, and \
                 restart the camera"
            ),
            Self::Wire(wire::WireExcess::Length) => format!(
                "the camera at {address} sent an answer whose length is contradictory; restart it and update its firmware"
            ),
            Self::Wire(wire::WireExcess::Line) => format!(
                "the camera at {address} sent a line of more than {} kB where RTSP has short ones; {DISTRUST}",
                wire::LINE_MAX >> 10
            ),
            Self::Wire(wire::WireExcess::Head) => format!(
                "the camera at {address} sent headers without end (more than {} lines or {} kB); {DISTRUST}",
                wire::LINES_MAX,
                wire::HEAD_MAX >> 10
            ),
            Self::Wire(wire::WireExcess::Body(length)) => format!(
                "the camera at {address} announced an answer of {length} bytes, and {} kB are the limit; {DISTRUST}",
                wire::BODY_MAX >> 10
            ),
            Self::Description(description::DescriptionExcess::Media(count)) => format!(
                "the camera at {address} describes {count} media, and {} are the limit; {DISTRUST}",
                description::MEDIA_MAX
            ),
            Self::Description(description::DescriptionExcess::Lines) => format!(
                "the camera at {address} describes its stream in more than {} lines; {DISTRUST}",
                description::LINES_MAX
            ),
            Self::NoVideo(NoVideo::Nothing) => format!(
                "the camera at {address} offers nothing at this path; check path and channel in CAMERA_{n}_RTSP"
            ),
            Self::NoVideo(NoVideo::Other) => format!(
                "the camera at {address} offers no video at this path, only sound or data; check path and channel in \
                 CAMERA_{n}_RTSP, and switch the video on in the camera"
            ),
            Self::NoVideo(NoVideo::Codec(codec)) => format!(
                "the camera at {address} sends {}, which is not one of H.264, H.265 and JPEG; set the camera's video \
                 encoding to H.264, or use its sub-stream in CAMERA_{n}_RTSP",
                codec_name(codec)
            ),
            Self::Page => format!(
                "the camera at {address} answers with a web page instead of its stream; check port and path in \
                 CAMERA_{n}_RTSP"
            ),
            Self::Refused(refusal) => return refusal.say(named),
            Self::Multicast => format!(
                "the camera at {address} sends its video to everybody on the network (multicast), which is not \
                 received; switch multicast off in the camera, or set CAMERA_{n}_TRANSPORT to tcp"
            ),
            Self::DatagramsOnly => format!(
                "the camera at {address} sends its video only as datagrams; set CAMERA_{n}_TRANSPORT to udp"
            ),
            Self::NoDatagrams => format!(
                "the camera at {address} promised video, but none of its datagrams (UDP) arrives: a firewall or router \
                 between may drop them; set CAMERA_{n}_TRANSPORT to tcp"
            ),
            Self::ClosedAfterLogin => format!(
                "the camera at {address} closed the connection when it was told the user name and password; they may be \
                 wrong, or its account be locked: check CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD; it is asked again \
                 after minutes only"
            ),
            Self::Elsewhere(place) => {
                // It may name a user and a password.
                let place = Url::parse(place).map_or_else(|_| String::new(), |url| shown_url(&url));
                let place = match foreign::line(&place, PLACE_MAX) {
                    place if place.is_empty() => "another address and does not say where".to_owned(),
                    place => place,
                };
                format!(
                    "the camera at {address} sends us to {place}, which is not followed; if that is its stream, set \
                     CAMERA_{n}_RTSP to it"
                )
            }
            Self::Status(status) => format!(
                "the camera at {address} answered with status {status}, which RTSP does not have; restart it and update \
                 its firmware"
            ),
            Self::Opening(bytes) => format!(
                "the camera at {address} sent {} MB before it was asked for video; {DISTRUST}",
                bytes >> 20
            ),
            Self::Picture(bytes) => format!(
                "the camera at {address} sent {} MB without completing one picture; set its video encoding to H.264 \
                 with a bit rate it can keep, or {DISTRUST}",
                bytes >> 20
            ),
            Self::Slow(seconds) => format!(
                "the camera at {address} began an answer and did not end it within {seconds} s; check the network to \
                 it, and restart it"
            ),
            Self::Talk => {
                format!(
                    "the camera at {address} keeps sending RTSP messages that nobody asked for; {DISTRUST}"
                )
            }
            Self::Pictures(rate) => format!(
                "the camera at {address} sends more than {rate} pictures a second; lower its frame rate, or {DISTRUST}"
            ),
            Self::Flood => {
                format!(
                    "the camera at {address} floods the connection with packets that are no video; {DISTRUST}"
                )
            }
            Self::Closed { is_playing: true } => format!("the camera at {address} closed the connection"),
            Self::Closed { is_playing: false } => format!(
                "the camera at {address} closed the connection before it gave video; it may be starting, have no \
                 session free, or have locked us out for a while; it is asked again"
            ),
            Self::Broken(error) => {
                let why = match error.kind() {
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                        "the camera broke it off".to_owned()
                    }
                    ErrorKind::TimedOut => "it does not answer any more".to_owned(),
                    _ => error.to_string(),
                };
                format!("the connection to the camera at {address} broke: {why}; check its power and cable")
            }
            Self::Tls(trouble) => return trouble.say(address, *n, &format!("CAMERA_{n}_RTSP"), "rtsp"),
            Self::Tunnel(Some(401)) => format!(
                "the camera at {address} refused the user name or password for RTSP over HTTP (status 401); check \
                 CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, or set CAMERA_{n}_TRANSPORT to tcp"
            ),
            Self::Tunnel(status) => {
                let said = status.map_or("no answer of HTTP".to_owned(), |status| format!("status {status}"));
                format!(
                    "the camera at {address} does not take RTSP over HTTP here ({said}); set CAMERA_{n}_TRANSPORT to tcp, \
                     and the port of its RTSP service in CAMERA_{n}_RTSP"
                )
            }
            Self::Own(error) => {
                format!("cannot prepare a connection to the camera at {address} on this machine: {error}")
            }
        };
        SourceError { message, is_refusal: self.is_out_of_bounds() }
    }

    /// Whether asking again soon is of no use or does harm.
    fn is_out_of_bounds(&self) -> bool {
        match self {
            Self::Wire(excess) => {
                matches!(excess, wire::WireExcess::Line | wire::WireExcess::Head | wire::WireExcess::Body(_))
            }
            // The video is chosen in the camera's settings, and tried log-ins lock accounts.
            Self::NoVideo(NoVideo::Other | NoVideo::Codec(_)) | Self::ClosedAfterLogin => true,
            Self::Tls(trouble) => trouble.is_refusal(),
            // A wrong password locks the account.
            Self::Tunnel(Some(401)) => true,
            Self::Description(_)
            | Self::Opening(_)
            | Self::Picture(_)
            | Self::Talk
            | Self::Flood
            | Self::Pictures(_) => true,
            Self::Name
            | Self::Connect(_)
            | Self::NoVideo(NoVideo::Nothing)
            | Self::Page
            | Self::Refused(_)
            | Self::Multicast
            | Self::DatagramsOnly
            | Self::NoDatagrams
            | Self::Elsewhere(_)
            | Self::Status(_)
            | Self::Slow(_)
            | Self::Closed { .. }
            | Self::Broken(_)
            | Self::Tunnel(_)
            | Self::Own(_) => false,
        }
    }
}

/// The name of an encoding, for people; it is foreign.
fn codec_name(encoding: &str) -> String {
    let name = foreign::line(&encoding.to_uppercase(), CODEC_MAX);
    match name.as_str() {
        "" => "video of a kind that it does not name".to_owned(),
        "MP4V-ES" => "MP4V-ES (MPEG-4)".to_owned(),
        "MPV" => "MPV (MPEG-2)".to_owned(),
        "MP2T" => "MP2T (an MPEG transport stream)".to_owned(),
        "H266" => "H.266".to_owned(),
        _ => name,
    }
}
