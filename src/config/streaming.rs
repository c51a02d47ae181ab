//! `STREAM_…`: the camera whose address comes over the network, who may say so, and its viewers.

use super::network::{Network, networks};
use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::{choice, whole};
use super::{Reach, Secret};

/// Shortest secret of tokens, characters: as long as what HS256 makes of it (RFC 7518 section 3.2).
const JWT_SECRET_MIN: usize = 32;

/// Longest.
const JWT_SECRET_MAX: usize = 1024;

/// Words of `STREAM_JWT_SCOPE`; those of the scopes of our own tokens.
pub(super) const JWT_SCOPES: &[(&str, &str)] = &[("read", "read"), ("operate", "operate"), ("full", "full")];

/// Networks of cameras unless set otherwise: those that no router passes on (RFC 1918, RFC 4193).
const PRIVATE: &str = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7";

/// Streaming.
#[derive(Clone, Debug)]
pub struct StreamingConfig {
    /// Pictures a second asked of a camera that has no stream of its own, 1 to 25.
    pub fps: u8,
    /// Where a camera may be.
    pub reach: Reach,
    /// Whose tokens are taken beside our own.
    pub jwt: Option<JwtConfig>,
    /// Requests a minute of one client, 1 to 100 000.
    pub per_minute: u32,
}

/// Tokens that another program signs.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// What they are signed with, HS256.
    pub secret: Secret<String>,
    /// What a token may do that does not say: `read`, `operate` or `full`.
    pub scope: &'static str,
}

impl StreamingConfig {
    pub(super) fn read(reader: &mut VariableReader<'_>) -> ReadResult<Self> {
        let fps = reader.required("STREAM_FPS", whole(1..=25, "pictures a second"));
        let networks = reader.required("STREAM_ALLOW", networks);
        let secret = reader.optional("JWT_SECRET", |text| jwt_secret(text).map(Secret::new));
        let scope = reader.required("STREAM_JWT_SCOPE", choice(JWT_SCOPES));
        let per_minute = reader.required("STREAM_REQUESTS_PER_MINUTE", whole(1..=100_000, "requests"));
        let (fps, networks, secret, scope, per_minute) = (fps?, networks?, secret?, scope?, per_minute?);
        Ok(Self {
            // The ranges above fit.
            fps: u8::try_from(fps).unwrap_or(1),
            reach: Reach { networks },
            jwt: secret.map(|secret| JwtConfig { secret, scope }),
            per_minute: u32::try_from(per_minute).unwrap_or(1),
        })
    }
}

impl Default for StreamingConfig {
    /// As with no variable set.
    fn default() -> Self {
        let networks = PRIVATE.split(',').filter_map(Network::parse).collect();
        Self { fps: 10, reach: Reach { networks }, jwt: None, per_minute: 600 }
    }
}

fn jwt_secret(text: &str) -> Result<String, Wrong> {
    if (JWT_SECRET_MIN..=JWT_SECRET_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        "too short or too long",
        "32 to 1024 characters, best of openssl rand -base64 48; the same for the program that signs the tokens",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, problem, problems};
    use super::*;

    #[test]
    fn unset_it_is_as_its_default_says() {
        let read = format!("{:?}", config(&[]).streaming);
        assert_eq!(read, format!("{:?}", StreamingConfig::default()));
    }

    #[test]
    fn a_short_secret_is_refused_and_never_shown() {
        let text = problem(&[("JWT_SECRET", "hunter2")]);
        assert!(text.starts_with("JWT_SECRET: ") && !text.contains("hunter2"), "{text}");
        let long = "hunter2-hunter2-hunter2-hunter2-hunter2";
        let config = config(&[("JWT_SECRET", long), ("STREAM_JWT_SCOPE", "Operate")]);
        assert_eq!(config.streaming.jwt.as_ref().map(|jwt| jwt.scope), Some("operate"));
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!config.describe().contains("hunter2"));
    }

    #[test]
    fn what_is_out_of_range_is_said_all_at_once() {
        let text = problems(&[
            ("STREAM_FPS", "0"),
            ("STREAM_ALLOW", "home"),
            ("STREAM_JWT_SCOPE", "admin"),
            ("STREAM_REQUESTS_PER_MINUTE", "0"),
        ]);
        assert_eq!(text.len(), 4, "{text:?}");
    }
}
