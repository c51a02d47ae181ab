//! The session description of a synthetic camera (RFC 4566, RFC 6184 section 8.2).

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use crate::demo::encoder::SyntheticCamera;
use crate::demo::rtp::PAYLOAD_TYPE;
use crate::model::foreign;

/// Longest name of a camera in its description, characters.
const LABEL_MAX: usize = 60;

/// Last part of the URL of a camera's only track.
pub(super) const TRACK: &str = "trackID=0";

/// The description in its text form.
pub(super) fn describe(camera: &SyntheticCamera) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    session(camera).write(&mut text)?;
    Ok(text)
}

fn session(camera: &SyntheticCamera) -> Session {
    let (nettype, addrtype) = ("IN".to_owned(), "IP4".to_owned());
    Session {
        origin: Origin {
            username: None,
            sess_id: "1".to_owned(),
            sess_version: 1,
            nettype: nettype.clone(),
            addrtype: addrtype.clone(),
            unicast_address: "127.0.0.1".to_owned(),
        },
        // A line break would begin a line of its own in the description.
        session_name: foreign::line(&camera.config.label, LABEL_MAX),
        session_description: None,
        uri: None,
        emails: Vec::new(),
        phones: Vec::new(),
        connection: Some(Connection { nettype, addrtype, connection_address: "0.0.0.0".to_owned() }),
        bandwidths: Vec::new(),
        times: vec![Time { start_time: 0, stop_time: 0, repeats: Vec::new() }],
        time_zones: Vec::new(),
        key: None,
        attributes: vec![attribute("control", "*"), attribute("range", "npt=now-")],
        medias: vec![media(camera)],
    }
}

fn media(camera: &SyntheticCamera) -> Media {
    let profile: String = camera.sps.iter().skip(1).take(3).map(|byte| format!("{byte:02X}")).collect();
    let format = format!(
        "{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={},{}",
        STANDARD.encode(&camera.sps),
        STANDARD.encode(&camera.pps)
    );
    Media {
        media: "video".to_owned(),
        port: 0,
        num_ports: None,
        proto: "RTP/AVP".to_owned(),
        fmt: PAYLOAD_TYPE.to_string(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: vec![
            attribute("rtpmap", &format!("{PAYLOAD_TYPE} H264/90000")),
            attribute("fmtp", &format),
            attribute("framerate", &camera.config.fps.to_string()),
            attribute("control", TRACK),
        ],
    }
}

fn attribute(name: &str, value: &str) -> Attribute {
    Attribute { attribute: name.to_owned(), value: Some(value.to_owned()) }
}
