//! Closed sets of words, and words with a grammar, as they are described. A new variant of one does not compile here
//! until it is named.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::capture::latency::LatencyOrigin;
use crate::gpio::Level;
use crate::model::{
    CameraKey, Cause, ClockState, FileName, ImageId, ImageKind, Medium, Outcome, RoomLevel as Room, Stamps,
    TargetId, TextMatch, UploadState,
};
use crate::status::{AnalysisPause, CameraState, Pause, Severity};
use crate::store::{AnalysisState, Scope};
use crate::targets::StepKind;

/// A string that is one of these.
fn one_of(words: &[&'static str], says: &'static str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words.iter().copied()))
        .description(Some(says))
        .into()
}

macro_rules! closed {
    ($($type:ident as $name:literal $word:ident { $($variant:ident),+ } $says:literal)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    // Fails to compile when one is missing.
                    let _complete = |one: &$type| match one {
                        $($type::$variant => (),)+
                    };
                    one_of(&[$($type::$variant.$word()),+], $says)
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )+
    };
}

closed! {
    UploadState as "UploadState" as_str { Pending, Delivered, Dead, Skipped, Lost }
        "pending: owed; dead: refused for good and put aside; skipped: the target is switched off; lost: its file is gone."
    ImageKind as "ImageKind" as_str { Instant, Best, Clip }
        "Of the instant asked for; the sharpest one around it; the video around it."
    Medium as "MediaType" media_type { Jpeg, Mp4 } "What the file is."
    Cause as "Cause" as_str { Gpio, Manual, Recovered, Push, Ftp, Import }
        "What asked: a contact, a person or program, or nobody any more knows (recovered: found on the disk); push, ftp: a device \
         brought it; import: it was brought in from a program before this one."
    Outcome as "Outcome" as_str { Captured, Coalesced, Failed }
        "coalesced: another trigger was being served and stands for it."
    ClockState as "ClockState" as_str { Synced, Unsynced, Corrected } "How far the time can be trusted."
    CameraState as "CameraState" as_str { Connected, Connecting, Degraded, Disabled } "How ready a camera is."
    AnalysisState as "AnalysisState" as_str { Pending, Done, Dead }
        "pending: the server is still to be asked; dead: asked in vain and put aside."
    AnalysisPause as "AnalysisPause" as_str { Fault, Refusals, Cost }
        "fault: see last_error; refusals: it refuses one picture after the other; cost: the limit of questions is reached."
    TextMatch as "TextMatch" as_str { Exact, Prefix, Near }
        "near: one character is missing, too many or another, or all that differs are look-alikes."
    Pause as "Pause" as_str { Fault, Refusals, Window, Round }
        "Why nothing is sent for a while: the target fails, refuses everything in the same way, or is outside of its hours, or rests between two rounds."
    Severity as "Severity" as_str { Info, Warning, Critical } "How bad it is."
    Room as "StorageLevel" as_str { Good, Low, Critical, Full }
        "low: delivered pictures go early; critical: nothing is left that may go; full: no picture can be stored."
    Scope as "Scope" as_str { Read, Operate, Full }
        "read: look; operate: captures, protection, sending again, simulated contacts, too; full: deleting, too."
    Level as "Level" word { Low, High } "The electrical level of a line."
    LatencyOrigin as "LatencyOrigin" word { Setting, Measured, Unknown } "Where it is known from; unknown counts as 0."
    StepKind as "TestStepKind" word { Name, Tcp, Proxy, Tls, Http, Verdict } "A step on the way to a delivery."
}

/// Words of what has none of its own.
pub(in crate::web) trait ClosedWord {
    fn word(&self) -> &'static str;
}

impl ClosedWord for Level {
    fn word(&self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

impl ClosedWord for LatencyOrigin {
    fn word(&self) -> &'static str {
        match self {
            Self::Setting => "setting",
            Self::Measured => "measured",
            Self::Unknown => "unknown",
        }
    }
}

impl PartialSchema for Stamps {
    fn schema() -> RefOr<Schema> {
        let words = [Self::Good, Self::Scaled { pace: 1.0 }, Self::Untrusted].map(Self::as_str);
        one_of(
            &words,
            "Whether the camera's RTP time stamps are a clock: if they run at another pace they are scaled, and if they are \
             no clock pictures get their time by when they arrive.",
        )
    }
}

impl ToSchema for Stamps {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Stamps")
    }
}

impl ClosedWord for StepKind {
    fn word(&self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Verdict => "verdict",
        }
    }
}

impl PartialSchema for TargetId {
    fn schema() -> RefOr<Schema> {
        // Which kinds there are is the matter of the program that runs: clients learn of targets from its answers.
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^[a-z][a-z0-9]*(_[2-{}])?$", TargetId::NUMBER_MAX)))
            .examples([TargetId::API.as_str()])
            .description(Some("An upload target: its kind, and a number from the second of its kind on."))
            .into()
    }
}

impl ToSchema for TargetId {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("TargetId")
    }
}

/// A string with a grammar.
macro_rules! text {
    ($($type:ident as $name:literal $pattern:literal $example:literal $says:literal)+) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .pattern(Some($pattern))
                        .examples([$example])
                        .description(Some($says))
                        .into()
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )+
    };
}

text! {
    CameraKey as "CameraKey" "^[a-z0-9][a-z0-9_-]{0,31}$" "r1" "The key of a camera."
    FileName as "FileName" r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}_[0-9]+(_[0-9]+)?\.(jpg|mp4)$" "r1_1795176000.jpg"
        "The name of a picture or clip: the camera, the second of its trigger, and a number from the second one of it on. Of a pushed picture: what its sender calls it, date and time at the site (photo_20261120_120000.jpg), and such a number."
    ImageId as "ImageId" "^[0-9a-f]{32}$" "5b1e0c6a9f3d4e7f8a2b4c6d8e0f1a3c" "Its identity, and the idempotency key of its uploads."
}
