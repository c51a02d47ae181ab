//! What is to be stored is to its trigger, and why it was not stored.

use crate::store::StoreError;

/// What is to be stored, to its trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The picture: stored until nothing but the reserve is left.
    Picture,
    /// Something beside it: not stored on a disk that is critical, so that pictures get the room.
    Beside,
}

/// Why something was not stored; the text is for people.
#[derive(Debug, thiserror::Error)]
pub enum StoreRefusal {
    /// There is no room, and nothing may go.
    #[error("{0}")]
    Full(String),
    /// The store failed.
    #[error(transparent)]
    Failed(#[from] StoreError),
    /// It is kept as a file, and its row comes as soon as the database takes it.
    #[error("{0}")]
    Kept(String),
}
