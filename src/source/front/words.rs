//! Why a front ended a conversation, and what people are told of it. Pure.

use std::io::ErrorKind;

use url::Url;

use super::description::{self, NoVideo};
use super::named::Named;
use super::refusal::RequestRefusal;
use super::wire;
use crate::config::shown_url;
use crate::model::{CameraFault, foreign};
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

impl FrontFault {
    /// Whether what was seen before it may still be read by the library: nothing in it was out of bounds.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::ClosedAfterLogin | Self::Broken(_))
    }

    /// What the operator reads. Who exceeds a bound is asked again after minutes only.
    pub fn say(&self, named: &Named<'_>) -> SourceError {
        let (address, number) = (named.address.to_owned(), u64::from(named.number));
        let fault = match self {
            Self::Name => CameraFault::NameUnknown { host: named.host.to_owned(), number, snapshot: false },
            Self::Connect(error) => match error.kind() {
                ErrorKind::ConnectionRefused => CameraFault::NothingListens { address, snapshot: false },
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
                    CameraFault::NoRoute { address }
                }
                ErrorKind::TimedOut => CameraFault::NoAnswer { address, seconds: None },
                _ => CameraFault::NoConnection { address, error: error.to_string(), snapshot: false },
            },
            Self::Wire(wire::WireExcess::Http) => CameraFault::PortIsHttp { address, number },
            Self::Wire(wire::WireExcess::Tls) => CameraFault::PortIsTls { address, number },
            Self::Wire(wire::WireExcess::Slip) => CameraFault::StreamGarbled { address, number },
            Self::Wire(wire::WireExcess::Unknown) => CameraFault::NotRtsp { address, number },
            Self::Wire(wire::WireExcess::Length) => CameraFault::LengthContradictory { address },
            Self::Wire(wire::WireExcess::Line) => {
                CameraFault::LineTooLong { address, most_kb: wire::LINE_MAX as u64 >> 10 }
            }
            Self::Wire(wire::WireExcess::Head) => CameraFault::HeadersTooLong {
                address,
                most: wire::LINES_MAX as u64,
                most_kb: wire::HEAD_MAX as u64 >> 10,
            },
            Self::Wire(wire::WireExcess::Body(length)) => {
                CameraFault::AnswerTooLong { address, bytes: *length, most_kb: wire::BODY_MAX as u64 >> 10 }
            }
            Self::Description(description::DescriptionExcess::Media(count)) => CameraFault::MediaTooMany {
                address,
                count: *count as u64,
                most: description::MEDIA_MAX as u64,
            },
            Self::Description(description::DescriptionExcess::Lines) => {
                CameraFault::DescriptionTooLong { address, most: description::LINES_MAX as u64 }
            }
            Self::NoVideo(NoVideo::Nothing) => CameraFault::NothingOffered { address, number },
            Self::NoVideo(NoVideo::Other) => CameraFault::NoVideo { address, number },
            Self::NoVideo(NoVideo::Codec(codec)) => {
                let codec = foreign::line(&codec.to_uppercase(), CODEC_MAX);
                CameraFault::CodecUnknown { address, number, codec }
            }
            Self::Page => CameraFault::WebPage { address, number },
            Self::Refused(refusal) => return refusal.say(named),
            Self::Multicast => CameraFault::Multicast { address, number },
            Self::DatagramsOnly => CameraFault::DatagramsOnly { address, number },
            Self::NoDatagrams => CameraFault::DatagramsLost { address, number },
            Self::ClosedAfterLogin => CameraFault::ClosedAfterLogin { address, number },
            Self::Elsewhere(place) => {
                // It may name a user and a password.
                let place = Url::parse(place).map_or_else(|_| String::new(), |url| shown_url(&url));
                let to = Some(foreign::line(&place, PLACE_MAX)).filter(|place| !place.is_empty());
                CameraFault::StreamElsewhere { address, number, to }
            }
            Self::Status(status) => CameraFault::StatusUnknown { address, status: *status },
            Self::Opening(bytes) => CameraFault::DataUnasked { address, megabytes: *bytes as u64 >> 20 },
            Self::Picture(bytes) => CameraFault::PictureEndless { address, megabytes: *bytes as u64 >> 20 },
            Self::Slow(seconds) => CameraFault::AnswerStalled { address, seconds: *seconds },
            Self::Talk => CameraFault::MessagesUnasked { address },
            Self::Pictures(rate) => CameraFault::PicturesTooMany { address, most: u64::from(*rate) },
            Self::Flood => CameraFault::PacketFlood { address },
            Self::Closed { is_playing: true } => CameraFault::Closed { address },
            Self::Closed { is_playing: false } => CameraFault::ClosedEarly { address },
            Self::Broken(error) => {
                let (error, is_silent) = match error.kind() {
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => (None, false),
                    ErrorKind::TimedOut => (None, true),
                    _ => (Some(error.to_string()), false),
                };
                CameraFault::ConnectionBroke { address, error, is_silent }
            }
            Self::Tls(trouble) => {
                let setting = format!("CAMERA_{number}_RTSP");
                return trouble.say(&address, named.number, &setting, "rtsp");
            }
            Self::Tunnel(Some(401)) => CameraFault::TunnelLoginRefused { address, number },
            Self::Tunnel(status) => CameraFault::TunnelRefused { address, number, status: *status },
            Self::Own(error) => CameraFault::MachineFault { address, error: error.to_string() },
        };
        SourceError { fault, is_refusal: self.is_out_of_bounds() }
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
