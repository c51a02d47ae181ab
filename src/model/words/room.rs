//! What is said of the room on a disk: how much is left, what may not go and why, what to do.

use std::fmt;

use crate::model::{HeldBack, HeldPictures, RoomLack, RoomText};

/// A size as people say it, in powers of 1000.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((unit, name)) => {
            let tenths = bytes / (unit / 10);
            if tenths >= 1000 {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
    }
}

impl fmt::Display for RoomText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::RoomLow { lack, floor } => {
                let (left, floor) = (left(*lack), floor.unwrap_or_default());
                let floor = match lack {
                    RoomLack::Bytes { .. } => size(floor),
                    RoomLack::Files { .. } => format!("{floor} files"),
                    RoomLack::Database { .. } => {
                        return write!(f, "the disk of the database runs low: {left}; make room on it");
                    }
                };
                write!(
                    f,
                    "{left}, and {floor} shall stay free: the oldest delivered pictures go before their time"
                )
            }
            Self::RoomCritical { lack, held } => write!(
                f,
                "the disk is nearly full: {}; pictures are still stored, clips are not{}",
                left(*lack),
                why(*lack, held.as_ref())
            ),
            Self::RoomFull { lack, held } => write!(
                f,
                "the disk is full: {}, and the last of it is for the ledger{}",
                left(*lack),
                why(*lack, held.as_ref())
            ),
        }
    }
}

fn left(lack: RoomLack) -> String {
    let bytes = |free, total| format!("{} of {} are free", size(free), size(total));
    match lack {
        RoomLack::Bytes { free, total } => bytes(free, total),
        RoomLack::Files { free, total } => format!("{free} of {total} files can still be created"),
        RoomLack::Database { free, total } => {
            format!("{} on the disk of the database", bytes(free, total))
        }
    }
}

fn why(lack: RoomLack, held: Option<&HeldBack>) -> String {
    held.map_or_else(String::new, |held| format!("; {}", held_back(lack, held)))
}

/// What may not go, and what to do about it.
fn held_back(lack: RoomLack, held: &HeldBack) -> String {
    if matches!(lack, RoomLack::Database { .. }) {
        return "no picture lies there that could go; make room on that disk".to_owned();
    }
    let (mut facts, mut deeds) = (Vec::new(), Vec::new());
    for pictures in &held.owed {
        facts.push(format!("{} for delivery to {}", counted(pictures, "waits", "wait"), pictures.target));
    }
    if !held.owed.is_empty() {
        let names: Vec<&str> = held.owed.iter().map(|pictures| pictures.target.as_str()).collect();
        deeds.push(format!("bring {} back", names.join(" and ")));
    }
    for pictures in &held.dead {
        facts.push(format!("{} put aside by {}", counted(pictures, "was", "were"), pictures.target));
    }
    if !held.dead.is_empty() {
        deeds.push("send again or delete what was put aside".to_owned());
    }
    if held.protected.pictures > 0 {
        facts.push(format!("{} protected", counted(&held.protected, "is", "are")));
        deeds.push("end protections".to_owned());
    }
    deeds.push("make room on the disk".to_owned());
    if facts.is_empty() {
        return "no picture is left that could go, other files take the room: make room on the disk"
            .to_owned();
    }
    let last = deeds.pop().unwrap_or_default();
    let deeds = if deeds.is_empty() { last } else { format!("{}, or {last}", deeds.join(", ")) };
    format!("nothing may be deleted: {}; {deeds}", facts.join(", "))
}

fn counted(held: &HeldPictures, is: &str, are: &str) -> String {
    match held.pictures {
        1 => format!("1 picture ({}) {is}", size(held.bytes)),
        many => format!("{many} pictures ({}) {are}", size(held.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down_to_what_people_read() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (312_000, "312 kB"),
            (26_190_000, "26.1 MB"),
            (536_870_912, "536 MB"),
            (1_000_000_000_000, "1.0 TB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
