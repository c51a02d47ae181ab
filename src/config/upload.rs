//! `UPLOAD_…` and the rest of delivery: which targets there are and what holds for all of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::LinkConfig;
use super::lane::LaneConfig;
use super::proxy::ProxiesConfig;
use super::reader::{ReadResult, VariableReader};
use super::target::{self, SiteFacts, TargetConfig, TargetDefaults};
use super::values::{boolean, path, short, whole};
use crate::model::{CameraKey, TargetId};

/// Most uploads held in memory.
const QUEUE_SIZE_MAX: u64 = 10_000;

/// Longest `OFFLINE_RETRY_INTERVAL` and `CONNECTIVITY_CHECK_INTERVAL`, seconds: a day.
const INTERVAL_S_MAX: u64 = 86_400;

/// Longest `UPLOAD_TIMEOUT`, seconds: an hour.
const TIMEOUT_S_MAX: u64 = 3_600;

/// Longest `SITE_NAME`, characters.
const SITE_CHARS_MAX: usize = 64;

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
    /// `UPLOAD_METADATA`: whether `api` and `relay` get the facts as form fields.
    pub metadata: bool,
    /// `SITE_NAME`, up to 64 characters.
    pub site: Option<String>,
    /// Names of the cameras for people.
    pub labels: BTreeMap<CameraKey, String>,
    /// What holds for targets that have nothing of their own.
    pub defaults: TargetDefaults,
    /// The targets in use, whether or not anything is sent, in the order of their ids.
    pub targets: Vec<TargetConfig>,
}

impl UploadConfig {
    /// `links` is `None` where there is a problem with what stands in `WEB_…`.
    pub(super) fn read(reader: &mut VariableReader<'_>, links: Option<&LinkConfig>) -> ReadResult<Self> {
        let enabled = reader.required("UPLOAD_ENABLED", boolean);
        let background = reader.required("BACKGROUND_UPLOAD", boolean);
        let queue_size = reader.required("UPLOAD_QUEUE_SIZE", whole(1..=QUEUE_SIZE_MAX, "uploads"));
        let retry = reader.required("OFFLINE_RETRY_INTERVAL", whole(1..=INTERVAL_S_MAX, "s"));
        let check = reader.required("CONNECTIVITY_CHECK_INTERVAL", whole(1..=INTERVAL_S_MAX, "s"));
        let timeout = reader.required("UPLOAD_TIMEOUT", whole(1..=TIMEOUT_S_MAX, "s"));
        let proxies = ProxiesConfig::read(reader);
        let ca_file = reader.optional("UPLOAD_CA_FILE", path);
        let metadata = reader.required("UPLOAD_METADATA", boolean);
        let site = reader.optional("SITE_NAME", short(SITE_CHARS_MAX));
        let name = site.as_ref().ok().and_then(|site| site.as_deref());
        let are_sent = metadata.as_ref().is_ok_and(|is_wished| *is_wished);
        let facts = SiteFacts {
            are_sent,
            name,
            has_name: !matches!(site, Ok(None)),
            public_url: links.and_then(|links| links.public_url.as_ref()),
            is_web_right: links.is_some(),
        };
        let targets = target::read_all(reader, &facts);
        let ca_file = ca_file?;
        if let Some(Err(error)) = ca_file.as_ref().map(std::fs::metadata) {
            reader.warn(
                "UPLOAD_CA_FILE",
                format_args!("nothing is delivered until this file can be read: {error}"),
            );
        }
        let (defaults, targets) = targets?;
        Ok(Self {
            enabled: enabled?,
            background: background?,
            // The range above fits.
            queue_size: usize::try_from(queue_size?).unwrap_or(usize::MAX),
            retry_interval: Duration::from_secs(retry?),
            check_interval: Duration::from_secs(check?),
            timeout: Duration::from_secs(timeout?),
            proxies: proxies?,
            ca_file,
            metadata: metadata?,
            site: site?,
            labels: BTreeMap::new(),
            defaults,
            targets,
        })
    }

    /// The targets in use, whether or not anything is sent.
    pub fn in_use(&self) -> impl Iterator<Item = TargetId> + '_ {
        self.targets.iter().map(|target| target.id)
    }

    /// How pictures are sent to a target.
    pub fn lane(&self, id: TargetId) -> LaneConfig {
        self.target(id).map_or(self.defaults.lane, |target| target.lane)
    }

    /// A target that is in use.
    pub fn target(&self, id: TargetId) -> Option<&TargetConfig> {
        self.targets.iter().find(|target| target.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, warnings};
    use super::*;

    #[test]
    fn nothing_is_sent_until_a_target_is_configured() {
        let upload = config(&[]).upload;
        assert!(upload.enabled && upload.background && upload.in_use().next().is_none());
        assert_eq!(upload.queue_size, 100);
        let minute = Duration::from_secs(60);
        assert_eq!((upload.retry_interval, upload.check_interval), (minute, minute));
        assert!(!upload.metadata && upload.defaults.rate.is_none());
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
