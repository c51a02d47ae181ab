//! Every variable the program reads: the one table behind look-up, defaults, warnings and `env.example`.
//!
//! An `n` between underscores stands for the number of a camera, 1 to 16. A variable of a kind of target stands here as
//! that of the first one; the others have theirs by [`name_of`]. A default is the text that would be read if the variable
//! were set to it, so the table cannot disagree with the code.

use super::variable::{open, secret};
use crate::model::{TargetId, TargetKind};

pub use super::variable::{Fallback, Variable};
pub(super) use super::variable::{behind_number, word};

/// Highest `n` of `CAMERA_n_…` and `INGEST_n_…`.
pub(super) const CAMERA_NUMBER_MAX: u8 = 16;

/// Whose a variable is. A number may be one that there cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// There is one of it.
    All,
    /// Of the camera of this number.
    Camera(u32),
    /// Of the target of this number, of the variable's kind.
    Target(u32),
}

/// The variable called `name`, and whose it is.
pub(super) fn find(name: &str) -> Option<(&'static Variable, Whose)> {
    VARIABLES.iter().find_map(|variable| {
        if variable.name == name && !variable.is_per_camera() {
            return Some((variable, if variable.kind.is_some() { Whose::Target(1) } else { Whose::All }));
        }
        let of_camera = variable.number_in(name).map(Whose::Camera);
        of_camera
            .or_else(|| variable.target_number_in(name).map(Whose::Target))
            .map(|whose| (variable, whose))
    })
}

/// The name that a target has for a variable of its kind, by that of the first one: `API_2_URL` for `S3_API_URL`,
/// `API_2_UPLOAD_HEADERS` for `UPLOAD_HEADERS`, `S3_2_BUCKET` for `S3_BUCKET`.
pub(super) fn name_of(id: TargetId, name: &str) -> String {
    match id.number() {
        1 => name.to_owned(),
        number => format!("{}_{number}_{}", word(id.kind()), behind_number(id.kind(), name)),
    }
}

/// Words about a target, in which variables are called as the first one of its kind has them, with its own names.
pub fn words_of(id: TargetId, words: &str) -> String {
    if id.number() == 1 {
        return words.to_owned();
    }
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_own = |name: &str| VARIABLES.iter().any(|it| it.kind == Some(id.kind()) && it.name == name);
    let (mut said, mut rest) = (String::new(), words);
    while let Some(begin) = rest.find(is_part) {
        let (before, from) = rest.split_at(begin);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let (name, behind) = from.split_at(end);
        said.push_str(before);
        said.push_str(&if is_own(name) { name_of(id, name) } else { name.to_owned() });
        rest = behind;
    }
    said + rest
}

/// What the first target of a kind calls what it has of its own of a setting of all.
pub(super) fn own_name(kind: TargetKind, name: &str) -> String {
    format!("{}_{name}", word(kind))
}

/// All of them, in the order of `env.example`.
pub const VARIABLES: &[Variable] = &[
    open(
        "CAMERA_n_IP",
        Fallback::None,
        "address of the camera: IPv4, IPv6 or host name, with :port if it is not 554",
    ),
    secret(
        "CAMERA_n_RTSP",
        "whole address of the stream, rtsp:// or rtsps://[user:password@]host[:port]/path; wins over the IP",
    ),
    open(
        "CAMERA_n_ENABLED",
        Fallback::None,
        "whether it is used; if unset, true as soon as it has an address",
    ),
    open(
        "CAMERA_n_NAME",
        Fallback::Numbered(["r1", "r2", "r3"], "r"),
        "short name in file names and addresses",
    ),
    open("CAMERA_n_LABEL", Fallback::Numbered(["Entry", "Exit", "Auxiliary"], "Camera "), "name for people"),
    open("CAMERA_n_USERNAME", Fallback::None, "user name of this camera, instead of CAMERA_USERNAME"),
    secret("CAMERA_n_PASSWORD", "password of this camera, instead of CAMERA_PASSWORD"),
    open("CAMERA_n_TRANSPORT", Fallback::Text("tcp"), "how RTP travels: tcp, udp or http"),
    open(
        "CAMERA_n_TLS_FINGERPRINT",
        Fallback::None,
        "SHA-256 fingerprint of the camera's certificate, for rtsps:// and https://; nothing else is checked then",
    ),
    open(
        "CAMERA_n_CA_FILE",
        Fallback::None,
        "certificates that vouch for the camera's, or itself, PEM, instead of CAMERA_CA_FILE",
    ),
    open(
        "CAMERA_n_OFFSETS_MS",
        Fallback::Text("0"),
        "instants kept of each trigger, milliseconds from the edge",
    ),
    open(
        "CAMERA_n_MODE",
        Fallback::Text("cold"),
        "when the stream is decoded: cold (from the trigger on), hot (always), armed (hot for a while after a hint), auto",
    ),
    open(
        "CAMERA_n_ARMED_BY",
        Fallback::None,
        "cameras whose triggers are the hint for mode armed, such as r1,r2",
    ),
    open(
        "CAMERA_n_TOLERANCE_MS",
        Fallback::Text("0"),
        "a keyframe so near to the wanted instant is taken instead of the exact frame, which saves decoding, ms",
    ),
    open(
        "CAMERA_n_LATENCY_MS",
        Fallback::None,
        "delay inside the camera, from the light on the sensor to the first packet, ms; if unset, as measured on the \
         dashboard, else 0",
    ),
    open(
        "CAMERA_n_CLOCK",
        Fallback::Text("arrival"),
        "which clock tells when a frame was taken: arrival (ours), camera (its own, by RTCP, while that is possible)",
    ),
    secret(
        "CAMERA_n_SNAPSHOT_URL",
        "address of single JPEG pictures, http://[user:password@]host[:port]/path; wins over the stream",
    ),
    open(
        "CAMERA_n_SNAPSHOT_FLUSH",
        Fallback::Text("auto"),
        "pictures thrown away before one counts: auto, or 0 to 3",
    ),
    open(
        "CAMERA_n_SNAPSHOT_VERIFY",
        Fallback::Text("true"),
        "false: an https camera's certificate may be any",
    ),
    open("CAMERA_n_STREAMING", Fallback::Text("false"), "true: its address comes by POST /streaming/setup-camera"),
    open("CAMERA_n_CLIP_MS", Fallback::None, "clip of each trigger: milliseconds before,after the edge"),
    open(
        "CAMERA_n_BEST_MS",
        Fallback::None,
        "where each trigger's sharpest picture is looked for: milliseconds before,after the edge",
    ),
    open("CAMERA_USERNAME", Fallback::None, "user name of every camera that has none of its own"),
    secret("CAMERA_PASSWORD", "password of every camera that has none of its own"),
    open(
        "CAMERA_CA_FILE",
        Fallback::None,
        "certificates that vouch for those of cameras, PEM, instead of the system's",
    ),
    open("DECODER", Fallback::Text("auto"), "auto (the fastest that is right), openh264, libavcodec or rust"),
    open(
        "DECODE_BUDGET_PERCENT",
        Fallback::Text("25"),
        "share of all cores that cameras in mode auto may keep busy, percent",
    ),
    open("ARM_SECONDS", Fallback::Text("30"), "how long a camera in mode armed stays hot after a hint, s"),
    open("GPIO_ENABLED", Fallback::Text("false"), "whether contacts are watched"),
    open("GPIO_TRIGGER_ENABLED", Fallback::Text("true"), "whether a closing contact takes a picture"),
    open(
        "GPIO_CAMERA_n_PIN",
        Fallback::FirstThree(["18", "19", "20"]),
        "BCM number of the contact's pin, or none",
    ),
    open("GPIO_BOUNCE_TIME", Fallback::Text("300"), "milliseconds a contact is deaf after a trigger"),
    open("GPIO_BACKEND", Fallback::Text("auto"), "auto, rppal, cdev or sim"),
    open("GPIO_ACTIVE", Fallback::Text("low"), "level of a closed contact: low or high"),
    open(
        "GPIO_CHIP",
        Fallback::None,
        "GPIO chip by number, path, name or label; if unset, the header of the Pi",
    ),
    open(
        "INGEST_n_NAME",
        Fallback::Numbered(["device1", "device2", "device3"], "device"),
        "short name of a device that brings its pictures",
    ),
    open(
        "INGEST_n_CAMERA",
        Fallback::None,
        "short name under which the pictures are listed, as a rule a camera's; if unset, the device's own",
    ),
    secret("INGEST_n_TOKEN", "token by which the device is known, 8 characters or more, better 16"),
    open("INGEST_n_ADDRESS", Fallback::None, "addresses and networks from which the device needs no token"),
    open("INGEST_n_USER", Fallback::None, "FTP user of the device"),
    secret("INGEST_n_PASSWORD", "FTP password of the device"),
    open("INGEST_n_CLIPS_FOLDER", Fallback::None, "folder for what it brings by FTP beside its pictures"),
    open("INGEST_n_FOLDER", Fallback::None, "folder into which another program puts its pictures"),
    open("INGEST_n_FOLDER_KEEP", Fallback::Text("false"), "whether they move to .done in it, and are not removed"),
    open("INGEST_n_KEEP_NAME", Fallback::Text("true"), "whether what it calls a picture is kept with it"),
    open("INGEST_n_MAX_BYTES", Fallback::Text("16MiB"), "largest picture it may bring, 1 KiB to 16 MiB"),
    open("INGEST_n_MAX_PIXELS", Fallback::Text("20000000"), "most pixels of a picture, 10000 to 20000000"),
    open("INGEST_n_PER_MINUTE", Fallback::Text("120"), "most pictures a minute, 1 to 6000"),
    secret("ANALYSE_URL", "address of a server that reads number plates in the pictures; without it none are read"),
    open("ANALYSE_FORMAT", Fallback::Text("platerecognizer"), "how it is asked and answers: platerecognizer or json"),
    secret("ANALYSE_TOKEN", "what it lets us in by"),
    open(
        "ANALYSE_WHEN",
        Fallback::Text("contact,push"),
        "whose pictures it is asked about: contact, push, manual, or demand for none by themselves",
    ),
    open("ANALYSE_TIMEOUT", Fallback::Text("30"), "how long a question may take, from sending the picture to the answer, seconds"),
    open("ANALYSE_TRIES", Fallback::Text("10"), "failed answers after which a picture is put aside, 1 to 100"),
    open("ANALYSE_PER_DAY", Fallback::Text("0"), "most questions on a day (UTC); 0 is no limit"),
    open("ANALYSE_PER_MONTH", Fallback::Text("0"), "most questions in a month (UTC); 0 is no limit"),
    open("ANALYSE_MIN_SCORE", Fallback::Text("0.8"), "score below which a person confirms what was read, 0 to 1"),
    open("ANALYSE_WATCH", Fallback::None, "number plates to watch for, with commas between them"),
    open("ANALYSE_WATCH_FILE", Fallback::None, "file with more of them, one on each line"),
    open(
        "COMPAT_PORT",
        Fallback::None,
        "second port, with only the routes of the older receivers, such as 5000",
    ),
    open("FTP_IP", Fallback::None, "address the FTP server listens on; if unset, BIND_IP"),
    open("FTP_PORT", Fallback::None, "port of the FTP server, such as 2121; unset: there is none"),
    open(
        "FTP_PASSIVE_PORTS",
        Fallback::Text("50000-50099"),
        "ports for its data connections, to be opened in a firewall; any: the kernel chooses",
    ),
    open("FTP_TLS_CERT", Fallback::None, "certificate of the FTP server, PEM; with it FTP over TLS is possible"),
    open("FTP_TLS_KEY", Fallback::None, "its key, PEM"),
    open("FTP_TLS_REQUIRED", Fallback::Text("false"), "whether nobody may log in without TLS"),
    open("UPLOAD_ENABLED", Fallback::Text("true"), "whether pictures are delivered"),
    open(
        "BACKGROUND_UPLOAD",
        Fallback::Text("true"),
        "false: a manual capture answers after its first delivery attempt",
    ),
    open(
        "UPLOAD_TARGETS",
        Fallback::None,
        "targets in use, comma separated; if unset, those that are configured",
    ),
    secret("S3_API_URL", "HTTP API that takes the pictures").of(TargetKind::Api),
    open("UPLOAD_FIELD_NAME", Fallback::Text("file"), "name of the multipart field").of(TargetKind::Api),
    secret("UPLOAD_HEADERS", "further request headers, Name: value; Name: value").of(TargetKind::Api),
    secret(
        "UPLOAD_FIELDS",
        "further form fields, name=value; name=value, with {camera} {label} {site} {taken_at} and other facts in them",
    ).of(TargetKind::Api),
    open(
        "UPLOAD_SUCCESS",
        Fallback::None,
        "which answer of the HTTP API is a delivery: status, status:200,202, json:result.ok=true or text:^OK; if unset, a \
         2xx whose body does not say no",
    ).of(TargetKind::Api),
    open(
        "UPLOAD_QUEUE_SIZE",
        Fallback::Text("100"),
        "uploads held in memory; the queue on disk has no limit but the disk",
    ),
    open("UPLOAD_PARALLEL", Fallback::Text("1"), "deliveries to a target at a time, 1 to 8"),
    open("API_UPLOAD_PARALLEL", Fallback::None, "the same for the HTTP API alone").of(TargetKind::Api),
    open("S3_UPLOAD_PARALLEL", Fallback::None, "the same for the S3 store alone").of(TargetKind::S3),
    open("DISCORD_UPLOAD_PARALLEL", Fallback::None, "the same for the Discord channel alone").of(TargetKind::Discord),
    open("RELAY_UPLOAD_PARALLEL", Fallback::None, "the same for the other box alone").of(TargetKind::Relay),
    open(
        "UPLOAD_WINDOW",
        Fallback::Text("always"),
        "when pictures are delivered, by the local time: always, or such as 22:00-06:00",
    ),
    open("API_UPLOAD_WINDOW", Fallback::None, "the same for the HTTP API alone").of(TargetKind::Api),
    open("S3_UPLOAD_WINDOW", Fallback::None, "the same for the S3 store alone").of(TargetKind::S3),
    open("DISCORD_UPLOAD_WINDOW", Fallback::None, "the same for the Discord channel alone").of(TargetKind::Discord),
    open("RELAY_UPLOAD_WINDOW", Fallback::None, "the same for the other box alone").of(TargetKind::Relay),
    open("OFFLINE_RETRY_INTERVAL", Fallback::Text("60"), "longest pause between attempts, seconds"),
    open(
        "CONNECTIVITY_CHECK_INTERVAL",
        Fallback::Text("60"),
        "pause between checks of an idle target, seconds",
    ),
    open("S3_ENDPOINT", Fallback::None, "address of the S3 store, without the bucket").of(TargetKind::S3),
    open("S3_REGION", Fallback::Text("us-east-1"), "region that requests are signed for").of(TargetKind::S3),
    open("S3_BUCKET", Fallback::None, "bucket that takes the pictures").of(TargetKind::S3),
    open("S3_PREFIX", Fallback::None, "folder in the bucket").of(TargetKind::S3),
    open(
        "S3_KEY",
        Fallback::Text("{prefix}{filename}"),
        "name of each object, of {prefix} {filename} {id} {camera} {year} {month} {day} {site}",
    )
    .of(TargetKind::S3),
    open(
        "S3_STYLE",
        Fallback::Text("path"),
        "where the bucket stands: path (host/bucket) or virtual (bucket.host)",
    )
    .of(TargetKind::S3),
    secret("S3_ACCESS_KEY_ID", "access key of the S3 store").of(TargetKind::S3),
    secret("S3_SECRET_ACCESS_KEY", "its secret").of(TargetKind::S3),
    secret("S3_SESSION_TOKEN", "token that belongs to a temporary access key").of(TargetKind::S3),
    secret("DISCORD_WEBHOOK_URL", "webhook of the Discord channel that takes the pictures").of(TargetKind::Discord),
    open(
        "DISCORD_MAX_BYTES",
        Fallback::Text("10MiB"),
        "largest file the channel takes; larger pictures are made smaller",
    )
    .of(TargetKind::Discord),
    open(
        "DISCORD_MESSAGE",
        Fallback::Text("file"),
        "file sends the picture, link a public link to it, for which PUBLIC_URL must be set",
    )
    .of(TargetKind::Discord),
    secret("RELAY_URL", "upload address of another box that takes the pictures").of(TargetKind::Relay),
    open("RELAY_INTERVAL", Fallback::Text("0"), "seconds between two rounds of sending to it; 0 sends at once")
        .of(TargetKind::Relay),
    open(
        "UPLOAD_TIMEOUT",
        Fallback::Text("300"),
        "how long a server may take for its answer once everything is sent, seconds",
    ),
    secret("HTTP_PROXY", "proxy to targets with http://, [user:password@]host:port"),
    secret("HTTPS_PROXY", "proxy to targets with https://"),
    secret("ALL_PROXY", "proxy to all targets for which none of the two is set"),
    open(
        "NO_PROXY",
        Fallback::None,
        "names, addresses and networks that are reached without a proxy; * is all",
    ),
    open(
        "UPLOAD_CA_FILE",
        Fallback::None,
        "further certificates to trust, PEM, beside the system's: an authority's or the server's own",
    ),
    open(
        "UPLOAD_TLS_FINGERPRINT",
        Fallback::None,
        "SHA-256 fingerprint of the certificate that servers must have, for https://; nothing else is checked then",
    ),
    open("API_UPLOAD_TLS_FINGERPRINT", Fallback::None, "the same for the HTTP API alone").of(TargetKind::Api),
    open("S3_UPLOAD_TLS_FINGERPRINT", Fallback::None, "the same for the S3 store alone").of(TargetKind::S3),
    open("DISCORD_UPLOAD_TLS_FINGERPRINT", Fallback::None, "the same for the Discord channel alone").of(TargetKind::Discord),
    open("RELAY_UPLOAD_TLS_FINGERPRINT", Fallback::None, "the same for the other box alone").of(TargetKind::Relay),
    open(
        "UPLOAD_METADATA",
        Fallback::Text("false"),
        "true: api and relay get the picture's facts as form fields",
    ),
    open("SITE_NAME", Fallback::None, "name of this site in the facts and in S3_KEY"),
    open("UPLOAD_RATE", Fallback::None, "most bytes per second to each target; if unset, no limit"),
    open("API_UPLOAD_RATE", Fallback::None, "the same for the api target alone").of(TargetKind::Api),
    open("S3_UPLOAD_RATE", Fallback::None, "the same for the s3 target alone").of(TargetKind::S3),
    open("DISCORD_UPLOAD_RATE", Fallback::None, "the same for the discord target alone").of(TargetKind::Discord),
    open("RELAY_UPLOAD_RATE", Fallback::None, "the same for the relay target alone").of(TargetKind::Relay),
    open("IMAGE_STORAGE_PATH", Fallback::Text("images"), "directory of the pictures"),
    open(
        "DATABASE_PATH",
        Fallback::None,
        "database file; if unset, camera-capture.db beside the images' directory",
    ),
    open("DATABASE_BACKUP_HOURS", Fallback::Text("24"), "hours between copies of the database; 0 for none"),
    open(
        "IMAGE_LAYOUT",
        Fallback::Text("daily"),
        "how pictures lie in their directory: a folder for each day; flat is refused",
    ),
    open("IMAGE_RETENTION_DAYS", Fallback::Text("120"), "days a delivered picture is kept"),
    open("CLEANUP_INTERVAL_HOURS", Fallback::Text("24"), "hours between retention runs"),
    open("STORAGE_MAX_BYTES", Fallback::None, "most bytes the pictures may take; if unset, no limit"),
    open(
        "STORAGE_MIN_FREE_BYTES",
        Fallback::None,
        "below so many free bytes delivered pictures go early; if unset, 5 % of the disk, at most 512 MiB",
    ),
    open("STORAGE_QUARANTINE_MAX_BYTES", Fallback::None, "most bytes of refused pictures that are kept"),
    open("STREAM_FPS", Fallback::Text("10"), "pictures a second asked of such a camera without a stream, 1 to 25"),
    open(
        "STREAM_ALLOW",
        Fallback::Text("10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"),
        "networks in which such a camera may be; loopback and link-local only if named",
    ),
    secret("JWT_SECRET", "secret of tokens that another program signs with HS256, at least 32 characters"),
    open(
        "STREAM_JWT_SCOPE",
        Fallback::Text("operate"),
        "what such a token may do that has no claim scope, under /streaming alone: read, operate (set a camera up, too), full",
    ),
    open("STREAM_REQUESTS_PER_MINUTE", Fallback::Text("600"), "requests a minute of one client to /streaming"),
    open("BIND_IP", Fallback::Text("0.0.0.0"), "address the dashboard listens on"),
    open("BIND_PORT", Fallback::Text("9000"), "port of the dashboard; 0 takes a free one"),
    open("WEB_AUTH_ENABLED", Fallback::Text("true"), "false only together with a loopback BIND_IP"),
    open("WEB_HOSTS", Fallback::None, "more names this machine is spoken to by, such as that of a proxy"),
    open("PUBLIC_URL", Fallback::None, "address by which the dashboard is reached from outside, for public links"),
    open("LINK_HOURS", Fallback::Text("72"), "hours until a public link ends, 1 to 8760, or never"),
    open(
        "STREAM_CORS_ORIGINS",
        Fallback::None,
        "pages of other sites that may use /streaming, as browsers name them: https://app.example, null for a file",
    ),
    open(
        "TRUSTED_PROXIES",
        Fallback::None,
        "addresses or networks of proxies that are believed about visitors",
    ),
    secret("WEB_PASSWORD_HASH", "argon2id hash of the dashboard's password; counts until one is set"),
    open("STATUS_DISPLAY", Fallback::Text("none"), "display at the box: none, ssd1306 or sh1106"),
    open("STATUS_DISPLAY_I2C", Fallback::Text("1:0x3c"), "its I2C bus (1 is /dev/i2c-1) and its address there; some have 0x3d"),
    open("STATUS_DISPLAY_SLEEP", Fallback::Text("300"), "seconds without anything until it is dark, from 60"),
    open("LOG_LEVEL", Fallback::Text("info"), "off, error, warn, info, debug, trace, or a filter"),
    open("LOG_FORMAT", Fallback::Text("text"), "text or json"),
    open("LOG_FILE", Fallback::None, "file for the log, 10 MiB and the 10 MiB before, besides the journal"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Option<(&'static str, Whose)> {
        find(name).map(|(variable, whose)| (variable.name, whose))
    }

    #[test]
    fn a_name_with_a_number_is_found_for_any_number_written_plainly() {
        assert_eq!(found("CAMERA_1_IP"), Some(("CAMERA_n_IP", Whose::Camera(1))));
        assert_eq!(found("GPIO_CAMERA_16_PIN"), Some(("GPIO_CAMERA_n_PIN", Whose::Camera(16))));
        assert_eq!(found("CAMERA_0_IP"), Some(("CAMERA_n_IP", Whose::Camera(0))));
        assert_eq!(found("CAMERA_99999999999_IP"), Some(("CAMERA_n_IP", Whose::Camera(u32::MAX))));
        assert_eq!(found("CAMERA_01_IP"), None);
        assert_eq!(found("CAMERA__IP"), None);
        assert_eq!(found("CAMERA_n_IP"), None);
        assert_eq!(found("CAMERA_USERNAME"), Some(("CAMERA_USERNAME", Whose::All)));
    }

    #[test]
    fn a_target_has_the_variables_of_its_kind_with_its_number_behind_the_kind() {
        let id = |kind, number| TargetId::new(kind, number).unwrap();
        for (first, kind, name) in [
            ("S3_API_URL", TargetKind::Api, "API_2_URL"),
            ("UPLOAD_HEADERS", TargetKind::Api, "API_2_UPLOAD_HEADERS"),
            ("API_UPLOAD_RATE", TargetKind::Api, "API_2_UPLOAD_RATE"),
            ("S3_BUCKET", TargetKind::S3, "S3_2_BUCKET"),
            ("S3_UPLOAD_WINDOW", TargetKind::S3, "S3_2_UPLOAD_WINDOW"),
            ("DISCORD_WEBHOOK_URL", TargetKind::Discord, "DISCORD_2_WEBHOOK_URL"),
            ("RELAY_URL", TargetKind::Relay, "RELAY_2_URL"),
        ] {
            assert_eq!(name_of(id(kind, 2), first), name);
            assert_eq!(name_of(id(kind, 1), first), first);
            assert_eq!(found(name), Some((first, Whose::Target(2))));
            assert_eq!(found(first), Some((first, Whose::Target(1))));
        }
        for none in
            ["API_02_URL", "API_n_URL", "API__URL", "S3_2_API_URL", "UPLOAD_2_HEADERS", "API_2_BUCKET"]
        {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn every_variable_of_a_kind_is_read_back_from_its_name_for_every_number() {
        let mut names = std::collections::BTreeSet::new();
        for variable in VARIABLES.iter().filter(|variable| variable.kind.is_some()) {
            for number in 1..=TargetId::NUMBER_MAX {
                let name = name_of(TargetId::new(variable.kind.unwrap(), number).unwrap(), variable.name);
                assert_eq!(found(&name), Some((variable.name, Whose::Target(u32::from(number)))), "{name}");
                assert!(names.insert(name), "two of one name");
            }
        }
    }

    #[test]
    fn words_about_a_target_name_its_own_variables_and_no_others() {
        let words = "look at S3_API_URL, UPLOAD_HEADERS (UPLOAD_TIMEOUT=300); S3_BUCKET is of another, NOT_S3_API_URL, too";
        let second = TargetId::new(TargetKind::Api, 2).unwrap();
        assert_eq!(words_of(TargetId::API, words), words);
        assert_eq!(
            words_of(second, words),
            "look at API_2_URL, API_2_UPLOAD_HEADERS (UPLOAD_TIMEOUT=300); S3_BUCKET is of another, NOT_S3_API_URL, too"
        );
    }

    #[test]
    fn the_first_three_cameras_have_names_and_pins_and_the_others_a_number() {
        let default = |name: &str, n| find(name).and_then(|(variable, _)| variable.default_for(n));
        assert_eq!(default("CAMERA_1_LABEL", 2).as_deref(), Some("Exit"));
        assert_eq!(default("CAMERA_1_LABEL", 4).as_deref(), Some("Camera 4"));
        assert_eq!(default("CAMERA_1_NAME", 12).as_deref(), Some("r12"));
        assert_eq!(default("GPIO_CAMERA_1_PIN", 3).as_deref(), Some("20"));
        assert_eq!(default("GPIO_CAMERA_1_PIN", 4), None);
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
    }
}
