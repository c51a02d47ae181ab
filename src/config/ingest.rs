//! `INGEST_…`, `COMPAT_PORT`, `FTP_…`: devices that bring their pictures themselves.
//!
//! A device exists as soon as one of its variables is set to something else than its default.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::Secret;
use super::camera::{CameraConfig, SourceConfig};
use super::ftp_tls::FtpTlsConfig;
use super::ingest_folder::FolderConfig;
use super::network::{Network, networks};
use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{boolean, short, size, whole};
use super::variables::{self, CAMERA_NUMBER_MAX, Whose};
use super::web::ip;
use crate::model::{CameraKey, DeviceName, InvalidKey};

/// Shortest token, characters: wrong ones are slowed down (`tries`), so that this many cannot be tried one by one.
const TOKEN_CHARS_MIN: usize = 8;

/// Characters of a token that is beyond guessing, however fast; a shorter one is warned about.
const TOKEN_CHARS_GOOD: usize = 16;

/// Longest token, user name or password, characters.
const CHARS_MAX: usize = 256;

/// Largest picture that is taken, bytes, as of one that a camera is asked for: it is in memory while it is checked.
const BYTES_MAX: u64 = 16 << 20;

/// Pixels of the largest picture: not so few that no camera has them, and not more than is taken of any.
const PIXELS: RangeInclusive<u64> = 10_000..=20_000_000;

/// Least number of passive ports: two transfers of a device and one that hangs.
const PASSIVE_PORTS_MIN: u16 = 4;

/// Everything that pictures come in by.
#[derive(Clone, Debug, Default)]
pub struct IngestConfig {
    /// In the order of their numbers; no two share a name, a token, a user or a network.
    pub devices: Vec<DeviceConfig>,
    /// `COMPAT_PORT`: a second port that serves only the routes of the older receivers.
    pub compat_port: Option<u16>,
    /// The FTP server; only there if it has a port and a device has a user for it.
    pub ftp: Option<FtpConfig>,
}

/// One device (`INGEST_n_…`).
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// The `n` of its variables, 1 to 16.
    pub number: u8,
    /// `INGEST_n_NAME`, or `device<n>`.
    pub name: DeviceName,
    /// `INGEST_n_CAMERA`: under which key its pictures are listed; without it under its own name.
    pub camera: Option<CameraKey>,
    /// `INGEST_n_TOKEN`: what it says as bearer token.
    pub token: Option<Secret<String>>,
    /// `INGEST_n_ADDRESS`: from here it need say nothing.
    pub addresses: Vec<Network>,
    /// `INGEST_n_USER` and `INGEST_n_PASSWORD`.
    pub ftp: Option<FtpLogin>,
    /// `INGEST_n_CLIPS_FOLDER`: where what it brings by FTP beside its pictures is kept; `None`: it is not.
    pub clips: Option<PathBuf>,
    /// `INGEST_n_FOLDER`: where another program puts its pictures.
    pub folder: Option<FolderConfig>,
    /// `INGEST_n_KEEP_NAME`: what it calls a picture is kept with it, and is the beginning of its name here.
    pub keeps_name: bool,
    /// `INGEST_n_MAX_BYTES`: largest picture, 1 KiB to 16 MiB.
    pub max_bytes: u64,
    /// `INGEST_n_MAX_PIXELS`: most pixels of a picture, 10 000 to 20 million.
    pub max_pixels: u64,
    /// `INGEST_n_PER_MINUTE`: most pictures a minute, 1 to 6000.
    pub per_minute: u32,
}

impl DeviceConfig {
    /// The key under which its pictures appear.
    pub fn key(&self) -> &CameraKey {
        self.camera.as_ref().unwrap_or_else(|| self.name.key())
    }
}

/// Who a device says it is to the FTP server.
#[derive(Clone, Debug)]
pub struct FtpLogin {
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret<String>,
}

/// The FTP server.
#[derive(Clone, Debug)]
pub struct FtpConfig {
    /// `FTP_IP`; `None`: the dashboard's.
    pub ip: Option<IpAddr>,
    /// `FTP_PORT`; 0 lets the kernel choose.
    pub port: u16,
    /// `FTP_PASSIVE_PORTS`: where data connections are awaited; `None`, written `any`, leaves it to the kernel.
    pub passive: Option<RangeInclusive<u16>>,
    /// Its certificate; without one nothing is encrypted.
    pub tls: Option<FtpTlsConfig>,
}

impl IngestConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let compat_port = reader.optional("COMPAT_PORT", port);
        let ftp_ip = reader.optional("FTP_IP", ip);
        let ftp_port = reader.optional("FTP_PORT", port);
        let passive = reader.required("FTP_PASSIVE_PORTS", ports);
        let tls = FtpTlsConfig::read(reader);
        let mut devices = Ok(Vec::new());
        for number in (1..=CAMERA_NUMBER_MAX).filter(|number| exists(reader, *number)).collect::<Vec<_>>() {
            match (DeviceConfig::read(reader, number), &mut devices) {
                (Ok(device), Ok(devices)) => devices.push(device),
                (Err(reported), devices) => *devices = Err(reported),
                (Ok(_), Err(_)) => {}
            }
        }
        let devices: Vec<DeviceConfig> = devices?;
        refuse_doubles(reader, &devices)?;
        let (ip, ftp_port, passive, tls) = (ftp_ip?, ftp_port?, passive?, tls?);
        let compat_port = compat_port?;
        if compat_port.is_some() && devices.is_empty() {
            reader.warn(
                "COMPAT_PORT",
                "no device may bring pictures yet; INGEST_1_TOKEN or INGEST_1_ADDRESS admits one",
            );
        }
        let user = devices.iter().find(|device| device.ftp.is_some()).map(|device| device.number);
        let ftp = match (ftp_port, user) {
            (Some(port), Some(_)) => Some(FtpConfig { ip, port, passive, tls }),
            (Some(_), None) => {
                reader.warn(
                    "FTP_PORT",
                    "no device may log in there yet, so nothing listens; INGEST_1_USER with INGEST_1_PASSWORD admits one",
                );
                None
            }
            (None, Some(number)) => {
                reader.warn(
                    &format!("INGEST_{number}_USER"),
                    "the FTP server is off, so this device cannot log in; FTP_PORT=2121 switches it on",
                );
                None
            }
            (None, None) => None,
        };
        Ok(Self { devices, compat_port, ftp })
    }

    /// All folders of devices, by the names of their variables.
    pub(super) fn folders(&self) -> impl Iterator<Item = (String, &Path)> {
        self.devices.iter().flat_map(|device| {
            let name = |suffix: &str| format!("INGEST_{}_{suffix}", device.number);
            let arriving = device.folder.as_ref().map(|folder| (name("FOLDER"), folder.path.as_path()));
            let clips = device.clips.as_deref().map(|path| (name("CLIPS_FOLDER"), path));
            arriving.into_iter().chain(clips)
        })
    }

    /// Says which devices stand for a camera that is not there. A device of a camera's name brings that camera's pictures.
    pub(super) fn check(&self, reader: &mut VariableReader<'_>, cameras: &[CameraConfig]) {
        for device in &self.devices {
            if let Some(key) = &device.camera
                && cameras.iter().all(|camera| camera.key != *key)
            {
                let words =
                    format!("there is no camera {key}; the pictures are listed under this name alone");
                reader.warn(&format!("INGEST_{}_CAMERA", device.number), words);
            }
        }
    }

    /// The keys under which a camera's own device may bring what the camera is asked for: the camera's, and those of the
    /// devices at its address alone: of a network others may bring pictures, too.
    pub fn keys_of(&self, camera: &CameraConfig) -> Vec<&CameraKey> {
        let address = camera.source.as_ref().and_then(SourceConfig::address);
        let is_own = |device: &&DeviceConfig| {
            let is_there = |network: &Network| address.is_some_and(|address| network.is_only(address));
            *device.key() == camera.key || device.addresses.iter().any(is_there)
        };
        self.devices.iter().filter(is_own).map(DeviceConfig::key).collect()
    }
}

impl DeviceConfig {
    fn read(reader: &mut VariableReader<'_>, number: u8) -> ReadResult<Self> {
        let variable = |suffix: &str| format!("INGEST_{number}_{suffix}");
        let bad = |invalid: InvalidKey| Wrong::new("not a short name", invalid.to_string());
        let name = reader.required(&variable("NAME"), |text| DeviceName::parse(text).map_err(bad));
        let camera = reader.optional(&variable("CAMERA"), |text| CameraKey::parse(text).map_err(bad));
        let token = reader.optional(&variable("TOKEN"), |text| token(text).map(Secret::new));
        let addresses = reader.optional(&variable("ADDRESS"), networks);
        let user = reader.optional(&variable("USER"), short(CHARS_MAX));
        let password = reader.optional(&variable("PASSWORD"), |text| short(CHARS_MAX)(text).map(Secret::new));
        let clips = reader.optional(&variable("CLIPS_FOLDER"), |text| Ok(PathBuf::from(text)));
        let folder = FolderConfig::read(reader, number);
        let keeps_name = reader.required(&variable("KEEP_NAME"), boolean);
        let max_bytes = reader.required(&variable("MAX_BYTES"), picture_size);
        let max_pixels = reader.required(&variable("MAX_PIXELS"), whole(PIXELS, "pixels"));
        let per_minute = reader.required(&variable("PER_MINUTE"), whole(1..=6000, "pictures a minute"));

        let (token, addresses) = (token?, addresses?.unwrap_or_default());
        if token.as_ref().is_some_and(|token| token.reveal().len() < TOKEN_CHARS_GOOD) {
            let words =
                format!("shorter than {TOKEN_CHARS_GOOD} characters; `openssl rand -hex 16` makes one");
            reader.warn(&variable("TOKEN"), words);
        }
        let ftp = match (user?, password?) {
            (Some(user), Some(password)) => Some(FtpLogin { user, password }),
            (None, None) => None,
            (Some(_), None) => return Err(missing(reader, &variable("PASSWORD"), &variable("USER"))),
            (None, Some(_)) => return Err(missing(reader, &variable("USER"), &variable("PASSWORD"))),
        };
        let folder = folder?;
        if token.is_none() && addresses.is_empty() && ftp.is_none() && folder.is_none() {
            let accepted = format!(
                "a token of {TOKEN_CHARS_MIN} characters or more, or {} with the device's address, or {} with {}, or {}",
                variable("ADDRESS"),
                variable("USER"),
                variable("PASSWORD"),
                variable("FOLDER"),
            );
            let wrong = Wrong::new(format!("device {number} has no way to say who it is"), accepted);
            return Err(reader.refuse(&variable("TOKEN"), &wrong));
        }
        Ok(Self {
            number,
            name: name?,
            camera: camera?,
            token,
            addresses,
            ftp,
            clips: clips?,
            folder,
            keeps_name: keeps_name?,
            max_bytes: max_bytes?,
            max_pixels: max_pixels?,
            // The range above fits.
            per_minute: u32::try_from(per_minute?).unwrap_or(1),
        })
    }
}

fn missing(reader: &mut VariableReader<'_>, name: &str, other: &str) -> super::reader::Reported {
    reader.refuse(name, &Wrong::new(format!("{other} is set, and this is not"), "both, or none of them"))
}

/// Whether anything is said of it; what only repeats a default says nothing.
fn exists(reader: &VariableReader<'_>, number: u8) -> bool {
    reader.env().names().any(|name| {
        variables::find(name).is_some_and(|(variable, whose)| {
            let text = reader.env().get(name).unwrap_or_default().trim();
            variable.name.starts_with("INGEST_n_")
                && whose == Whose::Camera(u32::from(number))
                && !text.is_empty()
                && Some(text) != variable.default_for(number).as_deref()
        })
    })
}

/// Whoever comes must be one device and no other.
fn refuse_doubles(reader: &mut VariableReader<'_>, devices: &[DeviceConfig]) -> ReadResult<()> {
    let mut checked = Ok(());
    for (index, device) in devices.iter().enumerate() {
        for other in &devices[..index] {
            let same_token = device.token.is_some() && device.token == other.token;
            let same_from = device.addresses.iter().any(|network| other.addresses.contains(network));
            let user = |device: &DeviceConfig| device.ftp.as_ref().map(|ftp| ftp.user.clone());
            let same_user = user(device).is_some() && user(device) == user(other);
            let doubles = [
                ("NAME", device.name == other.name, "a name"),
                ("TOKEN", same_token, "a token"),
                ("ADDRESS", same_from, "addresses"),
                ("USER", same_user, "a user"),
            ];
            for (suffix, is_double, what) in doubles {
                if is_double {
                    let wrong = Wrong::new(
                        format!("device {} has the same already", other.number),
                        format!("{what} no other device has"),
                    );
                    checked = Err(reader.refuse(&format!("INGEST_{}_{suffix}", device.number), &wrong));
                }
            }
        }
    }
    checked
}

fn token(text: &str) -> Result<String, Wrong> {
    let is_sendable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_sendable && (TOKEN_CHARS_MIN..=CHARS_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    let what =
        if is_sendable { "too short or too long" } else { "contains a blank or a character beyond ASCII" };
    Err(Wrong::new(
        what,
        format!(
            "{TOKEN_CHARS_MIN} to {CHARS_MAX} letters, digits and signs; `openssl rand -hex 16` makes one"
        ),
    ))
}

fn picture_size(text: &str) -> Result<u64, Wrong> {
    const RANGE: &str = "1024 (1 KiB) to 16 MiB";
    match size(1 << 10, RANGE, text)? {
        bytes if bytes <= BYTES_MAX => Ok(bytes),
        _ => Err(Wrong::new("out of range", RANGE)),
    }
}

fn port(text: &str) -> Result<u16, Wrong> {
    // The range fits.
    whole(0..=u64::from(u16::MAX), "")(text).map(|port| u16::try_from(port).unwrap_or(0))
}

fn ports(text: &str) -> Result<Option<RangeInclusive<u16>>, Wrong> {
    if text == "any" {
        return Ok(None);
    }
    let accepted = "two ports with a dash between them, at least four ports, such as 50000-50099; or any";
    let (first, last) = text.split_once('-').ok_or_else(|| Wrong::new("not a range", accepted))?;
    let parse = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match (parse(first), parse(last)) {
        (Some(first), Some(last)) if last.saturating_sub(first) >= PASSIVE_PORTS_MIN - 1 => {
            Ok(Some(first..=last))
        }
        (Some(_), Some(_)) => Err(Wrong::new("too few ports", accepted)),
        _ => Err(Wrong::new("not a range", accepted)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, problems, warnings};

    const TOKEN: (&str, &str) = ("INGEST_1_TOKEN", "0123456789abcdef");

    /// What the cameras of the FTP server before this one log in with.
    const LOGIN: [(&str, &str); 2] = [("INGEST_2_USER", "cam_client"), ("INGEST_2_PASSWORD", "camera")];

    #[test]
    fn no_device_brings_pictures_and_nothing_listens_until_one_is_named() {
        let ingest = config(&[]).ingest;
        assert!(ingest.devices.is_empty() && ingest.ftp.is_none() && ingest.compat_port.is_none());
    }

    #[test]
    fn a_token_alone_makes_a_device_with_limits() {
        let ingest = config(&[TOKEN]).ingest;
        let device = &ingest.devices[0];
        assert_eq!((device.name.as_str(), device.key().as_str()), ("device1", "device1"));
        assert_eq!((device.max_bytes, device.max_pixels, device.per_minute), (16 << 20, 20_000_000, 120));
        assert!(ingest.ftp.is_none(), "no device has a user");
    }

    #[test]
    fn the_ftp_server_is_there_when_it_has_a_port_and_a_device_has_a_user() {
        let ftp = |more: &[(&'static str, &'static str)]| {
            let mut pairs = LOGIN.to_vec();
            pairs.push(("FTP_PORT", "2121"));
            pairs.extend(more);
            config(&pairs).ingest.ftp.unwrap()
        };
        let plain = ftp(&[]);
        assert_eq!((plain.ip, plain.port, plain.passive), (None, 2121, Some(50_000..=50_099)));
        assert_eq!(ftp(&[("FTP_PASSIVE_PORTS", "2122-2141")]).passive, Some(2122..=2141));
        assert_eq!(ftp(&[("FTP_PASSIVE_PORTS", "any")]).passive, None);
        assert_eq!(ftp(&[("FTP_IP", "::")]).ip, Some("::".parse().unwrap()));
    }

    #[test]
    fn a_device_with_an_ftp_user_and_no_port_to_come_to_is_said_and_no_problem() {
        assert!(config(&LOGIN).ingest.ftp.is_none());
        let said = warnings(&LOGIN).concat();
        assert!(said.contains("INGEST_2_USER") && said.contains("FTP_PORT=2121"), "{said}");
        assert!(warnings(&[LOGIN[0], LOGIN[1], ("FTP_PORT", "2121")]).is_empty(), "nothing is missing");
    }

    #[test]
    fn its_pictures_are_listed_under_the_camera_it_names_or_is_called_or_under_a_name_of_their_own() {
        let key = |pairs: &[(&'static str, &'static str)]| {
            let pairs = [&[TOKEN, ("CAMERA_1_IP", "192.0.2.1")], pairs].concat();
            config(&pairs).ingest.devices[0].key().to_string()
        };
        assert_eq!(key(&[("INGEST_1_CAMERA", "r1")]), "r1");
        assert_eq!(key(&[("INGEST_1_NAME", "r1")]), "r1");
        assert_eq!(key(&[("INGEST_1_CAMERA", "yard")]), "yard");
        assert!(warnings(&[TOKEN, ("INGEST_1_CAMERA", "yard")]).concat().contains("no camera yard"));
        assert!(warnings(&[TOKEN, ("CAMERA_1_IP", "192.0.2.1"), ("INGEST_1_CAMERA", "r1")]).is_empty());
    }

    #[test]
    fn what_is_at_a_cameras_address_is_its_own_device() {
        let keys = |address: &'static str| {
            let url = ("CAMERA_1_SNAPSHOT_URL", "http://192.0.2.7/capture");
            let config = config(&[url, ("INGEST_1_ADDRESS", address), ("INGEST_2_TOKEN", TOKEN.1)]);
            config.ingest.keys_of(&config.cameras[0]).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(keys("192.0.2.7"), ["device1"]);
        assert_eq!(keys("192.0.2.9, 192.0.2.7/32"), ["device1"]);
        assert!(keys("192.0.2.0/24").is_empty() && keys("0.0.0.0/0").is_empty(), "those of others");
        assert!(keys("192.0.2.8").is_empty());
    }

    #[test]
    fn a_device_that_cannot_say_who_it_is_is_a_problem() {
        let text = problem(&[("INGEST_3_NAME", "door")]);
        assert!(text.starts_with("INGEST_3_TOKEN: ") && text.contains("INGEST_3_ADDRESS"), "{text}");
        assert!(problem(&[("INGEST_1_USER", "x")]).starts_with("INGEST_1_PASSWORD: "));
        assert!(problem(&[("INGEST_1_PASSWORD", "hunter2")]).starts_with("INGEST_1_USER: "));
    }

    #[test]
    fn two_devices_that_could_be_taken_for_each_other_are_a_problem_each_and_no_secret_is_said() {
        let text = problems(&[
            ("INGEST_1_TOKEN", "hunter2hunter2hunter2"),
            ("INGEST_2_TOKEN", "hunter2hunter2hunter2"),
            ("INGEST_1_NAME", "door"),
            ("INGEST_2_NAME", "door"),
            ("INGEST_1_ADDRESS", "192.0.2.1, 192.0.2.2"),
            ("INGEST_2_ADDRESS", "192.0.2.2"),
            ("INGEST_1_USER", "cam"),
            ("INGEST_1_PASSWORD", "hunter2"),
            ("INGEST_2_USER", "cam"),
            ("INGEST_2_PASSWORD", "hunter2"),
        ]);
        for name in ["INGEST_2_TOKEN: ", "INGEST_2_NAME: ", "INGEST_2_ADDRESS: ", "INGEST_2_USER: "] {
            assert!(text.iter().any(|line| line.starts_with(name)), "{name} not in {text:?}");
        }
        assert!(text.len() == 4 && !text.concat().contains("hunter2"), "{text:?}");
    }

    #[test]
    fn values_out_of_range_are_problems() {
        for (name, value) in [
            ("INGEST_1_TOKEN", "short"),
            ("INGEST_1_TOKEN", "with a blank in it, long enough"),
            ("INGEST_1_ADDRESS", "gate"),
            ("INGEST_1_MAX_BYTES", "17 MiB"),
            ("INGEST_1_MAX_BYTES", "10"),
            ("INGEST_1_MAX_PIXELS", "20000001"),
            ("INGEST_1_PER_MINUTE", "6001"),
            ("INGEST_1_CAMERA", "R 1"),
            ("FTP_PASSIVE_PORTS", "2122"),
            ("FTP_PASSIVE_PORTS", "2122-2124"),
            ("FTP_PASSIVE_PORTS", "0-9"),
            ("FTP_PORT", "65536"),
            ("COMPAT_PORT", "http"),
        ] {
            let base = if name == TOKEN.0 { vec![] } else { vec![TOKEN] };
            let pairs: Vec<_> = base.into_iter().chain([(name, value)]).collect();
            let text = problem(&pairs);
            assert!(text.starts_with(&format!("{name}: ")), "{text}");
        }
    }

    #[test]
    fn a_short_token_is_taken_with_a_warning_that_does_not_say_it() {
        let said = warnings(&[("INGEST_1_TOKEN", "hunter2-")]).concat();
        assert!(said.contains("INGEST_1_TOKEN") && !said.contains("hunter2"), "{said}");
        assert!(warnings(&[TOKEN]).is_empty());
        assert!(problem(&[("INGEST_1_TOKEN", "hunter2")]).starts_with("INGEST_1_TOKEN: "));
    }

    #[test]
    fn a_port_for_nobody_is_said() {
        assert!(warnings(&[("COMPAT_PORT", "5000")]).concat().contains("INGEST_1_TOKEN"));
        let pairs = [TOKEN, ("FTP_PORT", "2121")];
        assert!(config(&pairs).ingest.ftp.is_none());
        let said = warnings(&pairs).concat();
        assert!(said.contains("FTP_PORT") && said.contains("INGEST_1_USER"), "{said}");
    }
}
