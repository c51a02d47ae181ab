//! The targets, as a list of values: what each is and what holds for it alone. A kind is a variant here and a file beside.
//!
//! Nothing that describes one server is taken over by another, least of all a secret. What `UPLOAD_…` says for all targets
//! holds where a target has nothing of its own.

mod api;
mod discord;
mod kind;
mod relay;
mod s3;
mod site;

use std::time::Duration;

use std::collections::BTreeSet;

use url::Url;

use super::lane::{self, LaneConfig};
use super::lines::TargetLines;
use super::problem::Wrong;
use super::reader::{ReadResult, Reported, TargetReader, VariableReader};
use super::values::size;
use super::variables::{self, Whose};
use super::{CertificatePin, Env};
use crate::model::{TargetId, TargetKind};

pub use api::ApiTargetConfig;
pub use discord::{DiscordMessage, DiscordTargetConfig};
pub use kind::KindVariables;
pub use relay::RelayTargetConfig;
pub use s3::{S3Style, S3TargetConfig};
pub(super) use site::SiteFacts;

/// Smallest `UPLOAD_RATE`, bytes per second. Eight uploads that share it are each still as fast as the slowest link that
/// an attempt has time for.
const RATE_MIN: u64 = 32 << 10;

/// One upload target.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// Which.
    pub id: TargetId,
    /// `…UPLOAD_PARALLEL` and `…UPLOAD_WINDOW`.
    pub lane: LaneConfig,
    /// `…UPLOAD_RATE`, bytes per second from 32 KiB; `None` is no limit.
    pub rate: Option<u64>,
    /// `…UPLOAD_TLS_FINGERPRINT`: the one certificate that its server must have.
    pub pin: Option<CertificatePin>,
    /// What only its kind has.
    pub settings: TargetSettings,
}

/// What only one kind of target has.
#[derive(Clone, Debug)]
pub enum TargetSettings {
    /// An HTTP API.
    Api(ApiTargetConfig),
    /// A bucket.
    S3(S3TargetConfig),
    /// A Discord channel.
    Discord(DiscordTargetConfig),
    /// Another box.
    Relay(RelayTargetConfig),
}

impl TargetSettings {
    /// `None` when the target is not configured.
    fn read(reader: &mut TargetReader<'_, '_>, site: &SiteFacts<'_>) -> ReadResult<Option<Self>> {
        Ok(match reader.id().kind() {
            TargetKind::Api => ApiTargetConfig::read(reader, site)?.map(Self::Api),
            TargetKind::S3 => S3TargetConfig::read(reader, site)?.map(Self::S3),
            TargetKind::Discord => DiscordTargetConfig::read(reader, site)?.map(Self::Discord),
            TargetKind::Relay => RelayTargetConfig::read(reader)?.map(Self::Relay),
        })
    }

    /// What the words about the first target of a kind name.
    pub fn variables(kind: TargetKind) -> &'static KindVariables {
        match kind {
            TargetKind::Api => &api::VARIABLES,
            TargetKind::S3 => &s3::VARIABLES,
            TargetKind::Discord => &discord::VARIABLES,
            TargetKind::Relay => &relay::VARIABLES,
        }
    }

    /// The address of its server.
    pub fn url(&self) -> &Url {
        match self {
            Self::Api(api) => api.url.reveal(),
            Self::S3(s3) => &s3.endpoint,
            Self::Discord(discord) => discord.url.reveal(),
            Self::Relay(relay) => relay.url.reveal(),
        }
    }

    /// Whether its messages have a public link in place of the file.
    pub fn wants_link(&self) -> bool {
        match self {
            Self::Discord(discord) => matches!(discord.message, DiscordMessage::Link(_)),
            Self::Api(_) | Self::S3(_) | Self::Relay(_) => false,
        }
    }

    /// The rest between two rounds of sending, where the kind has one.
    fn every(&self) -> Option<Duration> {
        match self {
            Self::Relay(relay) => relay.every,
            Self::Api(_) | Self::S3(_) | Self::Discord(_) => None,
        }
    }

    pub(super) fn describe(&self, lines: &mut TargetLines<'_>) {
        match self {
            Self::Api(api) => api.describe(lines),
            Self::S3(s3) => s3.describe(lines),
            Self::Discord(discord) => discord.describe(lines),
            Self::Relay(relay) => relay.describe(lines),
        }
    }
}

/// What holds for every target that has nothing of its own.
#[derive(Clone, Debug)]
pub struct TargetDefaults {
    /// `UPLOAD_PARALLEL` and `UPLOAD_WINDOW`.
    pub lane: LaneConfig,
    /// `UPLOAD_RATE`.
    pub rate: Option<u64>,
    /// `UPLOAD_TLS_FINGERPRINT`.
    pub pin: Option<CertificatePin>,
}

impl TargetDefaults {
    fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let parallel = reader.required(lane::PARALLEL, lane::parallel);
        let window = reader.required(lane::WINDOW, lane::window);
        let rate = reader.optional(RATE, rate);
        let pin = CertificatePin::read(reader);
        Ok(Self {
            lane: LaneConfig { parallel: parallel?, window: window?, every: None },
            rate: rate?,
            pin: pin?,
        })
    }
}

const RATE: &str = "UPLOAD_RATE";

fn rate(text: &str) -> Result<u64, Wrong> {
    size(RATE_MIN, "32768 (32 KiB) to 1 EiB per second", text)
}

/// What the variables of one target say; `None` of it where it is not configured.
struct Found {
    id: TargetId,
    target: Option<TargetConfig>,
    pin: Option<CertificatePin>,
}

impl Found {
    fn read(
        reader: &mut TargetReader<'_, '_>,
        defaults: &ReadResult<TargetDefaults>,
        site: &SiteFacts<'_>,
    ) -> ReadResult<Self> {
        let id = reader.id();
        let own = |name| variables::own_name(id.kind(), name);
        let parallel = reader.optional(&own(lane::PARALLEL), lane::parallel);
        let window = reader.optional(&own(lane::WINDOW), lane::window);
        let rate = reader.optional(&own(RATE), rate);
        let pin = CertificatePin::read_own(reader);
        let settings = TargetSettings::read(reader, site);
        let (parallel, window, rate, pin, settings) = (parallel?, window?, rate?, pin?, settings?);
        let Ok(defaults) = defaults else { return Err(Reported) };
        let target = settings.map(|settings| TargetConfig {
            id,
            lane: LaneConfig {
                parallel: parallel.unwrap_or(defaults.lane.parallel),
                window: window.unwrap_or(defaults.lane.window),
                every: settings.every(),
            },
            rate: rate.or(defaults.rate),
            pin: pin.clone().or_else(|| defaults.pin.clone()),
            settings,
        });
        Ok(Self { id, target, pin })
    }
}

/// Reads all targets: those that `UPLOAD_TARGETS` names, or else those that are configured, in the order of their ids.
pub(super) fn read_all(
    reader: &mut VariableReader<'_>,
    site: &SiteFacts<'_>,
) -> ReadResult<(TargetDefaults, Vec<TargetConfig>)> {
    let defaults = TargetDefaults::read(reader);
    let named = reader.optional(NAMED, ids);
    let mut found = Vec::new();
    let mut outcome = Ok(());
    for id in mentioned(reader.env()) {
        match Found::read(&mut TargetReader::new(reader, id), &defaults, site) {
            Ok(one) => found.push(one),
            Err(Reported) => outcome = Err(Reported),
        }
    }
    let (defaults, named) = (defaults?, named?);
    outcome?;
    for one in found.iter().filter(|one| one.target.is_none() && one.id.number() > 1) {
        warn_of_idle(reader, one.id);
    }
    let there: BTreeSet<TargetId> = found.iter().filter_map(|one| Some(one.target.as_ref()?.id)).collect();
    match &named {
        Some(named) => are_configured(reader, named, &there)?,
        None => are_without_gap(reader, &there)?,
    }
    let (mut targets, mut pins) = (Vec::new(), Vec::new());
    for one in found {
        pins.extend(one.pin);
        targets.extend(one.target.filter(|it| named.as_ref().is_none_or(|named| named.contains(&it.id))));
    }
    pins.extend(defaults.pin.clone());
    warn_of_idle_pins(reader, &pins, &targets);
    Ok((defaults, targets))
}

const NAMED: &str = "UPLOAD_TARGETS";

/// Reads `UPLOAD_TARGETS`.
fn ids(text: &str) -> Result<BTreeSet<TargetId>, Wrong> {
    let ids = text.split(',').map(|name| TargetId::parse(&name.trim().to_ascii_lowercase()));
    ids.collect::<Option<_>>().ok_or_else(|| {
        let kinds = TargetKind::list();
        let accepted = format!("one or more of {kinds}; the second of a kind is api_2, the last api_9");
        Wrong::new("names an unknown target", accepted)
    })
}

/// The first target of each kind, and every other of which a variable has a value.
fn mentioned(env: &Env) -> BTreeSet<TargetId> {
    let others = env.names().filter_map(|name| match variables::find(name)? {
        (variable, Whose::Target(number)) => TargetId::new(variable.kind?, u8::try_from(number).ok()?),
        _ => None,
    });
    others.chain(TargetKind::ALL.map(TargetId::first)).collect()
}

/// A variable that stands for nothing: without its address there is no target.
fn warn_of_idle(reader: &mut VariableReader<'_>, id: TargetId) {
    let is_of_it = |name: &&str| {
        variables::find(name).is_some_and(|(variable, whose)| {
            variable.kind == Some(id.kind()) && whose == Whose::Target(u32::from(id.number()))
        })
    };
    let needed = needed(id);
    for name in reader.env().names().filter(is_of_it) {
        reader.warn(name, format_args!("not used, because {needed} is not set"));
    }
}

/// What makes a target, by the names it has there.
fn needed(id: TargetId) -> String {
    let names: Vec<_> =
        TargetSettings::variables(id.kind()).needed.iter().map(|name| variables::name_of(id, name)).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.join(""),
    }
}

fn are_configured(
    reader: &mut VariableReader<'_>,
    named: &BTreeSet<TargetId>,
    there: &BTreeSet<TargetId>,
) -> ReadResult<()> {
    let mut outcome = Ok(());
    for id in named.difference(there) {
        let what = format!("{id} is named but not configured");
        let wrong = Wrong::new(what, format!("{id} with {} beside it", needed(*id)));
        outcome = Err(reader.refuse(NAMED, &wrong));
    }
    outcome
}

/// A number that is left out may be a slip of the pen, and the pictures of a queue would be sent elsewhere.
fn are_without_gap(reader: &mut VariableReader<'_>, there: &BTreeSet<TargetId>) -> ReadResult<()> {
    let mut outcome = Ok(());
    for id in there {
        let before = TargetId::new(id.kind(), id.number() - 1);
        if let Some(missing) = before.filter(|before| !there.contains(before)) {
            let all: Vec<_> = there.iter().map(|id| id.as_str()).collect();
            let accepted = format!(
                "{NAMED}={} if that is meant; else {}, or the variables of {id} with the number before",
                all.join(","),
                needed(missing)
            );
            let wrong = Wrong::new(format!("{id} is configured, but {missing} is not"), accepted);
            outcome = Err(reader.refuse(NAMED, &wrong));
        }
    }
    outcome
}

/// Says which pins hold for nothing, because what they are for is not secured or not there.
fn warn_of_idle_pins(reader: &mut VariableReader<'_>, pins: &[CertificatePin], targets: &[TargetConfig]) {
    let secured = targets.iter().filter(|target| target.settings.url().scheme() == "https");
    let used: BTreeSet<_> =
        secured.filter_map(|target| target.pin.as_ref()).map(|pin| &pin.setting).collect();
    let idle: BTreeSet<_> =
        pins.iter().map(|pin| &pin.setting).filter(|setting| !used.contains(setting)).collect();
    for setting in idle {
        reader.warn(setting, "not used, because no address of a target that it is for begins with https://");
    }
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
