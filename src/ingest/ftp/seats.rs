//! Who may be connected: 32 sessions, 8 of an address, and who goes for a newcomer.
//!
//! Whoever has not logged in is missed least, so that strangers keep no camera out; after them goes, of the newcomer's own
//! address, the oldest session that takes no file: a camera that lost its network leaves some behind.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Sessions in all.
pub(super) const SESSIONS_MAX: usize = 32;

/// Sessions of one client.
const SESSIONS_OF_CLIENT_MAX: usize = 8;

/// How much a session would be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Has not logged in.
    Stranger,
    /// Waits for a command.
    Idle,
    /// A file is on its way.
    Busy,
}

/// Everyone who is connected.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<Seated>>);

#[derive(Debug, Default)]
struct Seated {
    /// By their numbers, so the oldest first.
    sessions: BTreeMap<u64, Sitter>,
    next: u64,
}

#[derive(Debug)]
struct Sitter {
    client: IpAddr,
    worth: Worth,
    end: CancellationToken,
}

/// The place of one session, free again when this is dropped.
#[derive(Debug)]
pub(super) struct SessionSeat {
    seats: Seats,
    number: u64,
    end: CancellationToken,
}

impl Seats {
    /// A place for a newcomer; somebody else may have to go. `None`: all are missed more.
    pub(super) fn take(&self, client: IpAddr, cancel: &CancellationToken) -> Option<SessionSeat> {
        let mut seated = self.lock();
        if let Some(gone) = who_goes(&seated, client)?
            && let Some(sitter) = seated.sessions.remove(&gone)
        {
            sitter.end.cancel();
        }
        let (number, end) = (seated.next, cancel.child_token());
        seated.next += 1;
        seated.sessions.insert(number, Sitter { client, worth: Worth::Stranger, end: end.clone() });
        drop(seated);
        Some(SessionSeat { seats: self.clone(), number, end })
    }

    fn lock(&self) -> MutexGuard<'_, Seated> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionSeat {
    /// Cancelled when the session has to end.
    pub(super) fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Says how much it would be missed now.
    pub(super) fn set(&self, worth: Worth) {
        if let Some(sitter) = self.seats.lock().sessions.get_mut(&self.number) {
            sitter.worth = worth;
        }
    }
}

impl Drop for SessionSeat {
    fn drop(&mut self) {
        self.seats.lock().sessions.remove(&self.number);
    }
}

/// Who goes for a newcomer, if anybody has to; `None`: there is no place.
fn who_goes(seated: &Seated, client: IpAddr) -> Option<Option<u64>> {
    let own = |sitter: &Sitter| sitter.client == client;
    let oldest = |worth: Worth, of: &dyn Fn(&Sitter) -> bool| {
        let found = seated.sessions.iter().find(|(_, sitter)| sitter.worth == worth && of(sitter));
        found.map(|(number, _)| *number)
    };
    let oldest_own = || oldest(Worth::Stranger, &own).or_else(|| oldest(Worth::Idle, &own));
    if seated.sessions.values().filter(|sitter| own(sitter)).count() >= SESSIONS_OF_CLIENT_MAX {
        return oldest_own().map(Some);
    }
    if seated.sessions.len() < SESSIONS_MAX {
        return Some(None);
    }
    // Of strangers, the oldest from where the most come.
    let mut strangers: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for sitter in seated.sessions.values().filter(|sitter| sitter.worth == Worth::Stranger) {
        *strangers.entry(sitter.client).or_default() += 1;
    }
    let most = strangers.into_iter().max_by_key(|(_, count)| *count);
    most.and_then(|(most, _)| oldest(Worth::Stranger, &|sitter| sitter.client == most))
        .or_else(oldest_own)
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn taken(seats: &Seats, n: u8) -> Option<SessionSeat> {
        seats.take(client(n), &CancellationToken::new())
    }

    fn with(seats: &Seats, n: u8, worth: Worth) -> SessionSeat {
        let seat = taken(seats, n).unwrap();
        seat.set(worth);
        seat
    }

    #[test]
    fn strangers_from_everywhere_keep_no_camera_out() {
        let seats = Seats::default();
        let camera = with(&seats, 1, Worth::Idle);
        let strangers: Vec<_> = (0..200).map(|n| taken(&seats, 2 + n % 50).unwrap()).collect();
        let still = strangers.iter().filter(|seat| !seat.end().is_cancelled()).count();
        assert_eq!(still, SESSIONS_MAX - 1);
        assert!(!camera.end().is_cancelled() && taken(&seats, 1).is_some());
    }

    #[test]
    fn of_one_address_there_are_eight_and_the_oldest_that_takes_no_file_goes() {
        let seats = Seats::default();
        let busy = with(&seats, 1, Worth::Busy);
        let idle: Vec<_> = (0..7).map(|_| with(&seats, 1, Worth::Idle)).collect();
        let ninth = with(&seats, 1, Worth::Busy);
        assert!(idle[0].end().is_cancelled() && !idle[1].end().is_cancelled());
        assert!(!busy.end().is_cancelled() && !ninth.end().is_cancelled());
        for seat in &idle[1..] {
            seat.set(Worth::Busy);
        }
        assert!(taken(&seats, 1).is_none(), "all of them are missed more");
        assert!(taken(&seats, 2).is_some());
        drop(busy);
        assert!(taken(&seats, 1).is_some());
    }

    #[test]
    fn where_everyone_is_known_a_newcomer_waits() {
        let seats = Seats::default();
        let _all: Vec<_> = (0..32).map(|n| with(&seats, n, Worth::Idle)).collect();
        assert!(taken(&seats, 100).is_none());
        assert!(taken(&seats, 3).is_some(), "one that left a session behind takes its place");
    }
}
