//! Which target a picture is for: its kind, and a number where there are several of a kind.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What the targets of a kind are called.
struct KindNames {
    /// Their texts, by number.
    texts: [&'static str; TargetId::NUMBER_MAX as usize],
    /// The first one's name for people.
    label: &'static str,
    /// The same within a sentence.
    spoken: &'static str,
}

/// The kinds, each with its word, its name for people and the same within a sentence.
macro_rules! kinds {
    ($($(#[$says:meta])* $kind:ident $word:literal $label:literal $spoken:literal)+) => {
        /// The kind of an upload target.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum TargetKind {
            $($(#[$says])* $kind,)+
        }

        impl TargetKind {
            /// Every kind.
            pub const ALL: [Self; [$($word),+].len()] = [$(Self::$kind),+];

            fn names(self) -> &'static KindNames {
                match self {
                    $(Self::$kind => &KindNames { texts: numbered!($word), label: $label, spoken: $spoken },)+
                }
            }
        }
    };
}

/// The texts of the targets of one kind, by number.
macro_rules! numbered {
    ($word:literal) => {
        [
            $word,
            concat!($word, "_2"),
            concat!($word, "_3"),
            concat!($word, "_4"),
            concat!($word, "_5"),
            concat!($word, "_6"),
            concat!($word, "_7"),
            concat!($word, "_8"),
            concat!($word, "_9"),
        ]
    };
}

kinds! {
    /// An HTTP endpoint that takes `multipart/form-data`.
    Api "api" "HTTP API" "the HTTP API"
    /// A bucket of an S3 store.
    S3 "s3" "S3 store" "the S3 store"
    /// A Discord channel.
    Discord "discord" "Discord" "Discord"
    /// Another box that takes pictures.
    Relay "relay" "Relay" "the relay"
}

impl TargetKind {
    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        self.names().texts[0]
    }

    /// The words of all of them, one after the other.
    pub fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One upload target. Its text is what stands in the database, so it never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId {
    kind: TargetKind,
    /// From 1 to [`TargetId::NUMBER_MAX`].
    number: u8,
}

impl TargetId {
    /// The only one of most sites.
    pub const API: Self = Self { kind: TargetKind::Api, number: 1 };
    /// The first bucket.
    pub const S3: Self = Self { kind: TargetKind::S3, number: 1 };
    /// The first Discord channel.
    pub const DISCORD: Self = Self { kind: TargetKind::Discord, number: 1 };
    /// The first other box.
    pub const RELAY: Self = Self { kind: TargetKind::Relay, number: 1 };

    /// The highest number of a target of one kind.
    pub const NUMBER_MAX: u8 = 9;

    /// What its text looks like, for people.
    pub fn accepted() -> String {
        let (kinds, last) = (TargetKind::list(), Self::NUMBER_MAX);
        format!("{kinds}; the second of a kind as api_2, and so on to api_{last}")
    }

    /// The target of this number, if there can be one.
    pub fn new(kind: TargetKind, number: u8) -> Option<Self> {
        (1..=Self::NUMBER_MAX).contains(&number).then_some(Self { kind, number })
    }

    /// The first of a kind.
    pub fn first(kind: TargetKind) -> Self {
        Self { kind, number: 1 }
    }

    /// What it is.
    pub fn kind(self) -> TargetKind {
        self.kind
    }

    /// Which of its kind, from 1.
    pub fn number(self) -> u8 {
        self.number
    }

    /// As in the configuration, the database and the API: `api`, `api_2`.
    pub fn as_str(self) -> &'static str {
        self.kind.names().texts[usize::from(self.number) - 1]
    }

    /// Parses what [`Self::as_str`] writes, and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        TargetKind::ALL.into_iter().find_map(|kind| {
            let index = kind.names().texts.iter().position(|word| *word == text)?;
            Self::new(kind, u8::try_from(index).ok()? + 1)
        })
    }

    /// What people call it: `HTTP API`, `HTTP API 2`.
    pub fn label(self) -> String {
        self.with_number(self.kind.names().label)
    }

    /// The same within a sentence: `the HTTP API`, `the HTTP API 2`.
    pub fn spoken(self) -> String {
        self.with_number(self.kind.names().spoken)
    }

    fn with_number(self, name: &str) -> String {
        if self.number == 1 { name.to_owned() } else { format!("{name} {}", self.number) }
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for TargetId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// The text is that of no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no upload target")]
pub struct NoTarget;

impl FromStr for TargetId {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        Self::parse(text).ok_or(NoTarget)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn any_id() -> impl Strategy<Value = TargetId> {
        (0..TargetKind::ALL.len(), 1..=TargetId::NUMBER_MAX)
            .prop_map(|(kind, number)| TargetId::new(TargetKind::ALL[kind], number).unwrap())
    }

    #[test]
    fn the_first_of_a_kind_is_called_as_ever_and_no_two_targets_alike() {
        let firsts = TargetKind::ALL.map(|kind| TargetId::first(kind).to_string());
        assert_eq!(firsts[..4], ["api", "s3", "discord", "relay"]);
        let second = TargetId::new(TargetKind::S3, 2).unwrap();
        assert_eq!((second.as_str(), second.label().as_str()), ("s3_2", "S3 store 2"));
        assert_eq!(
            (second.spoken().as_str(), TargetId::RELAY.spoken().as_str()),
            ("the S3 store 2", "the relay")
        );
        assert_eq!(serde_json::to_string(&second).unwrap(), "\"s3_2\"");
        let all =
            TargetKind::ALL.into_iter().flat_map(|kind| (0..=99).filter_map(move |n| TargetId::new(kind, n)));
        let texts: BTreeSet<_> = all.map(TargetId::as_str).collect();
        assert_eq!(texts.len(), TargetKind::ALL.len() * 9);
    }

    #[test]
    fn a_text_that_no_target_writes_is_none() {
        for text in
            ["", "api_1", "api_0", "api_10", "api_02", "API", "api2", "api-2", "_2", "api_2 ", "ftp", "s3_"]
        {
            assert_eq!(text.parse::<TargetId>(), Err(NoTarget), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_target_is_read_back_from_its_text(id in any_id()) {
            prop_assert_eq!(TargetId::parse(&id.to_string()), Some(id));
            prop_assert_eq!(id.as_str().parse::<TargetId>(), Ok(id));
            prop_assert_eq!(TargetId::new(id.kind(), id.number()), Some(id));
        }

        #[test]
        fn a_text_that_is_read_is_what_is_written(
            kind in 0..TargetKind::ALL.len(), end in "(_?[0-9]{0,2}|.{0,3})"
        ) {
            let text = format!("{}{end}", TargetKind::ALL[kind]);
            if let Some(id) = TargetId::parse(&text) {
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
