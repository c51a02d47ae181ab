//! What is said of the room on a disk, for programs.

use serde::{Deserialize, Serialize};

use super::coded::{Param, coded};

coded! {
    /// How a disk stands. Codes and names of parameters are stable: they are in the API.
    pub enum RoomText {
        /// Delivered pictures go before their time.
        "room_low" => RoomLow { lack: RoomLack, floor: Option<u64> },
        /// Nothing is left that may go.
        "room_critical" => RoomCritical { lack: RoomLack, held: Option<HeldBack> },
        /// No picture can be stored.
        "room_full" => RoomFull { lack: RoomLack, held: Option<HeldBack> },
    }
}

/// What there is least of, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum RoomLack {
    /// Bytes, on the disk of the pictures.
    Bytes {
        /// Free.
        free: u64,
        /// All.
        total: u64,
    },
    /// Files, on the disk of the pictures.
    Files {
        /// That can still be made.
        free: u64,
        /// All.
        total: u64,
    },
    /// Bytes, on the disk of the database.
    Database {
        /// Free.
        free: u64,
        /// All.
        total: u64,
    },
}

/// Pictures that may not go, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Waiting for delivery, by target.
    pub owed: Vec<HeldPictures>,
    /// Put aside, by target.
    pub dead: Vec<HeldPictures>,
    /// Protected by a person; the target is empty.
    pub protected: HeldPictures,
}

/// So many pictures of so many bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPictures {
    /// To whom they are owed.
    pub target: String,
    /// Pictures and clips.
    pub pictures: u64,
    /// Their size.
    pub bytes: u64,
}

impl Param for RoomLack {
    fn reword(&mut self, _: &mut dyn FnMut(&str) -> String) {}

    #[cfg(test)]
    fn sample(_: &str, number: u64) -> Self {
        let (free, total) = (number / 2, number);
        match number % 3 {
            0 => Self::Bytes { free, total },
            1 => Self::Files { free, total },
            _ => Self::Database { free, total },
        }
    }
}

impl Param for HeldBack {
    fn reword(&mut self, change: &mut dyn FnMut(&str) -> String) {
        for held in self.owed.iter_mut().chain(&mut self.dead) {
            held.target = change(&held.target);
        }
    }

    #[cfg(test)]
    fn sample(text: &str, number: u64) -> Self {
        let held = HeldPictures { target: text.to_owned(), pictures: number % 3, bytes: number };
        Self { owed: vec![held.clone(), held], dead: Vec::new(), protected: HeldPictures::default() }
    }
}
