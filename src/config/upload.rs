//! `UPLOAD_…` and the rest of delivery: which targets there are and what holds for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::problem::Wrong;
use super::proxy::ProxiesConfig;
use super::reader::{ReadResult, VariableReader};
use super::values::{boolean, path, short, size, whole};
use super::{ApiTargetConfig, CertificatePin, DiscordTargetConfig, RelayTargetConfig, S3TargetConfig};
use crate::model::{CameraKey, TargetId, TargetKind};

/// Most uploads held in memory.
const QUEUE_SIZE_MAX: u64 = 10_000;

/// Longest `OFFLINE_RETRY_INTERVAL` and `CONNECTIVITY_CHECK_INTERVAL`, seconds: a day.
const INTERVAL_S_MAX: u64 = 86_400;

/// Longest `UPLOAD_TIMEOUT`, seconds: an hour.
const TIMEOUT_S_MAX: u64 = 3_600;

/// Longest `SITE_NAME`, characters.
const SITE_CHARS_MAX: usize = 64;

/// Smallest `UPLOAD_RATE`, bytes per second. Eight uploads that share it are each still as fast as the slowest link that
/// an attempt has time for.
const RATE_MIN: u64 = 32 << 10;

/// Delivery.
#[derive(Clone, Debug)]
pub struct UploadConfig {
    /// `UPLOAD_ENABLED`: whether anything is sent.
    pub enabled: bool,
    /// `BACKGROUND_UPLOAD`: if false, a manual capture answers after its first delivery attempt.
    pub background: bool,
    /// `UPLOAD_QUEUE_SIZE`, 1 to 10000: rows held in memory at once; the durable queue has no limit but the disk.
    pub queue_size: usize,
    /// `OFFLINE_RETRY_INTERVAL`, a second to a day: longest pause between attempts on a target that is away.
    pub retry_interval: Duration,
    /// `CONNECTIVITY_CHECK_INTERVAL`, a second to a day: how often an idle target is asked for a connection.
    pub check_interval: Duration,
    /// `UPLOAD_TIMEOUT`, a second to an hour: how long an answer may take once everything is sent.
    pub timeout: Duration,
    /// `HTTP_PROXY` and its kin: the proxy on the way to each target.
    pub proxies: ProxiesConfig,
    /// `UPLOAD_CA_FILE`: certificates in PEM that are trusted beside the system's, authorities or a server's own. Read
    /// when a connection is made.
    pub ca_file: Option<PathBuf>,
    /// `UPLOAD_TLS_FINGERPRINT` and its kin: the one certificate that the server of a target must have.
    pub pins: BTreeMap<TargetId, CertificatePin>,
    /// `UPLOAD_METADATA`: whether `api` and `relay` get the facts as form fields.
    pub metadata: bool,
    /// `SITE_NAME`, up to 64 characters.
    pub site: Option<String>,
    /// Names of the cameras for people.
    pub labels: BTreeMap<CameraKey, String>,
    /// `UPLOAD_RATE` and its kin, bytes per second from 32 KiB; a target that is not there has no limit.
    pub rates: BTreeMap<TargetId, u64>,
    /// The HTTP API, if it is in use.
    pub api: Option<ApiTargetConfig>,
    /// The bucket, if it is in use.
    pub s3: Option<S3TargetConfig>,
    /// The Discord channel, if it is in use.
    pub discord: Option<DiscordTargetConfig>,
    /// The other box, if it is in use.
    pub relay: Option<RelayTargetConfig>,
}

impl UploadConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let enabled = reader.required("UPLOAD_ENABLED", boolean);
        let background = reader.required("BACKGROUND_UPLOAD", boolean);
        let queue_size = reader.required("UPLOAD_QUEUE_SIZE", whole(1..=QUEUE_SIZE_MAX, "uploads"));
        let retry = reader.required("OFFLINE_RETRY_INTERVAL", whole(1..=INTERVAL_S_MAX, "s"));
        let check = reader.required("CONNECTIVITY_CHECK_INTERVAL", whole(1..=INTERVAL_S_MAX, "s"));
        let timeout = reader.required("UPLOAD_TIMEOUT", whole(1..=TIMEOUT_S_MAX, "s"));
        let proxies = ProxiesConfig::read(reader);
        let ca_file = reader.optional("UPLOAD_CA_FILE", path);
        let pins = CertificatePin::read_all(reader);
        let metadata = reader.required("UPLOAD_METADATA", boolean);
        let site = reader.optional("SITE_NAME", short(SITE_CHARS_MAX));
        let rates = rates(reader);
        let named = reader.optional("UPLOAD_TARGETS", targets);
        let has_facts = metadata.as_ref().is_ok_and(|is_wished| *is_wished);
        let api = ApiTargetConfig::read(reader, has_facts, !matches!(site, Ok(None)));
        let s3 = S3TargetConfig::read(reader, site.as_ref().ok().and_then(|site| site.as_deref()));
        let discord = DiscordTargetConfig::read(reader);
        let relay = RelayTargetConfig::read(reader);

        let (api, s3, discord, relay, named) = (api?, s3?, discord?, relay?, named?);
        let is_named = |kind| named.as_ref().is_none_or(|named| named.contains(&kind));
        let configured = [
            (TargetId::API, api.is_some(), "S3_API_URL"),
            (TargetId::S3, s3.is_some(), "S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"),
            (TargetId::DISCORD, discord.is_some(), "DISCORD_WEBHOOK_URL"),
            (TargetId::RELAY, relay.is_some(), "RELAY_URL"),
        ];
        let mut is_complete = Ok(());
        for (kind, _, names) in configured.iter().filter(|(_, is_there, _)| !is_there) {
            if named.as_ref().is_some_and(|named| named.contains(kind)) {
                let wrong = Wrong::new(
                    format!("{kind} is named but not configured"),
                    format!("{kind} with {names} beside it"),
                );
                is_complete = Err(reader.refuse("UPLOAD_TARGETS", &wrong));
            }
        }
        is_complete?;
        let ca_file = ca_file?;
        if let Some(Err(error)) = ca_file.as_ref().map(std::fs::metadata) {
            reader.warn(
                "UPLOAD_CA_FILE",
                format_args!("nothing is delivered until this file can be read: {error}"),
            );
        }
        let upload = Self {
            enabled: enabled?,
            background: background?,
            // The range above fits.
            queue_size: usize::try_from(queue_size?).unwrap_or(usize::MAX),
            retry_interval: Duration::from_secs(retry?),
            check_interval: Duration::from_secs(check?),
            timeout: Duration::from_secs(timeout?),
            proxies: proxies?,
            ca_file,
            pins: pins?,
            metadata: metadata?,
            site: site?,
            labels: BTreeMap::new(),
            rates: rates?,
            api: api.filter(|_| is_named(TargetId::API)),
            s3: s3.filter(|_| is_named(TargetId::S3)),
            discord: discord.filter(|_| is_named(TargetId::DISCORD)),
            relay: relay.filter(|_| is_named(TargetId::RELAY)),
        };
        upload.warn_of_idle_pins(reader);
        Ok(upload)
    }

    /// Says which pins hold for nothing, because what they are for is not secured or not there.
    fn warn_of_idle_pins(&self, reader: &mut VariableReader<'_>) {
        let is_secured = |kind: TargetId| {
            let url = match kind.kind() {
                TargetKind::Api => self.api.as_ref().map(|api| api.url.reveal()),
                TargetKind::S3 => self.s3.as_ref().map(|s3| &s3.endpoint),
                TargetKind::Discord => self.discord.as_ref().map(|discord| discord.url.reveal()),
                TargetKind::Relay => self.relay.as_ref().map(|relay| relay.url.reveal()),
            };
            url.is_some_and(|url| url.scheme() == "https")
        };
        let used: BTreeSet<_> =
            self.pins.iter().filter(|(kind, _)| is_secured(**kind)).map(|(_, pin)| &pin.setting).collect();
        let idle: BTreeSet<_> =
            self.pins.values().map(|pin| &pin.setting).filter(|setting| !used.contains(setting)).collect();
        for setting in idle {
            reader.warn(
                setting,
                "not used, because no address of a target that it is for begins with https://",
            );
        }
    }

    /// The targets in use, whether or not anything is sent.
    pub fn in_use(&self) -> impl Iterator<Item = TargetId> + '_ {
        TargetKind::ALL.map(TargetId::first).into_iter().filter(|id| match id.kind() {
            TargetKind::Api => self.api.is_some(),
            TargetKind::S3 => self.s3.is_some(),
            TargetKind::Discord => self.discord.is_some(),
            TargetKind::Relay => self.relay.is_some(),
        })
    }
}

/// Reads `UPLOAD_TARGETS`.
fn targets(text: &str) -> Result<Vec<TargetId>, Wrong> {
    let kinds = text.split(',').map(|name| TargetId::parse(&name.trim().to_ascii_lowercase()));
    kinds.collect::<Option<_>>().ok_or_else(|| {
        let known: Vec<_> = TargetKind::ALL.map(TargetId::first).iter().map(|kind| kind.as_str()).collect();
        Wrong::new("names an unknown target", format!("one or more of {}", known.join(", ")))
    })
}

/// Reads `UPLOAD_RATE` and those of single targets, which win.
fn rates(reader: &mut VariableReader<'_>) -> ReadResult<BTreeMap<TargetId, u64>> {
    let rate = |text: &str| size(RATE_MIN, "32768 (32 KiB) to 1 EiB per second", text);
    let common = reader.optional("UPLOAD_RATE", rate);
    let own = TargetKind::ALL.map(TargetId::first).map(|kind| {
        let name = format!("{}_UPLOAD_RATE", kind.as_str().to_ascii_uppercase());
        (kind, reader.optional(&name, rate))
    });
    let common = common?;
    let mut rates = BTreeMap::new();
    for (kind, own) in own {
        if let Some(rate) = own?.or(common) {
            rates.insert(kind, rate);
        }
    }
    Ok(rates)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, problems, warnings};
    use super::*;

    const URL: (&str, &str) = ("S3_API_URL", "https://u:p@api.example/Upload?modulename=anpr");
    const RELAY: (&str, &str) = ("RELAY_URL", "http://10.0.0.9:9000/upload");

    fn in_use(pairs: &[(&str, &str)]) -> Vec<TargetId> {
        config(pairs).upload.in_use().collect()
    }

    #[test]
    fn nothing_is_sent_until_a_target_is_configured() {
        let upload = config(&[]).upload;
        assert!(upload.enabled && upload.background && upload.in_use().next().is_none());
        assert_eq!(upload.queue_size, 100);
        let minute = Duration::from_secs(60);
        assert_eq!((upload.retry_interval, upload.check_interval), (minute, minute));
        assert!(!upload.metadata && upload.rates.is_empty());
    }

    #[test]
    fn those_that_are_configured_are_in_use_unless_others_are_named() {
        assert_eq!(in_use(&[URL, RELAY]), [TargetId::API, TargetId::RELAY]);
        assert_eq!(in_use(&[URL, RELAY, ("UPLOAD_TARGETS", " Relay ,relay")]), [TargetId::RELAY]);
    }

    #[test]
    fn a_named_target_that_is_unknown_or_not_configured_is_a_problem_with_what_it_wants() {
        assert!(problem(&[URL, ("UPLOAD_TARGETS", "ftp")]).contains("unknown target"));
        assert!(problem(&[URL, ("UPLOAD_TARGETS", "api,")]).contains("unknown target"));
        let list = problems(&[URL, ("UPLOAD_TARGETS", "api,s3,discord")]);
        assert_eq!(list.len(), 2, "{list:#?}");
        assert!(
            list[0].contains("s3 is named but not configured") && list[0].contains("S3_BUCKET"),
            "{list:#?}"
        );
        assert!(list[1].contains("DISCORD_WEBHOOK_URL"), "{list:#?}");
    }

    #[test]
    fn the_rate_of_one_target_wins_over_the_common_one() {
        let rates = config(&[("UPLOAD_RATE", "1M"), ("S3_UPLOAD_RATE", "64KiB")]).upload.rates;
        assert_eq!(
            rates.into_iter().collect::<Vec<_>>(),
            [
                (TargetId::API, 1_000_000),
                (TargetId::S3, 65_536),
                (TargetId::DISCORD, 1_000_000),
                (TargetId::RELAY, 1_000_000)
            ]
        );
        assert!(problem(&[("RELAY_UPLOAD_RATE", "100")]).starts_with("RELAY_UPLOAD_RATE: "));
    }

    #[test]
    fn certificates_that_cannot_be_read_are_a_warning_because_pictures_are_still_taken() {
        let list = warnings(&[("UPLOAD_CA_FILE", "/nonexistent/ca.pem")]);
        assert!(
            list.len() == 1 && list[0].starts_with("UPLOAD_CA_FILE: nothing is delivered until"),
            "{list:?}"
        );
    }

    #[test]
    fn the_pin_of_one_target_wins_over_the_common_one_and_one_for_nothing_is_a_warning() {
        let (one, other) = ("11".repeat(32), "22".repeat(32));
        let pairs = [
            URL,
            RELAY,
            ("UPLOAD_TLS_FINGERPRINT", one.as_str()),
            ("API_UPLOAD_TLS_FINGERPRINT", other.as_str()),
            ("RELAY_UPLOAD_TLS_FINGERPRINT", &other),
        ];
        let pins = config(&pairs).upload.pins;
        let settings: Vec<_> = pins.values().map(|pin| pin.setting.as_str()).collect();
        let common = "UPLOAD_TLS_FINGERPRINT";
        let [api, relay] = ["API_UPLOAD_TLS_FINGERPRINT", "RELAY_UPLOAD_TLS_FINGERPRINT"];
        assert_eq!(settings, [api, common, common, relay]);
        assert_ne!(pins[&TargetId::API].fingerprint, pins[&TargetId::S3].fingerprint);
        let idle = "not used, because no address of a target that it is for begins with https://";
        assert_eq!(warnings(&pairs), [format!("{relay}: {idle}"), format!("{common}: {idle}")]);
        assert_eq!(warnings(&pairs[..3]), [] as [String; 0]);
        assert!(
            problem(&[("S3_UPLOAD_TLS_FINGERPRINT", "aa")])
                .starts_with("S3_UPLOAD_TLS_FINGERPRINT: has 2 digits")
        );
    }

    #[test]
    fn intervals_and_sizes_stay_within_their_ranges() {
        for (name, value) in [
            ("UPLOAD_QUEUE_SIZE", "0"),
            ("UPLOAD_QUEUE_SIZE", "10001"),
            ("OFFLINE_RETRY_INTERVAL", "0"),
            ("OFFLINE_RETRY_INTERVAL", "86401"),
            ("CONNECTIVITY_CHECK_INTERVAL", "0"),
            ("UPLOAD_TIMEOUT", "0"),
            ("UPLOAD_TIMEOUT", "3601"),
            ("UPLOAD_FIELD_NAME", "a\"b"),
        ] {
            assert!(problem(&[(name, value)]).starts_with(&format!("{name}: ")), "{name}={value}");
        }
    }
}
