//! What a camera's time stamps are worth.

/// Whether a camera's RTP time stamps are a clock, as measured against when its pictures arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Stamps {
    /// They are.
    #[default]
    Good,
    /// They run evenly, but at another pace; they are corrected.
    Scaled {
        /// Seconds by the stamps in a real second, to two digits.
        pace: f64,
    },
    /// They are not; instants are those of arrival.
    Untrusted,
}

impl Stamps {
    /// As in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Scaled { .. } => "scaled",
            Self::Untrusted => "untrusted",
        }
    }
}

impl serde::Serialize for Stamps {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
