//! `DISCORD_…` and `RELAY_URL`: targets that are one address.

use url::Url;

use super::Secret;
use super::endpoint::{http_address, webhook};
use super::reader::{ReadResult, VariableReader};
use super::values::size;

/// Smallest `DISCORD_MAX_BYTES`: no picture of a gate can be told in less.
const MAX_BYTES_MIN: u64 = 64 << 10;

/// The `discord` target.
#[derive(Clone, Debug)]
pub struct DiscordTargetConfig {
    /// `DISCORD_WEBHOOK_URL`, http or https; its path is the permission to write.
    pub url: Secret<Url>,
    /// `DISCORD_MAX_BYTES`, from 64 KiB: largest file that is sent.
    pub max_bytes: u64,
}

impl DiscordTargetConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("DISCORD_WEBHOOK_URL", http_address);
        let max_bytes =
            reader.required("DISCORD_MAX_BYTES", |text| size(MAX_BYTES_MIN, "65536 (64 KiB) to 1 EiB", text));
        let (url, max_bytes) = (url?, max_bytes?);
        let Some((url, words)) = url.map(webhook) else { return Ok(None) };
        if let Some(words) = words {
            reader.warn("DISCORD_WEBHOOK_URL", words);
        }
        Ok(Some(Self { url: Secret::new(url), max_bytes }))
    }
}

/// The `relay` target.
#[derive(Clone, Debug)]
pub struct RelayTargetConfig {
    /// `RELAY_URL`, http or https; may carry credentials.
    pub url: Secret<Url>,
}

impl RelayTargetConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("RELAY_URL", http_address)?;
        Ok(url.map(|url| Self { url: Secret::new(url) }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, warnings};

    #[test]
    fn an_address_alone_configures_them() {
        let upload = config(&[
            ("DISCORD_WEBHOOK_URL", "https://discord.example/api/webhooks/1/hunter2"),
            ("RELAY_URL", "http://10.0.0.9:9000/upload"),
        ])
        .upload;
        assert_eq!(upload.discord.unwrap().max_bytes, 10 << 20);
        assert_eq!(upload.relay.unwrap().url.reveal().as_str(), "http://10.0.0.9:9000/upload");
    }

    #[test]
    fn an_address_for_messages_of_another_form_is_read_without_its_end_and_said_without_its_token() {
        let pairs = [("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/1/hunter2/slack")];
        let read = config(&pairs).upload.discord.unwrap();
        assert_eq!(read.url.reveal().as_str(), "https://discord.com/api/webhooks/1/hunter2");
        let said = warnings(&pairs).join("\n");
        assert!(
            said.contains("DISCORD_WEBHOOK_URL: has /slack at its end") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn a_bad_address_or_limit_is_a_problem_and_the_address_is_not_shown() {
        for (name, value) in [
            ("DISCORD_WEBHOOK_URL", "discord.example/hunter2"),
            ("RELAY_URL", "ftp://x/hunter2"),
            ("DISCORD_MAX_BYTES", "5"),
        ] {
            let text = problem(&[(name, value)]);
            assert!(text.starts_with(&format!("{name}: ")) && !text.contains("hunter2"), "{text}");
        }
    }
}
