//! `DISCORD_…`: a webhook of a channel.

use url::Url;

use super::kind::KindVariables;
use crate::config::Secret;
use crate::config::endpoint::{http_address, webhook};
use crate::config::lines::{TargetLines, origin};
use crate::config::problem::Wrong;
use crate::config::reader::{ReadResult, TargetReader};
use crate::config::values::{choice, size};

use super::site::SiteFacts;

/// Smallest `DISCORD_MAX_BYTES`: no picture of a gate can be told in less.
const MAX_BYTES_MIN: u64 = 64 << 10;

/// What is said of this kind.
pub(super) const VARIABLES: KindVariables = KindVariables {
    needed: &["DISCORD_WEBHOOK_URL"],
    address: "DISCORD_WEBHOOK_URL",
    login: "DISCORD_WEBHOOK_URL",
};

/// The `discord` target.
#[derive(Clone, Debug)]
pub struct DiscordTargetConfig {
    /// `DISCORD_WEBHOOK_URL`, http or https; its path is the permission to write.
    pub url: Secret<Url>,
    /// `DISCORD_MAX_BYTES`, from 64 KiB: largest file that is sent.
    pub max_bytes: u64,
    /// `DISCORD_MESSAGE`.
    pub message: DiscordMessage,
}

/// What a message has of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscordMessage {
    /// The file.
    File,
    /// A public link below this address, from which Discord fetches the picture; the file of a picture that has none.
    Link(Url),
}

/// `DISCORD_MESSAGE`: whether it is a link.
const MESSAGES: &[(&str, bool)] = &[("file", false), ("link", true)];

impl DiscordTargetConfig {
    /// `None` when there is no address.
    pub(super) fn read(reader: &mut TargetReader<'_, '_>, site: &SiteFacts<'_>) -> ReadResult<Option<Self>> {
        let url = reader.optional("DISCORD_WEBHOOK_URL", http_address);
        let max_bytes =
            reader.required("DISCORD_MAX_BYTES", |text| size(MAX_BYTES_MIN, "65536 (64 KiB) to 1 EiB", text));
        let is_link = reader.required("DISCORD_MESSAGE", choice(MESSAGES));
        let message = is_link.and_then(|is_link| match (is_link, site.public_url) {
            (true, Some(url)) => Ok(DiscordMessage::Link(url.clone())),
            (true, None) if site.is_web_right => {
                let what = "a link needs the address by which this box is reached from outside";
                Err(reader
                    .refuse("DISCORD_MESSAGE", &Wrong::new(what, "file, or link together with PUBLIC_URL")))
            }
            (true, None) | (false, _) => Ok(DiscordMessage::File),
        });
        let (url, max_bytes, message) = (url?, max_bytes?, message?);
        let Some((url, words)) = url.map(webhook) else { return Ok(None) };
        if let Some(words) = words {
            reader.warn("DISCORD_WEBHOOK_URL", words);
        }
        Ok(Some(Self { url: Secret::new(url), max_bytes, message }))
    }

    pub(super) fn describe(&self, lines: &mut TargetLines<'_>) {
        let origin = origin(self.url.reveal());
        lines.comment(format_args!("DISCORD_WEBHOOK_URL is set: {origin} (path hidden)"));
        lines.comment(format_args!("DISCORD_MAX_BYTES={}", self.max_bytes));
        let message = match self.message {
            DiscordMessage::File => "file",
            DiscordMessage::Link(_) => "link",
        };
        lines.comment(format_args!("DISCORD_MESSAGE={message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TargetSettings;
    use crate::config::testing::{config, problem, warnings};
    use crate::model::TargetId;

    fn discord(pairs: &[(&str, &str)]) -> DiscordTargetConfig {
        match &config(pairs).upload.target(TargetId::DISCORD).unwrap().settings {
            TargetSettings::Discord(discord) => discord.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_alone_configures_it() {
        let url = "https://discord.example/api/webhooks/1/hunter2";
        assert_eq!(discord(&[("DISCORD_WEBHOOK_URL", url)]).max_bytes, 10 << 20);
    }

    #[test]
    fn an_address_for_messages_of_another_form_is_read_without_its_end_and_said_without_its_token() {
        let pairs = [("DISCORD_WEBHOOK_URL", "https://discord.com/api/webhooks/1/hunter2/slack")];
        assert_eq!(discord(&pairs).url.reveal().as_str(), "https://discord.com/api/webhooks/1/hunter2");
        let said = warnings(&pairs).join("\n");
        assert!(
            said.contains("DISCORD_WEBHOOK_URL: has /slack at its end") && !said.contains("hunter2"),
            "{said}"
        );
    }

    /// S1.5
    #[test]
    fn a_link_is_posted_only_where_it_leads_somewhere() {
        let (url, public) = ("https://discord.example/api/webhooks/1/x", "https://gate.example.org");
        let post =
            |pairs: &[(&str, &str)]| discord(&[&[("DISCORD_WEBHOOK_URL", url)], pairs].concat()).message;
        assert_eq!(post(&[]), DiscordMessage::File);
        assert_eq!(post(&[("PUBLIC_URL", public)]), DiscordMessage::File, "a link is for who wants one");
        let link = DiscordMessage::Link(public.parse().unwrap());
        assert_eq!(post(&[("PUBLIC_URL", public), ("DISCORD_MESSAGE", "link")]), link);
        let text = problem(&[("DISCORD_WEBHOOK_URL", url), ("DISCORD_MESSAGE", "link")]);
        assert!(text.starts_with("DISCORD_MESSAGE: a link needs the address"), "{text}");
        let alone = [("DISCORD_WEBHOOK_URL", url), ("DISCORD_MESSAGE", "link"), ("PUBLIC_URL", "ftp://x")];
        assert!(problem(&alone).starts_with("PUBLIC_URL: "), "one mistake is said once");
        assert!(problem(&[("DISCORD_MESSAGE", "url")]).starts_with("DISCORD_MESSAGE: "));
    }

    #[test]
    fn a_bad_address_or_limit_is_a_problem_and_the_address_is_not_shown() {
        for (name, value) in [("DISCORD_WEBHOOK_URL", "discord.example/hunter2"), ("DISCORD_MAX_BYTES", "5")]
        {
            let text = problem(&[(name, value)]);
            assert!(text.starts_with(&format!("{name}: ")) && !text.contains("hunter2"), "{text}");
        }
    }
}
