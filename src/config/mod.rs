//! The configuration: final types, parsed once at start.
//!
//! [`Env`] is the environment as a value, [`Config::parse`] turns it into final types and reports every problem at
//! once. [`VARIABLES`] is the one table of names, defaults and meanings; `env.example` is checked against it.

mod address;
mod analysis;
mod camera;
mod describe;
mod display;
mod dotfile;
mod dotfile_text;
mod endpoint;
mod engine;
mod env;
mod fields;
mod ftp_tls;
mod gpio;
mod ingest;
mod ingest_folder;
mod lane;
mod lines;
mod links;
mod log;
mod login;
mod moved;
mod network;
mod object_key;
mod problem;
mod proxy;
mod reach;
mod reader;
mod secret;
mod slot;
mod spelling;
mod storage;
mod streaming;
mod success;
pub mod target;
#[cfg(test)]
mod testing;
mod tls;
mod upload;
mod values;
mod variable;
mod variables;
mod web;

pub use address::shown_url;
pub use analysis::{AnalysisConfig, AnalysisFormat};
pub use camera::{
    Around, CameraConfig, Flush, RtspConfig, SlotConfig, SnapshotConfig, SourceConfig, Transport,
};
pub use display::{DisplayConfig, DisplayKind};
pub use engine::{CameraEngine, ClockSource, DecodeMode, DecoderChoice, EngineConfig};
pub use env::Env;
pub use fields::{FACTS, FILENAME, FieldTemplate};
pub use ftp_tls::FtpTlsConfig;
pub use gpio::{ActiveLevel, GpioBackend, GpioConfig};
pub use ingest::{DeviceConfig, FtpConfig, FtpLogin, IngestConfig};
pub use ingest_folder::FolderConfig;
pub use lane::{LaneConfig, Window};
pub use links::{LINK_HOURS_MAX, LinkConfig};
pub use log::{LogConfig, LogFormat};
pub use login::Credentials;
pub use moved::settings_to_look_at;
pub use network::Network;
pub use object_key::KeyTemplate;
pub use problem::{Problem, Problems, Warning};
pub use proxy::{ProxiesConfig, ProxyConfig};
pub use reach::{GivenHost, OffLimits, Reach};
pub use secret::Secret;
pub use storage::StorageConfig;
pub use streaming::{JwtConfig, StreamingConfig};
pub use success::{JsonStep, Success, WantedAnswer, Word};
pub use target::{KindVariables, TargetConfig, TargetDefaults, TargetSettings};
pub use tls::{Authorities, CertificatePin, Fingerprint, Trust};
pub use upload::UploadConfig;
pub use variables::{Fallback, VARIABLES, Variable, words_of};
pub use web::{WebAccess, WebConfig};

use problem::Wrong;
use reader::VariableReader;
use variables::Whose;

use crate::model::TargetId;

/// Everything the program was told, valid as a whole.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every configured camera, enabled or not, in the order of its number.
    pub cameras: Vec<CameraConfig>,
    /// Decoding.
    pub engine: EngineConfig,
    /// Contacts.
    pub gpio: GpioConfig,
    /// Devices that bring their pictures.
    pub ingest: IngestConfig,
    /// A server that reads texts in pictures; `None` without one.
    pub analysis: Option<AnalysisConfig>,
    /// Delivery.
    pub upload: UploadConfig,
    /// Disk and database.
    pub storage: StorageConfig,
    /// The camera that is set up over the network, and its viewers.
    pub streaming: StreamingConfig,
    /// Dashboard.
    pub web: WebConfig,
    /// The display at the box, if there is one.
    pub display: Option<DisplayConfig>,
    /// Log.
    pub log: LogConfig,
}

impl Config {
    /// Reads everything from `env`. On failure all problems come at once, those of the environment file among them;
    /// neither problems nor warnings contain a secret.
    pub fn parse(env: &Env) -> Result<(Self, Vec<Warning>), Problems> {
        let mut reader = VariableReader::new(env);
        let config = Self::read(&mut reader);
        let VariableReader { problems, warnings, .. } = reader;
        match config {
            Some(config) if problems.is_empty() => Ok((config, warnings)),
            _ => Err(Problems { problems, warnings }),
        }
    }

    /// The sections; `None` if one of them reported a problem.
    fn read(reader: &mut VariableReader<'_>) -> Option<Self> {
        check_names(reader);
        let cameras = camera::read(reader);
        let engine = EngineConfig::read(reader);
        let gpio = GpioConfig::read(reader);
        let ingest = IngestConfig::read(reader);
        let streaming = StreamingConfig::read(reader);
        let analysis = AnalysisConfig::read(reader);
        let web = WebConfig::read(reader);
        let upload = UploadConfig::read(reader, web.as_ref().ok().map(|web| &web.links));
        let storage = StorageConfig::read(reader);
        let display = DisplayConfig::read(reader);
        let log = LogConfig::read(reader);
        let (cameras, ingest, mut upload) = (cameras.ok()?, ingest.ok()?, upload.ok()?);
        ingest.check(reader, &cameras);
        let storage = storage.ok()?;
        ingest_folder::check(reader, ingest.folders(), &storage.images).ok()?;
        upload.labels = cameras.iter().map(|camera| (camera.key.clone(), camera.label.clone())).collect();
        Some(Self {
            cameras,
            engine: engine.ok()?,
            gpio: gpio.ok()?,
            ingest,
            analysis: analysis.ok()?,
            upload,
            storage,
            streaming: streaming.ok()?,
            web: web.ok()?,
            display: display.ok()?,
            log: log.ok()?,
        })
    }
}

/// Warns of names nobody reads and refuses cameras that cannot exist.
fn check_names(reader: &mut VariableReader<'_>) {
    for name in reader.env().names() {
        match variables::find(name) {
            Some((variable, Whose::Camera(number)))
                if !(1..=u32::from(variables::CAMERA_NUMBER_MAX)).contains(&number) =>
            {
                let one = if variable.name.starts_with("INGEST_") { "device" } else { "camera" };
                let wrong =
                    Wrong::new(format!("there is no {one} of this number"), format!("{one}s 1 to 16"));
                reader.refuse(name, &wrong);
            }
            Some((variable, Whose::Target(number)))
                if variable.name != name && !(2..=u32::from(TargetId::NUMBER_MAX)).contains(&number) =>
            {
                let accepted = format!("2 to {}; the first one is {}", TargetId::NUMBER_MAX, variable.name);
                reader.refuse(name, &Wrong::new("there is no target of this number", accepted));
            }
            Some(_) => {}
            None if proxy::is_read(name) => {}
            None => {
                if let Some(advice) = spelling::advice(name) {
                    reader.warn(name, advice);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, any, prop, prop_assert, proptest};

    use super::testing::{config, problems, warnings};
    use super::*;

    #[test]
    fn an_empty_environment_is_a_valid_configuration() {
        assert!(config(&[]).cameras.is_empty());
    }

    #[test]
    fn a_mistyped_name_is_a_warning_with_the_real_one() {
        assert_eq!(
            warnings(&[("CAMERA_1_PIN", "18"), ("HOME", "/root"), ("CAMERA_1_IP", "a")]),
            ["CAMERA_1_PIN: nothing reads this name; here it is GPIO_CAMERA_1_PIN"]
        );
    }

    #[test]
    fn ten_mistakes_in_one_file_are_ten_problems_and_no_secret() {
        let file = b"CAMERA_1_RTSP=http://bob:hunter2@cam/live
CAMERA_2_ENABLED=true
CAMERA_3_IP=192.168.1.300
GPIO_CAMERA_3_PIN=28
GPIO_BOUNCE_TIME=0
S3_API_URL=ftp://bob:hunter2@store/
UPLOAD_HEADERS='Authorization hunter2'
this line is hunter2
WEB_AUTH_ENABLED=false
WEB_PASSWORD_HASH=hunter2
CAMERA_PASSWORD=hunter2
CAMERA_USERNAME=bob
";
        let problems = Config::parse(&Env::from_file(file, "box.env")).unwrap_err();
        let text = problems.to_string();
        assert_eq!(problems.len(), 10, "{text}");
        assert_eq!(text.lines().count(), 10, "{text}");
        for start in [
            "box.env line 8: ",
            "CAMERA_1_RTSP: ",
            "CAMERA_2_ENABLED: ",
            "CAMERA_3_IP: ",
            "GPIO_CAMERA_3_PIN: ",
            "GPIO_BOUNCE_TIME: ",
            "S3_API_URL: ",
            "UPLOAD_HEADERS: ",
            "WEB_AUTH_ENABLED: ",
            "WEB_PASSWORD_HASH: ",
        ] {
            assert!(text.lines().any(|line| line.starts_with(start)), "{start} not in\n{text}");
        }
        assert!(!text.contains("hunter2") && !text.contains("bob"), "{text}");
    }

    #[test]
    fn the_table_lists_exactly_the_variables_that_are_read() {
        let env = Env::from_pairs([("CAMERA_1_IP", "a"), ("INGEST_1_ADDRESS", "192.0.2.1")]);
        let mut reader = VariableReader::new(&env);
        assert!(Config::read(&mut reader).is_some());
        let asked: BTreeSet<_> = reader
            .asked
            .iter()
            .map(|name| variables::find(name).map_or("unlisted", |(v, _)| v.name))
            .collect();
        let listed: BTreeSet<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        assert_eq!(asked, listed);
    }

    #[test]
    fn every_secret_variable_with_a_wrong_value_hides_it() {
        for variable in VARIABLES.iter().filter(|variable| variable.secret) {
            let name = variable.name_for(1);
            let list = problems(&[(&name, "\u{1}hunter2")]);
            assert!(!list.is_empty() && list.iter().all(|text| !text.contains("hunter2")), "{list:?}");
        }
    }

    fn any_name() -> impl Strategy<Value = String> {
        (0..VARIABLES.len(), 0..18_u8).prop_map(|(index, number)| VARIABLES[index].name_for(number))
    }

    proptest! {
        #[test]
        fn no_values_panic(pairs in prop::collection::vec((any_name(), any::<String>()), 0..12)) {
            if let Ok((config, _)) = Config::parse(&Env::from_pairs(pairs)) {
                prop_assert!(!config.describe().is_empty());
            }
        }

        #[test]
        fn no_password_is_ever_shown(
            names in prop::collection::vec(any_name(), 0..6),
            value in "(rtsp://|http://)?[a-z:]{0,4}hunter2(@[a-z/]{0,5})?",
        ) {
            // Where a value is no secret it may be shown; only secret variables are tried.
            let pairs = names.into_iter().filter(|name| variables::find(name).is_none_or(|(v, _)| v.secret));
            let env = Env::from_pairs(pairs.map(|name| (name, value.clone())));
            let text = match Config::parse(&env) {
                Ok((config, warnings)) => format!("{warnings:?} {}", config.web.bind),
                Err(problems) => format!("{problems} {:?}", problems.warnings()),
            };
            prop_assert!(!text.contains("hunter2"), "{}", text);
        }

        #[test]
        fn a_description_can_always_be_read_back(label in "\\PC{1,30}") {
            let pairs = [("CAMERA_1_IP", "a"), ("CAMERA_1_LABEL", label.as_str())];
            if let Ok((config, _)) = Config::parse(&Env::from_pairs(pairs)) {
                let text = config.describe();
                let (again, _) = Config::parse(&Env::from_file(text.as_bytes(), "described")).unwrap();
                prop_assert!(again.cameras[0].label == config.cameras[0].label, "{}", text);
            }
        }
    }
}
