//! `CAMERA_…` and `GPIO_CAMERA_n_PIN`: the cameras and their contacts.
//!
//! A camera exists as soon as one of its variables is set.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use super::address;
use super::engine::{CameraEngine, DecodeMode};
use super::gpio::pin;
use super::login::{CameraLogin, Credentials};
use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::slot::{self, Candidate};
use super::tls::{Known, Trust};
use super::values::{boolean, choice, short};
use super::variables::{self, CAMERA_NUMBER_MAX, Whose};
use crate::model::CameraKey;

/// Farthest offset from the edge, milliseconds: what a group of pictures in memory can be expected to reach back.
const OFFSET_MS_MAX: i64 = 10_000;

/// Most instants kept of one trigger.
const OFFSETS_MAX: usize = 9;

/// Longest clip before or after the edge, milliseconds; both together are what a camera's memory may span.
const CLIP_MS_MAX: u64 = 30_000;

/// Farthest from the edge that the best picture is looked for, milliseconds: every frame of it is decoded.
const BEST_MS_MAX: u64 = 5_000;

/// Longest label, characters.
const LABEL_CHARS_MAX: usize = 64;

/// Words of `CAMERA_n_TRANSPORT`.
pub(super) const TRANSPORTS: &[(&str, Transport)] =
    &[("tcp", Transport::Tcp), ("udp", Transport::Udp), ("http", Transport::Http)];

/// One camera (`CAMERA_n_…`).
#[derive(Clone, Debug)]
pub struct CameraConfig {
    /// The `n` of its variables, from 1 to 16.
    pub number: u8,
    /// Its short name, `r<n>` unless `CAMERA_n_NAME` says otherwise; no other camera has it.
    pub key: CameraKey,
    /// Its name for people: Entry, Exit, Auxiliary, `Camera <n>`, or `CAMERA_n_LABEL`.
    pub label: String,
    /// Whether it is used; then it has a source.
    pub enabled: bool,
    /// Where its pictures come from; `None` only when it is disabled and has no address.
    pub source: Option<SourceConfig>,
    /// Which instants are kept of each trigger, in milliseconds from the edge: 1 to 9 of them, ascending, none twice.
    pub offsets_ms: Vec<i64>,
    /// What a clip of each trigger shows, if one is wanted.
    pub clip: Option<Around>,
    /// Where the best picture of each trigger is looked for, if one is wanted.
    pub best: Option<Around>,
    /// BCM number of its contact, if it has one; no other camera has it.
    pub pin: Option<u8>,
    /// How its pictures are decoded.
    pub engine: CameraEngine,
}

/// A stretch of time around an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// From its begin to the edge.
    pub before: Duration,
    /// From the edge to its end.
    pub after: Duration,
}

/// Where a camera's pictures come from.
#[derive(Clone, Debug)]
pub enum SourceConfig {
    /// A stream that is kept open.
    Rtsp(RtspConfig),
    /// Single pictures, asked for one by one.
    Snapshot(SnapshotConfig),
    /// Single pictures of a camera whose address comes while the program runs (`/streaming/setup-camera`).
    Slot(SlotConfig),
}

impl SourceConfig {
    /// The address, where it is written as one and not as a name.
    pub fn address(&self) -> Option<IpAddr> {
        let url = match self {
            Self::Rtsp(rtsp) => &rtsp.url,
            Self::Snapshot(snapshot) => &snapshot.url,
            Self::Slot(_) => return None,
        };
        url.host_str()?.trim_matches(['[', ']']).parse().ok()
    }
}

/// A camera whose address comes while the program runs. It is told no password: whoever names the address could be the
/// one who asks for it.
#[derive(Clone, Debug)]
pub struct SlotConfig {
    /// How many pictures are asked for and thrown away before one counts.
    pub flush: Flush,
}

/// A camera that serves single JPEG pictures over HTTP.
#[derive(Clone, Debug)]
pub struct SnapshotConfig {
    /// `http` or `https`, without user name and password. Path or query may still hold a secret: print it with
    /// [`shown_url`](super::shown_url).
    pub url: Url,
    /// What to answer when the camera asks who we are.
    pub credentials: Option<Credentials>,
    /// How many pictures are asked for and thrown away before one counts.
    pub flush: Flush,
    /// Whether the camera's certificate is looked at; of no meaning without TLS.
    pub verify: bool,
    /// How it is known.
    pub trust: Trust,
    /// Whether a redirect to the same host is followed.
    pub follows: bool,
}

/// How many pictures of a request are thrown away, because the camera took them before it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// As many as its answers show to be needed.
    Auto,
    /// So many, 0 to 3.
    Fixed(u8),
}

/// An RTSP stream.
#[derive(Clone, Debug)]
pub struct RtspConfig {
    /// Without user name and password. Path or query may still hold a secret: print it with
    /// [`shown_url`](super::shown_url).
    pub url: Url,
    /// What to answer when the camera asks who we are.
    pub credentials: Option<Credentials>,
    /// How RTP travels.
    pub transport: Transport,
    /// How the camera's certificate is known; of no meaning without TLS.
    pub trust: Trust,
}

impl RtspConfig {
    /// Whether the connection is secured (`rtsps://`).
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "rtsps"
    }

    /// Where the camera listens: what the address says, else 554 (RFC 2326), 322 with TLS (IANA), or the ports of HTTP.
    pub fn port(&self) -> u16 {
        self.url.port().unwrap_or(match (self.transport, self.is_tls()) {
            (Transport::Http, true) => 443,
            (Transport::Http, false) => 80,
            (Transport::Tcp | Transport::Udp, true) => 322,
            (Transport::Tcp | Transport::Udp, false) => 554,
        })
    }
}

/// How RTP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Interleaved in the RTSP connection (RFC 2326 section 10.12).
    Tcp,
    /// In datagrams of its own.
    Udp,
    /// Interleaved, and all of it inside two HTTP connections, for what stands between us and lets nothing else pass.
    Http,
}

/// Names and pins that are given away, and to whom.
#[derive(Default)]
struct Taken {
    keys: BTreeMap<CameraKey, u8>,
    pins: BTreeMap<u8, u8>,
    /// The camera whose address comes while the program runs.
    slot: Option<u8>,
}

/// Reads all cameras, in the order of their numbers.
pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Vec<CameraConfig>> {
    let common = (CameraLogin::read(reader, "CAMERA_"), Known::read_common(reader));
    let mut taken = Taken::default();
    let mut cameras = Ok(Vec::new());
    for number in 1..=CAMERA_NUMBER_MAX {
        if !exists(reader, number) {
            warn_of_idle_pin(reader, number);
            continue;
        }
        match (read_one(reader, number, &common, &mut taken, false), &mut cameras) {
            (Ok(camera), Ok(cameras)) => cameras.push(camera),
            (Err(reported), cameras) => *cameras = Err(reported),
            (Ok(_), Err(_)) => {}
        }
    }
    let mut cameras = cameras?;
    let is_used = |number| cameras.iter().any(|camera: &CameraConfig| camera.number == number);
    if let Some(number) = slot::added(reader, is_used).filter(|_| taken.slot.is_none()) {
        cameras.push(read_one(reader, number, &common, &mut taken, true)?);
        cameras.sort_by_key(|camera| camera.number);
    }
    refuse_unknown_hints(reader, &cameras)?;
    Ok(cameras)
}

fn refuse_unknown_hints(reader: &mut VariableReader<'_>, cameras: &[CameraConfig]) -> ReadResult<()> {
    let mut checked = Ok(());
    for camera in cameras {
        for key in &camera.engine.armed_by {
            if !cameras.iter().any(|other| other.key == *key) {
                let wrong = Wrong::new(format!("there is no camera {key}"), "short names of cameras");
                let name = format!("CAMERA_{}_ARMED_BY", camera.number);
                checked = Err(reader.refuse(&name, &wrong));
            }
        }
    }
    checked
}

fn exists(reader: &VariableReader<'_>, number: u8) -> bool {
    reader.env().names().any(|name| {
        variables::find(name).is_some_and(|(variable, found)| {
            variable.name.starts_with("CAMERA_n_") && found == Whose::Camera(u32::from(number))
        })
    })
}

fn warn_of_idle_pin(reader: &mut VariableReader<'_>, number: u8) {
    let name = format!("GPIO_CAMERA_{number}_PIN");
    if let Ok(Some(Some(_))) = reader.optional(&name, pin) {
        reader.warn(&name, format_args!("there is no camera {number}, so its contact is not watched"));
    }
}

fn read_one(
    reader: &mut VariableReader<'_>,
    number: u8,
    (login, known): &(CameraLogin, Known),
    taken: &mut Taken,
    is_added: bool,
) -> ReadResult<CameraConfig> {
    let name = |suffix: &str| format!("CAMERA_{number}_{suffix}");
    let stream = reader.optional(&name("RTSP"), address::rtsp);
    let host = reader.optional(&name("IP"), address::from_host);
    let snapshot = reader.optional(&name("SNAPSHOT_URL"), address::snapshot);
    let flush = reader.required(&name("SNAPSHOT_FLUSH"), flush);
    let verify = reader.required(&name("SNAPSHOT_VERIFY"), boolean);
    let enabled = reader.optional(&name("ENABLED"), boolean);
    let key = read_key(reader, number, &mut taken.keys, is_added);
    let label = if is_added {
        Ok("Stream".to_owned())
    } else {
        reader.required(&name("LABEL"), short(LABEL_CHARS_MAX))
    };
    let own = CameraLogin::read(reader, &name(""));
    let transport = reader.required(&name("TRANSPORT"), transport);
    let certificate = Known::read(reader, number);
    let offsets_ms = reader.required(&name("OFFSETS_MS"), offsets);
    let clip = reader.optional(&name("CLIP_MS"), around(CLIP_MS_MAX));
    let best = reader.optional(&name("BEST_MS"), around(BEST_MS_MAX));
    let pin = read_pin(reader, number, &mut taken.pins);
    let engine = CameraEngine::read(reader, number);

    // An address that is wrong has been reported; it must not be called missing, too.
    let (stream, host, snapshot) = (stream?, host?, snapshot?);
    let has_address = snapshot.is_some() || stream.is_some() || host.is_some();
    let candidate = Candidate { number, key: key.as_ref().ok(), has_address, is_added };
    let slot = slot::read(reader, &candidate, &mut taken.slot)?;
    let is_snapshot = snapshot.is_some() || slot;
    if snapshot.is_some() && stream.is_some() {
        let text = format!("not used, because {} is set, too; empty one of them", name("SNAPSHOT_URL"));
        reader.warn(&name("RTSP"), text);
    }
    let address = snapshot.or(stream).or(host);
    let enabled = enabled?.unwrap_or(address.is_some() || slot);
    if enabled && address.is_none() && !slot {
        let accepted = format!(
            "an address in CAMERA_{number}_RTSP, CAMERA_{number}_IP or CAMERA_{number}_SNAPSHOT_URL beside it, or false"
        );
        return Err(reader.refuse(&name("ENABLED"), &Wrong::new("the camera has no address", accepted)));
    }
    let offsets_ms = offsets_ms?;
    if is_snapshot && offsets_ms.iter().any(|ms| *ms < 0) {
        let what = "a camera that is asked for single pictures cannot show an instant before the edge";
        let accepted =
            format!("numbers from 0 to {OFFSET_MS_MAX}; for the time before, CAMERA_{number}_RTSP");
        return Err(reader.refuse(&name("OFFSETS_MS"), &Wrong::new(what, accepted)));
    }
    let mut engine = engine?;
    if is_snapshot && engine.mode != DecodeMode::Cold {
        let text = "not used: a camera that is asked for single pictures has no stream to decode";
        reader.warn(&name("MODE"), text);
        (engine.mode, engine.armed_by) = (DecodeMode::Cold, Vec::new());
    }
    let (transport, flush, mut verify) = (transport?, flush?, verify?);
    let source = match address {
        None if slot => {
            if own.is_set() {
                let text = "not used: whoever may set the camera up says where it is, and could have it told the password";
                reader.warn(&name("USERNAME"), text);
            }
            Some(SourceConfig::Slot(SlotConfig { flush }))
        }
        None => None,
        Some(address) => {
            let is_tls = matches!(address.url.scheme(), "rtsps" | "https");
            let trust = certificate.trust(reader, number, is_tls, known);
            let credentials = own.credentials(reader, number, &address, login)?;
            let (url, trust) = (address.url, trust?);
            if is_snapshot && !verify && matches!(trust, Trust::Pinned(_)) {
                let text = format!("not used, because {} is set, too", name("TLS_FINGERPRINT"));
                reader.warn(&name("SNAPSHOT_VERIFY"), text);
                verify = true;
            }
            Some(if is_snapshot {
                SourceConfig::Snapshot(SnapshotConfig {
                    url,
                    credentials,
                    flush,
                    verify,
                    trust,
                    follows: true,
                })
            } else {
                if is_tls && transport == Transport::Udp {
                    return Err(reader.refuse(&name("TRANSPORT"), &udp_over_tls()));
                }
                SourceConfig::Rtsp(RtspConfig { url, credentials, transport, trust })
            })
        }
    };
    Ok(CameraConfig {
        number,
        key: key?,
        label: label?,
        enabled,
        source,
        offsets_ms,
        clip: clip?,
        best: best?,
        pin: pin?,
        engine,
    })
}

/// Reads `CAMERA_n_TRANSPORT`.
fn transport(text: &str) -> Result<Transport, Wrong> {
    choice(TRANSPORTS)(text).map_err(|wrong| match text.to_ascii_lowercase().as_str() {
        "multicast" | "udp_multicast" | "udp-mcast" => Wrong::new(
            "multicast is not read by this version; every camera that has it gives the stream to one reader, too",
            wrong.accepted,
        ),
        _ => wrong,
    })
}

/// Datagrams beside a secured connection would have to be secured themselves.
fn udp_over_tls() -> Wrong {
    Wrong::new(
        "the address begins with rtsps://, and datagrams cannot be secured by this version (SRTP)",
        "tcp, or an address that begins with rtsp://",
    )
}

/// Reads `CAMERA_n_SNAPSHOT_FLUSH`.
fn flush(text: &str) -> Result<Flush, Wrong> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(Flush::Auto),
        "0" => Ok(Flush::Fixed(0)),
        "1" => Ok(Flush::Fixed(1)),
        "2" => Ok(Flush::Fixed(2)),
        "3" => Ok(Flush::Fixed(3)),
        _ => Err(Wrong::new("not a number of pictures to throw away", "auto, 0, 1, 2 or 3")),
    }
}

fn read_key(
    reader: &mut VariableReader<'_>,
    number: u8,
    keys: &mut BTreeMap<CameraKey, u8>,
    is_added: bool,
) -> ReadResult<CameraKey> {
    let name = format!("CAMERA_{number}_NAME");
    let parse = |text: &str| {
        CameraKey::parse(text).map_err(|invalid| Wrong::new("not a short name", invalid.to_string()))
    };
    let own = CameraKey::parse(slot::NAME).ok().filter(|own| is_added && !keys.contains_key(own));
    let key = match own {
        Some(own) => own,
        None => reader.required(&name, parse)?,
    };
    match keys.insert(key.clone(), number) {
        None => Ok(key),
        Some(other) => {
            let what = format!("{key} is the name of camera {other} already");
            Err(reader.refuse(&name, &Wrong::new(what, "a name no other camera has")))
        }
    }
}

fn read_pin(
    reader: &mut VariableReader<'_>,
    number: u8,
    pins: &mut BTreeMap<u8, u8>,
) -> ReadResult<Option<u8>> {
    let name = format!("GPIO_CAMERA_{number}_PIN");
    let Some(pin) = reader.with_default(&name, pin)?.flatten() else { return Ok(None) };
    match pins.insert(pin, number) {
        None => Ok(Some(pin)),
        Some(other) => {
            let what = format!("{pin} is the pin of camera {other} already");
            Err(reader.refuse(&name, &Wrong::new(what, "a pin no other camera has, or none for one of them")))
        }
    }
}

/// Reads `CAMERA_n_OFFSETS_MS`: sorts, drops doubles.
fn offsets(text: &str) -> Result<Vec<i64>, Wrong> {
    let accepted = "up to 9 whole numbers from -10000 to 10000, comma separated, such as -400,0,400";
    let mut offsets = Vec::new();
    for item in text.split(',') {
        let offset: i64 =
            item.trim().parse().map_err(|_| Wrong::new("not a list of whole numbers", accepted))?;
        if !(-OFFSET_MS_MAX..=OFFSET_MS_MAX).contains(&offset) {
            return Err(Wrong::new("out of range", accepted));
        }
        offsets.push(offset);
    }
    offsets.sort_unstable();
    offsets.dedup();
    if offsets.len() > OFFSETS_MAX {
        return Err(Wrong::new("too many instants", accepted));
    }
    Ok(offsets)
}

/// Reads `before,after` in milliseconds, not both of them nought.
fn around(max: u64) -> impl Fn(&str) -> Result<Around, Wrong> {
    move |text| {
        let accepted =
            || format!("two whole numbers from 0 to {max}, before and after the edge, such as 2000,1000");
        let (before, after) =
            text.split_once(',').ok_or_else(|| Wrong::new("not two numbers", accepted()))?;
        let milliseconds = |text: &str| match text.trim().parse::<u64>() {
            Ok(ms) if ms <= max => Ok(Duration::from_millis(ms)),
            Ok(_) => Err(Wrong::new("out of range", accepted())),
            Err(_) => Err(Wrong::new("not two whole numbers", accepted())),
        };
        let around = Around { before: milliseconds(before)?, after: milliseconds(after)? };
        if (around.before + around.after).is_zero() {
            return Err(Wrong::new("no time at all", accepted()));
        }
        Ok(around)
    }
}

#[cfg(test)]
#[path = "camera_tests.rs"]
mod tests;
