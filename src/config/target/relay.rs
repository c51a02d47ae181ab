//! `RELAY_URL`: another box.

use url::Url;

use crate::config::Secret;
use crate::config::describe::{TargetLines, origin};
use crate::config::endpoint::http_address;
use crate::config::reader::{ReadResult, TargetReader};

/// The `relay` target.
#[derive(Clone, Debug)]
pub struct RelayTargetConfig {
    /// `RELAY_URL`, http or https; may carry credentials.
    pub url: Secret<Url>,
}

impl RelayTargetConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut TargetReader<'_, '_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("RELAY_URL", http_address)?;
        Ok(url.map(|url| Self { url: Secret::new(url) }))
    }

    pub(super) fn describe(&self, lines: &mut TargetLines<'_>) {
        let origin = origin(self.url.reveal());
        lines.comment(format_args!("RELAY_URL is set: {origin} (path hidden)"));
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

    #[test]
    fn a_bad_address_is_a_problem_and_is_not_shown() {
        let text = problem(&[("RELAY_URL", "ftp://x/hunter2")]);
        assert!(text.starts_with("RELAY_URL: ") && !text.contains("hunter2"), "{text}");
    }
}
