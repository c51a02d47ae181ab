//! What the marker bit of a camera is worth. Pure.

/// So many pictures must have ended where the marker said.
const BELIEVED: u8 = 2;

/// What has been seen of a camera's markers; kept from session to session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Markers {
    /// So many pictures ended with one, and none went on after it.
    Seen(u8),
    /// A picture went on after one.
    Refuted,
    /// Nothing has been seen.
    #[default]
    Unknown,
}

impl Markers {
    /// A picture ended with one.
    pub fn confirm(&mut self) {
        *self = match self {
            Self::Unknown => Self::Seen(1),
            Self::Seen(count) => Self::Seen(count.saturating_add(1)),
            Self::Refuted => Self::Refuted,
        };
    }

    /// A picture went on after one: it stands on every slice.
    pub fn refute(&mut self) {
        *self = Self::Refuted;
    }

    /// Whether a picture has ended where there is one.
    pub fn are_believed(self) -> bool {
        matches!(self, Self::Seen(BELIEVED..))
    }

    /// Whether it says nothing.
    pub fn are_refuted(self) -> bool {
        self == Self::Refuted
    }
}
