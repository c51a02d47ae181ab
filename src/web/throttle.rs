//! Slows down guessing without locking anyone out.
//!
//! - Each wrong guess of an address doubles the pause of that address, up to a minute.
//! - A device from which someone was right before is judged by a pause of its own and never meets those of strangers.
//! - Strangers stand in a queue and are judged one at a time: who has been wrong least goes first. Two budgets bound how
//!   many guesses that can be, whatever the number of addresses: one for networks that are new, one for all others. So an
//!   owner at a new address waits for those who are as new as he is, not for those who guess on and on; and sixty
//!   attackers cannot use up the budget of the new ones.
//!
//! All strangers together get at most [`strangers_at_most`] guesses in any span of time: 1050 an hour, and 160 once. A
//! known device gets 60 an hour, and 10 once. It is told the time and owns no clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Wrong answers of one address before it has to pause; people mistype.
const FREE: u32 = 4;

/// As [`FREE`], of a device that was right before.
const FREE_DEVICE: u32 = 10;

/// Longest pause of one address or device.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Longest pause of an address that many may share, such as that of a proxy: short, because it also meets the owner.
const PAUSE_SHARED_MAX: Duration = Duration::from_secs(4);

/// An address that kept quiet for so long begins anew.
const FORGET: Duration = Duration::from_secs(15 * 60);

/// A network that kept quiet for so long is new again. Long, so that attackers cannot often pass for new.
const FORGET_NETWORK: Duration = Duration::from_secs(24 * 60 * 60);

/// Wrong answers before a network is new no more: a newcomer may mistype once.
const NEW: u32 = 2;

/// What newcomers have: enough for both tries of sixty-four networks at once, then one guess every so often.
const NEWCOMERS: (u32, Duration) = (128, Duration::from_secs(8));

/// What all other strangers have.
const OTHERS: (u32, Duration) = (32, Duration::from_secs(6));

/// A guess that has not had its turn by then is refused: browsers and proxies do not wait for ever.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// What those are told who were not given a place or a turn.
const RETRY: Duration = Duration::from_secs(4);

/// Guesses that wait for their turn, of all strangers and of one network.
const QUEUE_MAX: usize = 256;
const QUEUE_NETWORK_MAX: usize = 4;

/// Addresses, networks and devices remembered, each; the one that has been quiet longest goes first.
const RECORDS_MAX: usize = 4096;

/// Who guesses.
#[derive(Clone, Debug)]
pub(super) struct Guesser {
    /// Where the visitor is, as far as is known.
    pub(super) address: IpAddr,
    /// Many may have this address: it is that of a proxy that does not say whom it speaks for.
    pub(super) is_shared: bool,
    /// The hash of the cookie of a device from which someone was right before.
    pub(super) device: Option<[u8; 32]>,
}

/// One guess that was asked for.
#[derive(Debug)]
pub(super) struct Ticket {
    number: u64,
    visitor: Guesser,
}

/// What the holder of a ticket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TicketTurn {
    /// Guess. Until [`Throttle::end`] no other stranger does.
    Now,
    /// Look again when something has moved, at the latest after this.
    Later(Duration),
    /// Give up and come back after this. The ticket is void.
    Never(Duration),
}

/// How a guess ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuessOutcome {
    Right,
    Wrong,
    /// Nobody looked at it; it costs nothing.
    NotJudged,
}

/// Who has guessed wrong how often, and who is waiting.
pub(super) struct Throttle {
    addresses: Records<IpAddr>,
    networks: Records<IpAddr>,
    devices: Records<[u8; 32]>,
    newcomers: Budget,
    others: Budget,
    waiting: Vec<Waiting>,
    /// The stranger whose turn it is.
    judging: Option<Waiting>,
    last_number: u64,
}

/// A stranger in the queue.
#[derive(Clone, Copy)]
struct Waiting {
    number: u64,
    network: IpAddr,
    /// Wrong answers of the network before this one.
    failures: u32,
    since: Instant,
}

impl Waiting {
    fn is_newcomer(&self) -> bool {
        self.failures < NEW
    }

    /// Smaller goes first.
    fn rank(&self) -> (u32, u64) {
        (self.failures, self.number)
    }
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            addresses: Records::new(FORGET),
            networks: Records::new(FORGET_NETWORK),
            devices: Records::new(FORGET),
            newcomers: Budget::new(NEWCOMERS, now),
            others: Budget::new(OTHERS, now),
            waiting: Vec::new(),
            judging: None,
            last_number: 0,
        }
    }

    /// Asks for one guess. It counts as wrong until it ended otherwise, so that many at once gain nothing. The error is
    /// how long to wait.
    pub(super) fn ask(&mut self, visitor: &Guesser, now: Instant) -> Result<Ticket, Duration> {
        let number = self.last_number + 1;
        if let Some(device) = visitor.device {
            self.devices.may(device, FREE_DEVICE, PAUSE_MAX, now)?;
            self.devices.failed(device, now);
        } else {
            let (address, network) = (exact(visitor.address), network(visitor.address));
            let longest = if visitor.is_shared { PAUSE_SHARED_MAX } else { PAUSE_MAX };
            self.addresses.may(address, FREE, longest, now)?;
            let failures = self.networks.failures(network, now);
            let stranger = Waiting { number, network, failures, since: now };
            self.make_place(&stranger)?;
            self.waiting.push(stranger);
            self.addresses.failed(address, now);
            self.networks.failed(network, now);
        }
        self.last_number = number;
        Ok(Ticket { number, visitor: visitor.clone() })
    }

    /// A full queue has a place for whoever was wrong less often than the last in it.
    fn make_place(&mut self, stranger: &Waiting) -> Result<(), Duration> {
        if self.waiting.iter().filter(|other| other.network == stranger.network).count() >= QUEUE_NETWORK_MAX
        {
            return Err(RETRY);
        }
        if self.waiting.len() < QUEUE_MAX {
            return Ok(());
        }
        let last = (0..self.waiting.len()).max_by_key(|place| self.waiting[*place].rank());
        match last.filter(|place| self.waiting[*place].rank() > stranger.rank()) {
            Some(place) => {
                self.waiting.swap_remove(place);
                Ok(())
            }
            None => Err(RETRY),
        }
    }

    /// Whether it is this ticket's turn.
    pub(super) fn look(&mut self, ticket: &Ticket, now: Instant) -> TicketTurn {
        let is_this = |stranger: &Waiting| stranger.number == ticket.number;
        if ticket.visitor.device.is_some() || self.judging.as_ref().is_some_and(is_this) {
            return TicketTurn::Now;
        }
        let Some(place) = self.waiting.iter().position(is_this) else {
            // Pushed out by someone who was wrong less often.
            self.forgive(ticket);
            return TicketTurn::Never(RETRY);
        };
        let patience = (self.waiting[place].since + WAIT_MAX).saturating_duration_since(now);
        if patience.is_zero() {
            self.waiting.swap_remove(place);
            self.forgive(ticket);
            return TicketTurn::Never(RETRY);
        }
        if self.judging.is_some() {
            return TicketTurn::Later(patience);
        }
        let (newcomers, others) = (self.newcomers.wait(now), self.others.wait(now));
        let wait = |stranger: &Waiting| if stranger.is_newcomer() { newcomers } else { others };
        let ready = self.waiting.iter().filter(|stranger| wait(stranger).is_zero());
        if ready.min_by_key(|stranger| stranger.rank()).is_some_and(is_this) {
            let stranger = self.waiting.swap_remove(place);
            self.budget(&stranger).take(now);
            self.judging = Some(stranger);
            return TicketTurn::Now;
        }
        // One who is ready goes first and will wake this one, unless nobody is.
        let own = wait(&self.waiting[place]);
        TicketTurn::Later(if own.is_zero() { patience } else { own.min(patience) })
    }

    fn budget(&mut self, stranger: &Waiting) -> &mut Budget {
        if stranger.is_newcomer() { &mut self.newcomers } else { &mut self.others }
    }

    /// A guess has ended, or its ticket is given back before its turn. The others should look again.
    pub(super) fn end(&mut self, ticket: &Ticket, outcome: GuessOutcome) {
        let judged = self.judging.take_if(|stranger| stranger.number == ticket.number);
        self.waiting.retain(|stranger| stranger.number != ticket.number);
        match outcome {
            GuessOutcome::Wrong => return,
            GuessOutcome::NotJudged => self.forgive(ticket),
            GuessOutcome::Right => {
                if let Some(device) = &ticket.visitor.device {
                    self.devices.forget(device);
                } else {
                    self.addresses.forget(&exact(ticket.visitor.address));
                    self.networks.forget(&network(ticket.visitor.address));
                }
            }
        }
        if let Some(stranger) = judged {
            self.budget(&stranger).give_back();
        }
    }

    /// One wrong guess less.
    fn forgive(&mut self, ticket: &Ticket) {
        if let Some(device) = &ticket.visitor.device {
            self.devices.forgive(device);
        } else {
            self.addresses.forgive(&exact(ticket.visitor.address));
            self.networks.forgive(&network(ticket.visitor.address));
        }
    }
}

/// The most guesses that all strangers together have judged within `span`: an upper bound whatever they do.
#[cfg(test)]
fn strangers_at_most(span: Duration) -> u64 {
    [NEWCOMERS, OTHERS]
        .iter()
        .map(|(most, every)| u64::from(*most) + span.as_secs() / every.as_secs() + 1)
        .sum()
}

/// How many guesses may be made: so many at once, then one every so often.
struct Budget {
    most: u32,
    every: Duration,
    left: u32,
    /// When `left` was right; moved on by whole steps of `every`.
    at: Instant,
}

impl Budget {
    fn new((most, every): (u32, Duration), now: Instant) -> Self {
        Self { most, every, left: most, at: now }
    }

    fn refill(&mut self, now: Instant) {
        while self.left < self.most && now.saturating_duration_since(self.at) >= self.every {
            self.left += 1;
            self.at += self.every;
        }
        if self.left >= self.most {
            self.at = now;
        }
    }

    fn wait(&mut self, now: Instant) -> Duration {
        self.refill(now);
        if self.left > 0 { Duration::ZERO } else { (self.at + self.every).saturating_duration_since(now) }
    }

    fn take(&mut self, now: Instant) {
        self.refill(now);
        self.left = self.left.saturating_sub(1);
    }

    fn give_back(&mut self) {
        self.left = (self.left + 1).min(self.most);
    }
}

#[derive(Clone, Copy)]
struct Record {
    failures: u32,
    last: Instant,
}

/// Wrong answers by whom they came from.
pub(super) struct Records<K> {
    forget: Duration,
    by: HashMap<K, Record>,
}

impl<K: Copy + Eq + Hash> Records<K> {
    pub(super) fn new(forget: Duration) -> Self {
        Self { forget, by: HashMap::new() }
    }

    fn failures(&self, who: K, now: Instant) -> u32 {
        let recent = self.by.get(&who).filter(|r| now.saturating_duration_since(r.last) <= self.forget);
        recent.map_or(0, |record| record.failures)
    }

    /// Whether there is no pause; the error is what is left of it.
    pub(super) fn may(&self, who: K, free: u32, longest: Duration, now: Instant) -> Result<(), Duration> {
        let (Some(record), Some(over)) = (self.by.get(&who), self.failures(who, now).checked_sub(free))
        else {
            return Ok(());
        };
        let pause = Duration::from_secs(1 << over.min(16)).min(longest);
        let left = (record.last + pause).saturating_duration_since(now);
        if left.is_zero() { Ok(()) } else { Err(left) }
    }

    pub(super) fn failed(&mut self, who: K, now: Instant) {
        if self.by.len() >= RECORDS_MAX && !self.by.contains_key(&who) {
            self.by.retain(|_, record| now.saturating_duration_since(record.last) <= self.forget);
            let quietest = self.by.iter().min_by_key(|(_, record)| record.last).map(|(who, _)| *who);
            if let Some(quietest) = quietest.filter(|_| self.by.len() >= RECORDS_MAX) {
                self.by.remove(&quietest);
            }
        }
        let failures = self.failures(who, now).saturating_add(1);
        self.by.insert(who, Record { failures, last: now });
    }

    fn forgive(&mut self, who: &K) {
        if let Some(record) = self.by.get_mut(who) {
            record.failures = record.failures.saturating_sub(1);
        }
    }

    pub(super) fn forget(&mut self, who: &K) {
        self.by.remove(who);
    }
}

/// One household has one IPv4 address, but 2^64 of IPv6: those count as one.
pub(super) fn exact(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

/// What one attacker easily has of the internet: 256 neighbouring IPv4 addresses. In a local network neighbours are
/// other people.
fn network(address: IpAddr) -> IpAddr {
    match exact(address) {
        IpAddr::V4(v4) if !(v4.is_private() || v4.is_loopback() || v4.is_link_local()) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        other => other,
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
