//! Why a camera gives no pictures.

use std::fmt;

use super::camera_tls;
use crate::model::CameraFault;

/// What to do with a camera that no honest firmware behaves like.
const DISTRUST: &str =
    "restart it and update its firmware; if it goes on, disconnect it: it may be broken or taken over";

/// What to look at when no picture comes from an address of a single one.
fn is_it_a_picture(number: u64) -> String {
    format!("is CAMERA_{number}_SNAPSHOT_URL the address of a single JPEG picture?")
}

impl fmt::Display for CameraFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Connecting { address } => write!(f, "the camera at {address} is still being connected"),
            Self::NameUnknown { host, number: n, snapshot: false } => {
                write!(f, "the name {host} was not found; check CAMERA_{n}_IP or CAMERA_{n}_RTSP")
            }
            Self::NameUnknown { host, number: n, snapshot: true } => {
                write!(f, "the name {host} was not found; check CAMERA_{n}_SNAPSHOT_URL")
            }
            Self::OffLimits { reason } => write!(
                f,
                "the camera must not be contacted where it was set up: {reason}; set it up anew with \
                 POST /streaming/setup-camera"
            ),
            Self::NothingListens { address, snapshot } => {
                let service = if *snapshot { "web server" } else { "RTSP service" };
                write!(
                    f,
                    "nothing listens at {address} (connection refused); is the camera's {service} switched on, and is the \
                     port right?"
                )
            }
            Self::NoRoute { address } => write!(
                f,
                "the camera at {address} cannot be reached: no route; check cable, power and address"
            ),
            Self::NoAnswer { address, seconds: None } => {
                write!(f, "the camera at {address} does not answer; check its power, cable and address")
            }
            Self::NoAnswer { address, seconds: Some(seconds) } => write!(
                f,
                "the camera at {address} does not answer (tried for {seconds} s); check its power, cable and address"
            ),
            Self::NoWebAnswer { address, seconds, is_tls } => {
                let or_tls = if *is_tls { ", and whether it speaks TLS" } else { "" };
                write!(
                    f,
                    "the camera at {address} does not answer (tried for {seconds} s); check its power, cable or Wi-Fi, and \
                     address{or_tls}"
                )
            }
            Self::NoConnection { address, error, snapshot: false } => {
                write!(f, "cannot connect to the camera at {address}: {error}")
            }
            Self::NoConnection { address, error, snapshot: true } => {
                write!(f, "no connection with the camera at {address}: {error}")
            }
            Self::MachineFault { address, error } => {
                write!(f, "cannot prepare a connection to the camera at {address} on this machine: {error}")
            }
            Self::NoTlsClient { error } => {
                write!(f, "no secure connection can be made on this machine: {error}")
            }
            Self::ConnectionBroke { address, error, is_silent } => {
                let why = match (error, is_silent) {
                    (_, true) => "it does not answer any more",
                    (Some(error), false) => error,
                    (None, false) => "the camera broke it off",
                };
                write!(f, "the connection to the camera at {address} broke: {why}; check its power and cable")
            }
            Self::Closed { address } => write!(f, "the camera at {address} closed the connection"),
            Self::ClosedEarly { address } => write!(
                f,
                "the camera at {address} closed the connection before it gave video; it may be starting, have no session \
                 free, or have locked us out for a while; it is asked again"
            ),
            Self::ClosedAfterLogin { address, number: n } => write!(
                f,
                "the camera at {address} closed the connection when it was told the user name and password; they may be \
                 wrong, or its account be locked: check CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD; it is asked again after \
                 minutes only"
            ),
            Self::TooSlow { address, seconds, next } => write!(
                f,
                "the camera at {address} accepts connections but gave no video within {seconds} s; it gets {next} s the next \
                 time; if this goes on, restart it"
            ),
            Self::AnswerStalled { address, seconds } => write!(
                f,
                "the camera at {address} began an answer and did not end it within {seconds} s; check the network to it, and \
                 restart it"
            ),
            Self::SessionFailed { address } => write!(
                f,
                "the session with the camera at {address} could not be opened; it is tried again; if this goes on, restart \
                 the camera and update its firmware"
            ),

            Self::LoginMissing { address, number: n, kinds } => {
                let kinds = kinds.as_ref().map(|kinds| format!(" ({kinds})")).unwrap_or_default();
                write!(
                    f,
                    "the camera at {address} wants a user name and password{kinds}; set CAMERA_{n}_USERNAME and \
                     CAMERA_{n}_PASSWORD"
                )
            }
            Self::LoginRefused { address, number: n, kinds } => {
                let kinds = kinds.as_ref().map(|kinds| format!("{kinds}, ")).unwrap_or_default();
                write!(
                    f,
                    "the camera at {address} refused the user name or password ({kinds}status 401); check CAMERA_{n}_USERNAME \
                     and CAMERA_{n}_PASSWORD, or CAMERA_USERNAME and CAMERA_PASSWORD"
                )
            }
            Self::TunnelLoginRefused { address, number: n } => write!(
                f,
                "the camera at {address} refused the user name or password for RTSP over HTTP (status 401); check \
                 CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, or set CAMERA_{n}_TRANSPORT to tcp"
            ),
            Self::LoginUnsaid { address, number: n } => write!(
                f,
                "the camera at {address} refused us and does not say which log-in it wants; its account may be locked for \
                 some minutes: check CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, and set its RTSP log-in to digest or basic"
            ),
            Self::LoginStrange { address, kinds } => write!(
                f,
                "the camera at {address} wants a log-in of a kind that is not known here ({kinds}); set it to digest or basic"
            ),
            Self::StreamForbidden { address, number: n } => write!(
                f,
                "the camera at {address} forbids this stream (status 403); set CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, \
                 or allow it in the camera's settings"
            ),
            Self::UserForbidden { address, number: n } => write!(
                f,
                "the camera at {address} refused the user name or password, or its user may not see this stream (status \
                 403); check CAMERA_{n}_USERNAME and CAMERA_{n}_PASSWORD, and the rights of that user"
            ),
            Self::PictureForbidden { address, number: n } => write!(
                f,
                "the camera at {address} forbids this picture (status 403); check the rights of its user, and \
                 CAMERA_{n}_SNAPSHOT_URL"
            ),

            Self::NoStream { address, number: n, url, status } => write!(
                f,
                "the camera at {address} has no stream at {url} (status {status}); check path and channel in CAMERA_{n}_RTSP"
            ),
            Self::NoSession { address } => write!(
                f,
                "the camera at {address} has no session or bandwidth left for us (status 453): too many programs watch it; \
                 close one, or let the camera allow more; it is asked again"
            ),
            Self::TransportRefused { address, number: n, transport } => write!(
                f,
                "the camera at {address} refused this transport; set CAMERA_{n}_TRANSPORT to {transport}"
            ),
            Self::Busy { address, status } => write!(
                f,
                "the camera at {address} is starting or busy (status {status}); it is asked again; if this goes on, restart \
                 it"
            ),
            Self::VersionUnknown { address, number: n } => write!(
                f,
                "the camera at {address} speaks another version of RTSP (status 505); update its firmware, or check the port \
                 in CAMERA_{n}_RTSP"
            ),
            Self::DescribeRefused { address, number: n, url, status } => write!(
                f,
                "the camera at {address} refused the request for {url} (status {status}); check path and channel in \
                 CAMERA_{n}_RTSP, and restart the camera if they are right"
            ),
            Self::SetupRefused { address, number: n, transport, status } => write!(
                f,
                "the camera at {address} refused to set up its video (status {status}); set CAMERA_{n}_TRANSPORT to \
                 {transport}, or use another stream of it in CAMERA_{n}_RTSP"
            ),
            Self::PlayRefused { address, number: n, status } => write!(
                f,
                "the camera at {address} refused to send its video (status {status}); restart it, or use another stream of \
                 it in CAMERA_{n}_RTSP"
            ),
            Self::StatusUnknown { address, status } => write!(
                f,
                "the camera at {address} answered with status {status}, which RTSP does not have; restart it and update its \
                 firmware"
            ),
            Self::TunnelRefused { address, number: n, status } => {
                let said = status.map_or("no answer of HTTP".to_owned(), |status| format!("status {status}"));
                write!(
                    f,
                    "the camera at {address} does not take RTSP over HTTP here ({said}); set CAMERA_{n}_TRANSPORT to tcp, \
                     and the port of its RTSP service in CAMERA_{n}_RTSP"
                )
            }
            Self::StreamElsewhere { address, number: n, to } => {
                let to = to.as_deref().unwrap_or("another address and does not say where");
                write!(
                    f,
                    "the camera at {address} sends us to {to}, which is not followed; if that is its stream, set \
                     CAMERA_{n}_RTSP to it"
                )
            }

            Self::PortIsHttp { address, number: n } => write!(
                f,
                "the camera at {address} answers with HTTP: this is the port of its web pages; set the port of its RTSP \
                 service, often 554, in CAMERA_{n}_RTSP"
            ),
            Self::PortIsTls { address, number: n } => write!(
                f,
                "the camera at {address} wants an encrypted connection on this port; begin CAMERA_{n}_RTSP with rtsps:// \
                 instead of rtsp://"
            ),
            Self::StreamGarbled { address, number: n } => write!(
                f,
                "the camera at {address} sends nothing but what cannot be read as RTSP any more; restart it, or set \
                 CAMERA_{n}_TRANSPORT to udp"
            ),
            Self::NotRtsp { address, number: n } => write!(
                f,
                "the camera at {address} sent what cannot be read as RTSP; check the port in CAMERA_{n}_RTSP, and restart \
                 the camera"
            ),
            Self::WebPage { address, number: n } => write!(
                f,
                "the camera at {address} answers with a web page instead of its stream; check port and path in \
                 CAMERA_{n}_RTSP"
            ),
            Self::LengthContradictory { address } => write!(
                f,
                "the camera at {address} sent an answer whose length is contradictory; restart it and update its firmware"
            ),
            Self::LineTooLong { address, most_kb } => write!(
                f,
                "the camera at {address} sent a line of more than {most_kb} kB where RTSP has short ones; {DISTRUST}"
            ),
            Self::HeadersTooLong { address, most, most_kb } => write!(
                f,
                "the camera at {address} sent headers without end (more than {most} lines or {most_kb} kB); {DISTRUST}"
            ),
            Self::AnswerTooLong { address, bytes, most_kb } => write!(
                f,
                "the camera at {address} announced an answer of {bytes} bytes, and {most_kb} kB are the limit; {DISTRUST}"
            ),
            Self::MediaTooMany { address, count, most } => {
                write!(
                    f,
                    "the camera at {address} describes {count} media, and {most} are the limit; {DISTRUST}"
                )
            }
            Self::DescriptionTooLong { address, most } => {
                write!(
                    f,
                    "the camera at {address} describes its stream in more than {most} lines; {DISTRUST}"
                )
            }
            Self::DataUnasked { address, megabytes } => {
                write!(
                    f,
                    "the camera at {address} sent {megabytes} MB before it was asked for video; {DISTRUST}"
                )
            }
            Self::PictureEndless { address, megabytes } => write!(
                f,
                "the camera at {address} sent {megabytes} MB without completing one picture; set its video encoding to H.264 \
                 with a bit rate it can keep, or {DISTRUST}"
            ),
            Self::MessagesUnasked { address } => write!(
                f,
                "the camera at {address} keeps sending RTSP messages that nobody asked for; {DISTRUST}"
            ),
            Self::PacketFlood { address } => write!(
                f,
                "the camera at {address} floods the connection with packets that are no video; {DISTRUST}"
            ),
            Self::PicturesTooMany { address, most } => write!(
                f,
                "the camera at {address} sends more than {most} pictures a second; lower its frame rate, or {DISTRUST}"
            ),

            Self::NothingOffered { address, number: n } => write!(
                f,
                "the camera at {address} offers nothing at this path; check path and channel in CAMERA_{n}_RTSP"
            ),
            Self::NoVideo { address, number: n } => write!(
                f,
                "the camera at {address} offers no video at this path, only sound or data; check path and channel in \
                 CAMERA_{n}_RTSP, and switch the video on in the camera"
            ),
            Self::CodecUnknown { address, number: n, codec } => {
                let codec = match codec.as_str() {
                    "" => "video of a kind that it does not name",
                    "MP4V-ES" => "MP4V-ES (MPEG-4)",
                    "MPV" => "MPV (MPEG-2)",
                    "MP2T" => "MP2T (an MPEG transport stream)",
                    "H266" => "H.266",
                    other => other,
                };
                write!(
                    f,
                    "the camera at {address} sends {codec}, which is not one of H.264, H.265 and JPEG; set the camera's \
                     video encoding to H.264, or use its sub-stream in CAMERA_{n}_RTSP"
                )
            }
            Self::Multicast { address, number: n } => write!(
                f,
                "the camera at {address} sends its video to everybody on the network (multicast), which is not received; \
                 switch multicast off in the camera, or set CAMERA_{n}_TRANSPORT to tcp"
            ),
            Self::DatagramsOnly { address, number: n } => write!(
                f,
                "the camera at {address} sends its video only as datagrams; set CAMERA_{n}_TRANSPORT to udp"
            ),
            Self::DatagramsLost { address, number: n } => write!(
                f,
                "the camera at {address} promised video, but none of its datagrams (UDP) arrives: a firewall or router \
                 between may drop them; set CAMERA_{n}_TRANSPORT to tcp"
            ),
            Self::NoPicture { address, seconds } => write!(
                f,
                "the camera at {address} is connected but has sent no picture for {seconds} s; if this goes on, restart it"
            ),
            Self::NoPictureSince { address } => {
                write!(f, "the camera at {address} has sent no picture since the trigger")
            }
            Self::NoFirstPicture { address, tenths } => write!(
                f,
                "the camera at {address} was connected {}.{} s ago and has sent no picture since",
                tenths / 10,
                tenths % 10
            ),
            Self::OnlyDamaged { address, seconds } => write!(
                f,
                "the camera at {address} has sent nothing but damaged pictures for {seconds} s; check the network to it, \
                 lower its bit rate, or restart it"
            ),
            Self::NoKeyframe { address, seconds, usual } => {
                let usually = match usual {
                    Some(usual) => format!(
                        ", and data was lost since; one comes every {usual} s, which is how long that takes to heal"
                    ),
                    None => String::new(),
                };
                write!(
                    f,
                    "the camera at {address} has sent no keyframe for {seconds} s{usually}; set its I-frame interval to its \
                     frame rate and switch off smart or \"plus\" encoding and intra refresh"
                )
            }
            Self::GroupTooLarge { address } => write!(
                f,
                "the pictures of the camera at {address} since its last keyframe take more memory than there is for them; \
                 set its I-frame interval to its frame rate, or lower its bit rate"
            ),
            Self::PictureTooLarge { address, number: n, error, snapshot: false } => write!(
                f,
                "the camera at {address} sends {error}; lower its resolution, or use its sub-stream in CAMERA_{n}_RTSP"
            ),
            Self::PictureTooLarge { address, number: n, error, snapshot: true } => write!(
                f,
                "the camera at {address} sends {error}; ask it for a smaller picture in CAMERA_{n}_SNAPSHOT_URL"
            ),
            Self::JpegSizeUnknown { address } => write!(
                f,
                "the camera at {address} sends JPEG pictures larger than 2040 pixels, which do not fit into RTP, and does \
                 not say their size; set its video encoding to H.264, or a smaller size"
            ),

            Self::CertificateUnknown { .. }
            | Self::CertificateChanged { .. }
            | Self::CertificateExpired { .. }
            | Self::CertificateTooNew { .. }
            | Self::CertificateOfOthers { .. }
            | Self::CertificateUnproven { .. }
            | Self::TlsMissing { .. }
            | Self::TlsTooOld { .. }
            | Self::TlsClientCertificate { .. }
            | Self::TlsClosed { .. }
            | Self::TlsSilent { .. }
            | Self::TlsFailed { .. } => camera_tls::say(self, f),

            Self::Redirected { address, number: n, to } => write!(
                f,
                "the camera at {address} redirects to {}, which is not followed; if that is the camera, set \
                 CAMERA_{n}_SNAPSHOT_URL to it",
                to.as_deref().unwrap_or("nowhere")
            ),
            Self::RedirectedInCircles { address, number: n, count } => write!(
                f,
                "the camera at {address} sent us round in circles ({count} requests without a picture); check \
                 CAMERA_{n}_SNAPSHOT_URL"
            ),
            Self::StreamOfPictures { address, number: n, kind } => write!(
                f,
                "the camera at {address} sends a stream of pictures ({kind}), and none of them was whole; set \
                 CAMERA_{n}_SNAPSHOT_URL to its address of a single one (on an ESP32-CAM http://…/capture)"
            ),
            Self::AnswerTooLarge { address, number: n, most_mib } => write!(
                f,
                "the answer of the camera at {address} is larger than {most_mib} MiB; is CAMERA_{n}_SNAPSHOT_URL the address \
                 of a single picture?"
            ),
            Self::NoSuchPicture { address, number: n, url } => write!(
                f,
                "the camera at {address} has no picture at {url} (status 404); check CAMERA_{n}_SNAPSHOT_URL"
            ),
            Self::CameraFailed { address, status } => write!(
                f,
                "the camera at {address} answered with status {status}: it is busy or its sensor failed; if this goes on, \
                 restart it"
            ),
            Self::Status { address, number: n, status } => write!(
                f,
                "the camera at {address} answered with status {status} instead of a picture; check CAMERA_{n}_SNAPSHOT_URL"
            ),
            Self::PictureBrokeOff { address, received, bytes } => {
                let of = bytes.map(|bytes| format!(" of {bytes}")).unwrap_or_default();
                write!(
                    f,
                    "the picture of the camera at {address} broke off after {received}{of} bytes; check its network and power \
                     supply"
                )
            }
            Self::PictureEmpty { address } => {
                write!(f, "the camera at {address} sent an empty picture; if this goes on, restart it")
            }
            Self::PageNotPicture { address, number, title } => {
                let title = title.as_ref().map(|title| format!(" (\"{title}\")")).unwrap_or_default();
                write!(
                    f,
                    "the camera at {address} sent a web page{title} instead of a picture; {}",
                    is_it_a_picture(*number)
                )
            }
            Self::PicturePacked { address } => write!(
                f,
                "the camera at {address} sends its picture packed (gzip), which was not asked for; switch off compression in \
                 its web server"
            ),
            Self::NotJpeg { address, number: n, format } => write!(
                f,
                "the camera at {address} sends {format} instead of JPEG; set its snapshots to JPEG, or \
                 CAMERA_{n}_SNAPSHOT_URL to the address of a JPEG picture"
            ),
            Self::NotPicture { address, number, kind } => {
                let kind = if kind.is_empty() { "something of no kind" } else { kind };
                write!(f, "the camera at {address} sent no JPEG but {kind}; {}", is_it_a_picture(*number))
            }
            Self::PictureCutOff { address, bytes } => write!(
                f,
                "the picture of the camera at {address} is cut off, or its Content-Length is wrong ({bytes} bytes without \
                 the end marker FF D9); check its network and power supply, or set a smaller picture"
            ),
            Self::PictureDamaged { address, bytes } => write!(
                f,
                "the picture of the camera at {address} is damaged ({bytes} bytes without a frame header); if this goes on, \
                 restart it"
            ),
            Self::NothingSent { address, seconds } => write!(
                f,
                "the camera at {address} accepts connections but has sent nothing for {seconds} s; if this goes on, restart \
                 it"
            ),
            Self::PictureTooSlow { address, bytes, seconds } => write!(
                f,
                "the camera at {address} sends its picture too slowly: {bytes} bytes, and not the rest within {seconds} s; \
                 check its network, or set a smaller picture"
            ),
            Self::BrokeBeforeAnswer { address, error } => write!(
                f,
                "the connection with the camera at {address} broke before an answer came: {error}; if this goes on, restart \
                 it"
            ),
            Self::PictureRepeated { address, count } => write!(
                f,
                "the camera at {address} gave the same picture {count} times: it is an old one, and was not kept; restart \
                 the camera, or ask its maker for an address that gives a new picture each time"
            ),
            Self::PicturesStale { address, count } => write!(
                f,
                "the camera at {address} gave {count} pictures that were all taken before they were asked for, and none was \
                 kept; set fb_count = 2 and grab_mode = CAMERA_GRAB_LATEST in its firmware"
            ),
        }
    }
}
