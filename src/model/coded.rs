//! Why something went wrong, for programs: a stable code and its parameters. The sentence for people is made of both, in
//! `words` and nowhere else. A code of a later version, and what was written down before there were codes, are words alone.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A closed set of codes with their parameters, declared by `coded!`.
pub trait Coded: fmt::Display + From<String> + Serialize + DeserializeOwned {
    /// Every code with the names of its parameters.
    const CODES: &'static [(&'static str, &'static [&'static str])];

    /// What it is, for programs: stable, snake_case. Mere words have none.
    fn code(&self) -> Option<&'static str>;

    /// Changes every text among the parameters.
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String);

    /// What the code is about.
    fn params(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(mut params)) => {
                params.remove("code");
                params
            }
            // Mere words.
            Ok(_) | Err(_) => Map::new(),
        }
    }

    /// As it was kept. What this version does not know by its code is its words.
    fn of(code: Option<&str>, params: Option<&str>, words: &str) -> Self {
        let typed = code.and_then(|code| {
            let mut value: Map<String, Value> = serde_json::from_str(params.unwrap_or("{}")).ok()?;
            value.insert("code".to_owned(), code.into());
            serde_json::from_value(Value::Object(value)).ok()
        });
        typed.unwrap_or_else(|| Self::from(words.to_owned()))
    }

    /// The same with the words of others in it changed.
    #[must_use]
    fn with_words(mut self, mut change: impl FnMut(&str) -> String) -> Self {
        self.reword(&mut change);
        self
    }
}

/// A parameter of a code.
pub(super) trait Param {
    /// See [`Coded::reword`].
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String);

    /// One with this text and this number.
    #[cfg(test)]
    fn sample(text: &str, number: u64) -> Self;
}

impl Param for String {
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        *self = change(self);
    }

    #[cfg(test)]
    fn sample(text: &str, _: u64) -> Self {
        text.to_owned()
    }
}

impl<T: Param> Param for Option<T> {
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        if let Some(param) = self {
            param.reword(change);
        }
    }

    #[cfg(test)]
    fn sample(text: &str, number: u64) -> Self {
        (!number.is_multiple_of(2)).then(|| T::sample(text, number))
    }
}

macro_rules! wordless {
    ($($type:ty: $sample:expr;)+) => {
        $(
            impl Param for $type {
                fn reword(&mut self, _: &mut dyn FnMut(&str) -> String) {}

                #[cfg(test)]
                fn sample(_: &str, number: u64) -> Self {
                    let make: fn(u64) -> Self = $sample;
                    make(number)
                }
            }
        )+
    };
}

wordless! {
    u64: |number| number;
    u16: |number| u16::try_from(number % 600).unwrap_or_default();
    i64: |number| i64::try_from(number).unwrap_or_default();
    bool: |number| number.is_multiple_of(3);
}

/// Another reason among the parameters of one, with its own code, parameters and sentence (`text`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Because<T>(Box<T>);

impl<T> Because<T> {
    /// This reason.
    pub fn new(reason: T) -> Self {
        Self(Box::new(reason))
    }
}

impl<T: fmt::Display> fmt::Display for Because<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Coded> Param for Because<T> {
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        self.0.reword(change);
    }

    #[cfg(test)]
    fn sample(text: &str, _: u64) -> Self {
        Self::new(T::from(text.to_owned()))
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    code: Option<String>,
    params: Map<String, Value>,
    text: String,
}

impl<T: Coded> Serialize for Because<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let code = self.0.code().map(str::to_owned);
        Kept { code, params: self.0.params(), text: self.0.to_string() }.serialize(serializer)
    }
}

impl<'de, T: Coded> Deserialize<'de> for Because<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = Kept::deserialize(deserializer)?;
        let params = Value::Object(kept.params).to_string();
        Ok(Self::new(T::of(kept.code.as_deref(), Some(&params), &kept.text)))
    }
}

/// Declares a closed set of codes: `"code" => Variant { parameter: type },` each. Whoever reads a code must find its
/// sentence in `words` and its row in `docs/codes.md`; the compiler and a test see to it.
macro_rules! coded {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$doc:meta])* $code:literal => $variant:ident $({ $($param:ident: $type:ty),+ $(,)? })?, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "code")]
        #[allow(missing_docs, reason = "docs/codes.md says of each parameter what it is")]
        pub enum $name {
            $( $(#[$doc])* #[serde(rename = $code)] $variant $({ $($param: $type),+ })?, )+
            /// Words without a code, of a version that had none.
            #[serde(skip)]
            Words(String),
        }

        impl $crate::model::Coded for $name {
            const CODES: &'static [(&'static str, &'static [&'static str])] =
                &[$( ($code, &[$($(stringify!($param)),+)?]) ),+];

            fn code(&self) -> Option<&'static str> {
                match self {
                    $( Self::$variant { .. } => Some($code), )+
                    Self::Words(_) => None,
                }
            }

            fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
                match self {
                    $( Self::$variant $({ $($param),+ })? => { $($( $crate::model::coded::Param::reword($param, change); )+)? } )+
                    Self::Words(words) => *words = change(words),
                }
            }
        }

        impl From<&str> for $name {
            fn from(words: &str) -> Self {
                Self::Words(words.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(words: String) -> Self {
                Self::Words(words)
            }
        }

        #[cfg(test)]
        impl $crate::model::coded::Samples for $name {
            fn samples(text: &str, number: u64) -> Vec<Self> {
                vec![$(
                    Self::$variant $({ $($param: $crate::model::coded::Param::sample(text, number)),+ })?
                ),+]
            }
        }
    };
}
pub(super) use coded;

/// One of each code.
#[cfg(test)]
pub(crate) trait Samples: Sized {
    /// With this text and this number in their parameters.
    fn samples(text: &str, number: u64) -> Vec<Self>;
}

#[cfg(test)]
#[path = "coded_tests.rs"]
mod tests;
