//! What was seen when a target was tried out: in words for people, and as a document for programs. Pure.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::model::{FileName, ImageId, TargetId, UnixMs};

/// Version of the document: a number that grows when something that was there is not any more.
const VERSION: u32 = 1;

/// The steps on the way to a delivery, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// The name becomes addresses.
    Name,
    /// A connection to one of them.
    Tcp,
    /// The proxy opens the way to the target; only where there is one and the target is `https`.
    Proxy,
    /// The connection is secured; only where the target is `https`.
    Tls,
    /// The test picture is sent, and something is answered.
    Http,
    /// Whether that answer counts as a delivery.
    Verdict,
}

impl StepKind {
    fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tcp => "TCP",
            Self::Proxy => "proxy",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Verdict => "verdict",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TryoutStep {
    /// Which.
    #[serde(rename = "step")]
    pub kind: StepKind,
    /// Whether it went well; `None` if it was not done.
    pub ok: Option<bool>,
    /// What was seen, and what to do.
    pub text: String,
    /// How long it took.
    pub ms: u64,
    /// What was seen, for programs.
    pub seen: Option<TryoutSeen>,
}

impl TryoutStep {
    /// For people, as a line.
    pub fn line(&self) -> String {
        let mark = match self.ok {
            Some(true) => "ok",
            Some(false) => "FAILED",
            None => "-",
        };
        let time = if self.ok.is_some() { format!(" ({} ms)", self.ms) } else { String::new() };
        format!("{mark:<7} {}: {}{time}", self.kind.word(), self.text)
    }
}

/// What was seen, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TryoutSeen {
    /// A name and its addresses.
    Name {
        /// Host of the target, or of the proxy on the way.
        host: String,
        /// The variable the proxy stands in, if that was asked for.
        proxy: Option<&'static str>,
        /// What it has.
        addresses: Vec<String>,
    },
    /// Connections.
    Connections {
        /// One for each address.
        connections: Vec<ConnectionReport>,
    },
    /// A secured connection.
    Secured {
        /// Version of TLS, such as `TLS 1.3`, if one was agreed on.
        version: Option<&'static str>,
        /// The server's certificate, if it showed one.
        certificate: Option<Certificate>,
    },
    /// Answers.
    Answers {
        /// Their statuses; a store is asked more than once.
        statuses: Vec<u16>,
        /// `Content-Type` of the last one.
        content_type: String,
    },
}

/// A connection, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionReport {
    /// Address and port.
    pub address: String,
    /// What came of it.
    pub outcome: ConnectionOutcome,
    /// After so long.
    pub ms: u64,
}

/// What comes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionOutcome {
    /// It is there.
    Connected,
    /// Nothing listens there (RST).
    Refused,
    /// Nothing came back.
    TimedOut,
    /// The network says that there is no way.
    Unreachable,
    /// Something else.
    Failed,
}

impl ConnectionOutcome {
    /// In words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Refused => "refused the connection",
            Self::TimedOut => "timed out",
            Self::Unreachable => "is unreachable (no way there)",
            Self::Failed => "failed",
        }
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// To whom it is made out.
    pub names: Vec<String>,
    /// Who made it.
    pub issuer: String,
    /// From when it holds.
    #[serde(serialize_with = "as_rfc3339")]
    pub not_before: Option<UnixMs>,
    /// Until when.
    #[serde(serialize_with = "as_rfc3339")]
    pub not_after: Option<UnixMs>,
}

#[allow(clippy::ref_option, reason = "serde calls it so")]
fn as_rfc3339<S: Serializer>(at: &Option<UnixMs>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(UnixMs::rfc3339).serialize(serializer)
}

/// The picture that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TestPicture {
    /// Its name.
    pub filename: FileName,
    /// Its identity, which is the idempotency key.
    pub id: ImageId,
    /// Its length.
    pub bytes: u64,
}

/// What came of trying out one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TryoutReport {
    /// Which.
    pub target: TargetId,
    /// Scheme, host and port.
    pub address: String,
    /// The picture.
    pub picture: Option<TestPicture>,
    /// Step by step.
    pub steps: Vec<TryoutStep>,
}

impl TryoutReport {
    /// Whether the test picture was taken and no step failed.
    pub fn is_ok(&self) -> bool {
        self.steps.last().is_some_and(|step| step.kind == StepKind::Verdict && step.ok == Some(true))
            && self.steps.iter().all(|step| step.ok != Some(false))
    }

    /// What went wrong: the verdict's words, or those of the step that failed.
    pub fn error(&self) -> Option<&str> {
        let failed = self.steps.iter().rev().find(|step| step.ok == Some(false));
        failed.map(|step| step.text.as_str())
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "target": self.target,
            "address": self.address,
            "ok": self.is_ok(),
            "error": self.error(),
            "picture": self.picture,
            "steps": self.steps,
        })
    }
}

/// The document of all targets; `error` is why none was tried.
pub fn document(reports: &[TryoutReport], error: Option<&str>) -> Value {
    let is_ok = error.is_none() && !reports.is_empty() && reports.iter().all(TryoutReport::is_ok);
    let targets: Vec<_> = reports.iter().map(TryoutReport::json).collect();
    json!({ "version": VERSION, "ok": is_ok, "error": error, "targets": targets })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: StepKind, ok: Option<bool>) -> TryoutStep {
        TryoutStep { kind, ok, text: "words".to_owned(), ms: 7, seen: None }
    }

    fn report(steps: Vec<TryoutStep>) -> TryoutReport {
        TryoutReport { target: TargetId::API, address: "http://gate:80".to_owned(), picture: None, steps }
    }

    #[test]
    fn only_a_test_picture_that_was_taken_by_a_sound_way_is_fine() {
        use StepKind::{Http, Name, Tcp, Verdict};
        let yes = Some(true);
        let fine = |steps: &[(StepKind, Option<bool>)]| {
            report(steps.iter().map(|(kind, ok)| step(*kind, *ok)).collect()).is_ok()
        };
        assert!(fine(&[(Name, yes), (Tcp, yes), (Http, yes), (Verdict, yes)]));
        assert!(!fine(&[(Name, yes), (Tcp, yes), (Http, yes), (Verdict, Some(false))]));
        assert!(!fine(&[(Name, yes), (Tcp, Some(false)), (Http, yes), (Verdict, yes)]));
        assert!(!fine(&[(Name, yes), (Tcp, yes), (Http, None), (Verdict, None)]), "not done is not well");
        assert!(!fine(&[(Name, yes)]) && !fine(&[]), "cut off");
        assert_eq!(document(&[], None)["ok"], false, "nothing was tried");
    }

    #[test]
    fn a_step_is_a_line_that_says_what_how_and_how_long() {
        assert_eq!(step(StepKind::Tcp, Some(true)).line(), "ok      TCP: words (7 ms)");
        assert_eq!(step(StepKind::Tls, Some(false)).line(), "FAILED  TLS: words (7 ms)");
        assert_eq!(step(StepKind::Http, None).line(), "-       HTTP: words");
    }

    #[test]
    fn the_document_has_every_field_whatever_happened() {
        let seen = TryoutSeen::Secured {
            version: None,
            certificate: Some(Certificate {
                names: vec!["gate".to_owned()],
                issuer: "itself".to_owned(),
                not_before: None,
                not_after: Some(UnixMs(0)),
            }),
        };
        let tls = TryoutStep { seen: Some(seen), ..step(StepKind::Tls, Some(false)) };
        let document = document(&[report(vec![tls])], None);
        assert_eq!(
            document,
            json!({
                "version": 1, "ok": false, "error": null,
                "targets": [{
                    "target": "api", "address": "http://gate:80", "ok": false, "error": "words", "picture": null,
                    "steps": [{
                        "step": "tls", "ok": false, "text": "words", "ms": 7,
                        "seen": { "version": null, "certificate": {
                            "names": ["gate"], "issuer": "itself", "not_before": null,
                            "not_after": "1970-01-01T00:00:00.000Z",
                        } },
                    }],
                }],
            })
        );
    }
}
