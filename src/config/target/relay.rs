//! `RELAY_URL`: another box.

use std::time::Duration;

use url::Url;

use super::kind::KindVariables;
use crate::config::Secret;
use crate::config::endpoint::http_address;
use crate::config::lines::{TargetLines, origin};
use crate::config::reader::{ReadResult, TargetReader};
use crate::config::values::whole;

/// What is said of this kind.
pub(super) const VARIABLES: KindVariables =
    KindVariables { needed: &["RELAY_URL"], address: "RELAY_URL", login: "the credentials in RELAY_URL" };

/// The `relay` target.
#[derive(Clone, Debug)]
pub struct RelayTargetConfig {
    /// `RELAY_URL`, http or https; may carry credentials.
    pub url: Secret<Url>,
    /// `RELAY_INTERVAL`, to 86 400 s: the rest between two rounds of sending; `None`, written 0, sends at once.
    pub every: Option<Duration>,
}

impl RelayTargetConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut TargetReader<'_, '_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("RELAY_URL", http_address);
        let seconds = reader.required("RELAY_INTERVAL", whole(0..=86_400, "seconds"));
        let (url, seconds) = (url?, seconds?);
        let every = (seconds > 0).then(|| Duration::from_secs(seconds));
        Ok(url.map(|url| Self { url: Secret::new(url), every }))
    }

    pub(super) fn describe(&self, lines: &mut TargetLines<'_>) {
        let origin = origin(self.url.reveal());
        lines.comment(format_args!("RELAY_URL is set: {origin} (path hidden)"));
        lines.comment(format_args!("RELAY_INTERVAL={}", self.every.map_or(0, |every| every.as_secs())));
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{config, problem};
    use crate::model::TargetId;

    #[test]
    fn an_address_alone_configures_it() {
        let upload = config(&[("RELAY_URL", "http://10.0.0.9:9000/upload")]).upload;
        let relay = upload.target(TargetId::RELAY).unwrap();
        assert_eq!(relay.settings.url().as_str(), "http://10.0.0.9:9000/upload");
    }

    /// S3.6
    #[test]
    fn it_sends_in_rounds_if_an_interval_says_so() {
        let lane = |interval| {
            let pairs = [("RELAY_URL", "http://10.0.0.9:6000/upload"), ("RELAY_INTERVAL", interval)];
            config(&pairs).upload.target(TargetId::RELAY).unwrap().lane
        };
        assert_eq!(lane("60").every, Some(std::time::Duration::from_secs(60)));
        assert_eq!((lane("0").every, lane("").every), (None, None));
        assert!(
            problem(&[("RELAY_URL", "http://x/"), ("RELAY_INTERVAL", "x")]).starts_with("RELAY_INTERVAL: ")
        );
    }

    #[test]
    fn a_bad_address_is_a_problem_and_is_not_shown() {
        let text = problem(&[("RELAY_URL", "ftp://x/hunter2")]);
        assert!(text.starts_with("RELAY_URL: ") && !text.contains("hunter2"), "{text}");
    }
}
