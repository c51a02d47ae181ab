//! Log-ins, sessions and tokens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::number::whole_or_null;
use super::time::Time;
use crate::store::{Scope, Token};

/// A log-in.
#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct LogIn {
    #[schema(example = "correct horse battery")]
    pub(in crate::web) password: String,
}

/// The first password.
#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct SetUp {
    /// It stands in the program's log of its last start.
    #[schema(example = "k3x9m-q7w2p")]
    pub(in crate::web) code: String,
    /// None that is guessed soon.
    #[schema(min_length = 8, max_length = 128, example = "correct horse battery")]
    pub(in crate::web) password: String,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct ChangePassword {
    /// The one that counts now.
    #[schema(example = "correct horse battery")]
    pub(in crate::web) current: String,
    /// The one that shall count; none that is guessed soon.
    #[schema(min_length = 8, max_length = 128, example = "staple tin lantern")]
    pub(in crate::web) new: String,
}

/// Whoever has just come in.
#[derive(Serialize, ToSchema)]
#[schema(as = Welcome)]
pub(in crate::web) struct WelcomeView {
    /// What mutations carry in `X-CSRF-Token`.
    #[schema(example = "0pTnq2cO3P5b1r7sVxYw8Z4aDfGhJkLm6nQeRtUiB9A")]
    pub(in crate::web) csrf_token: String,
}

/// By what someone is let in.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AskerKind)]
pub(in crate::web) enum AskerKind {
    /// A browser that is logged in.
    Session,
    /// A program.
    Token,
    /// Someone on this machine, where no password is asked for.
    Local,
}

/// What is asked of whoever comes.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AccessKind)]
pub(in crate::web) enum AccessKind {
    /// The password.
    Password,
    /// That they are on this machine.
    Loopback,
    /// As before, and it is the demonstration.
    Demo,
}

/// Who is asking.
#[derive(Serialize, ToSchema)]
#[schema(as = Asker)]
pub(in crate::web) struct AskerView {
    pub(in crate::web) kind: AskerKind,
    pub(in crate::web) access: AccessKind,
    /// What mutations of a session carry in `X-CSRF-Token`; null for others.
    #[schema(example = "0pTnq2cO3P5b1r7sVxYw8Z4aDfGhJkLm6nQeRtUiB9A")]
    pub(in crate::web) csrf_token: Option<String>,
}

/// Someone who is logged in.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(in crate::web) struct SessionView {
    /// No secret; the log names sessions by it.
    #[schema(example = "1f8a3c5e")]
    pub(in crate::web) id: String,
    /// Whether it is that of whoever asks.
    pub(in crate::web) current: bool,
    pub(in crate::web) created_at: Time,
    /// To five minutes.
    pub(in crate::web) last_seen_at: Time,
    pub(in crate::web) expires_at: Time,
    /// Address where the password was given.
    #[schema(example = "192.168.1.20")]
    pub(in crate::web) from: Option<String>,
    #[schema(example = "Firefox on Linux")]
    pub(in crate::web) browser: Option<String>,
}

/// Who is logged in, the newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct SessionList {
    pub(in crate::web) sessions: Vec<SessionView>,
}

/// How many sessions have ended.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct SessionsEnded {
    #[schema(example = 2)]
    pub(in crate::web) ended: usize,
}

/// Days until a token ends unless asked otherwise.
const DAYS: u32 = 365;

/// A token that shall be made.
#[derive(Deserialize, ToSchema)]
pub(in crate::web) struct TokenWish {
    /// Characters that can be seen.
    #[schema(min_length = 1, max_length = 64, example = "evening report")]
    pub(in crate::web) name: String,
    /// `read` unless asked otherwise.
    #[serde(default)]
    #[schema(value_type = Option<Scope>)]
    pub(in crate::web) scope: Option<String>,
    /// Null is one that does not end by itself; a year unless asked otherwise.
    #[serde(default = "default_days", deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 3650, example = 365)]
    pub(in crate::web) expires_in_days: Option<u32>,
    /// The dashboard's, again; wanted where one is set.
    #[serde(default)]
    #[schema(example = "correct horse battery")]
    pub(in crate::web) password: Option<String>,
}

// The shape is serde's.
#[allow(clippy::unnecessary_wraps, reason = "the default of an optional field")]
fn default_days() -> Option<u32> {
    Some(DAYS)
}

/// A token for a program; its secret is not known any more.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(in crate::web) struct TokenView {
    #[schema(example = 3)]
    pub(in crate::web) id: i64,
    #[schema(example = "evening report")]
    pub(in crate::web) name: String,
    #[schema(value_type = Scope)]
    pub(in crate::web) scope: &'static str,
    /// How its secret begins; null for old ones.
    #[schema(example = "cc_5x2q")]
    pub(in crate::web) prefix: Option<String>,
    pub(in crate::web) created_at: Time,
    /// Null: it does not end by itself.
    pub(in crate::web) expires_at: Option<Time>,
    /// To the hour.
    pub(in crate::web) last_used_at: Option<Time>,
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            name: token.name,
            scope: token.scope.as_str(),
            prefix: token.hint,
            created_at: Time(token.created_at),
            expires_at: token.expires_at.map(Time),
            last_used_at: token.last_used_at.map(Time),
        }
    }
}

/// All tokens, without their secrets.
#[derive(Serialize, ToSchema)]
pub(in crate::web) struct TokenList {
    pub(in crate::web) tokens: Vec<TokenView>,
}

/// A token that has just been made.
#[derive(Serialize, ToSchema)]
#[schema(as = NewToken)]
pub(in crate::web) struct MadeToken {
    #[serde(flatten)]
    pub(in crate::web) about: TokenView,
    /// Its secret, shown this once.
    #[schema(example = "cc_5x2qO3P5b1r7sVxYw8Z4aDfGhJkLm6nQeRtUiB9A")]
    pub(in crate::web) token: String,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;
    use crate::web::password_strength::{LENGTH_MAX, LENGTH_MIN};

    #[test]
    fn the_length_of_a_password_is_described_as_it_is_checked() {
        for (schema, name) in [(SetUp::schema(), "password"), (ChangePassword::schema(), "new")] {
            let schema = serde_json::json!(schema);
            let password = &schema["properties"][name];
            assert_eq!(password["minLength"], LENGTH_MIN, "{password}");
            assert_eq!(password["maxLength"], LENGTH_MAX, "{password}");
        }
    }

    #[test]
    fn a_token_ends_after_a_year_unless_asked_otherwise_and_never_only_if_that_is_asked_for() {
        let days = |text: &str| serde_json::from_str::<TokenWish>(text).unwrap().expires_in_days;
        assert_eq!(days(r#"{"name": "x"}"#), Some(365));
        assert_eq!(days(r#"{"name": "x", "expires_in_days": 7}"#), Some(7));
        assert_eq!(days(r#"{"name": "x", "expires_in_days": null}"#), None);
    }
}
