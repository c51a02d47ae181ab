//! `PUBLIC_URL`, `LINK_HOURS`: public links to single pictures.

use std::time::Duration;

use url::Url;

use super::endpoint::http_address;
use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::whole;

/// Longest life of a link that ends by itself, hours: a year.
pub const LINK_HOURS_MAX: u32 = 8760;

/// Public links.
#[derive(Clone, Debug, Default)]
pub struct LinkConfig {
    /// `PUBLIC_URL`: scheme, host and perhaps a port by which the dashboard is reached from outside.
    pub public_url: Option<Url>,
    /// `LINK_HOURS`: how long a link holds unless another time is asked for; `None`, written `never`, does not end.
    pub life: Option<Duration>,
}

impl LinkConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let public_url = reader.optional("PUBLIC_URL", public_address);
        let life = reader.required("LINK_HOURS", life);
        Ok(Self { public_url: public_url?, life: life? })
    }

    /// The host by which the machine is spoken to from outside.
    pub fn host(&self) -> Option<&str> {
        self.public_url.as_ref()?.host_str()
    }

    /// The whole address of what is served at `path`, where it is known.
    pub fn address(&self, path: &str) -> Option<String> {
        Some(self.public_url.as_ref()?.join(path).ok()?.into())
    }

    /// As it is written.
    pub(super) fn hours(&self) -> String {
        self.life.map_or_else(|| "never".to_owned(), |life| (life.as_secs() / 3600).to_string())
    }
}

/// Reads `LINK_HOURS`.
fn life(text: &str) -> Result<Option<Duration>, Wrong> {
    if text.eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    let hours = whole(0..=u64::from(LINK_HOURS_MAX), "hours")(text)
        .map_err(|wrong| Wrong::new(wrong.what, format!("1 to {LINK_HOURS_MAX} hours, or never")))?;
    Ok((hours > 0).then(|| Duration::from_secs(hours * 3600)))
}

/// An address without a path: what is served stands below it.
fn public_address(text: &str) -> Result<Url, Wrong> {
    let accepted =
        "https://gate.example.org or http://203.0.113.7:9000, where this dashboard is reached from outside";
    let url = http_address(text).map_err(|wrong| Wrong::new(wrong.what, accepted))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("has a log-in, which everyone would see", accepted));
    }
    if url.path() != "/" || url.query().is_some() {
        return Err(Wrong::new("has a path; the dashboard is served at the root of an address", accepted));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem};
    use super::*;

    /// S1.8
    #[test]
    fn links_hold_for_three_days_unless_something_else_is_set() {
        let life = |text| config(&[("LINK_HOURS", text)]).web.links.life;
        assert_eq!(life(""), Some(Duration::from_secs(72 * 3600)));
        assert_eq!(life("1"), Some(Duration::from_secs(3600)));
        assert_eq!((life("0"), life("Never")), (None, None));
        for wrong in ["-1", "8761", "3 days", "1.5"] {
            let text = problem(&[("LINK_HOURS", wrong)]);
            assert!(text.starts_with("LINK_HOURS: ") && text.contains("or never"), "{text}");
        }
    }

    #[test]
    fn the_public_address_is_one_at_whose_root_the_dashboard_is() {
        let links = config(&[("PUBLIC_URL", "https://gate.example.org")]).web.links;
        assert_eq!(links.address("/s/x.jpg").as_deref(), Some("https://gate.example.org/s/x.jpg"));
        assert_eq!(links.host(), Some("gate.example.org"));
        assert_eq!(LinkConfig::default().address("/s/x.jpg"), None);
        for wrong in [
            "gate.example.org",
            "ftp://gate.example.org",
            "https://gate.example.org/cameras",
            "https://gate.example.org/?a=b",
            "https://bob:hunter2@gate.example.org",
        ] {
            assert!(problem(&[("PUBLIC_URL", wrong)]).starts_with("PUBLIC_URL: "), "{wrong}");
        }
    }
}
