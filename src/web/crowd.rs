//! Who may be connected, and who has to go for it: the rule, without sockets and clock.
//!
//! Anybody can open connections, and keep them. So nobody is turned away because others were there first: a newcomer
//! gets in, and the connection goes that is missed least. That is one on which nothing is being asked, of somebody who
//! has not logged in, from where the most come, and the oldest of these. Only people who have logged in, and whose
//! request or stream is being served, are never closed for a newcomer; when they have every place, it is refused.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A connection on which nothing is asked ends after this: a little more than the HTTP server itself waits for the
/// next request (5 s) or for headers (5 s), because it has no limit for the headers of a second request.
const WAITING_MAX: Duration = Duration::from_secs(10);

/// What a stranger asks for is done after this: a log-in may wait for its turn, a body has ten seconds.
const STRANGER_MAX: Duration = Duration::from_secs(60);

/// Until then a new connection may still bring its request: a round trip on a slow network. Otherwise those who send
/// theirs a byte at a time would outlive those who are about to send theirs.
const FRESH: Duration = Duration::from_secs(1);

/// Who takes nothing of an answer for so long has gone without a word.
const STALLED_MAX: Duration = super::visit::STALLED;

/// Connections of one address: three browsers with six each and as many streams.
const PER_ADDRESS: usize = 48;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrowdLimits {
    /// Of all.
    pub(super) all: usize,
    /// Of one address.
    pub(super) per_address: usize,
    /// Of an address of this machine, where a reverse proxy stands for many people.
    pub(super) per_proxy: usize,
}

impl CrowdLimits {
    /// For so many in all. No one address gets every place, not even a proxy's.
    pub(super) fn of(all: usize) -> Self {
        let per_proxy = (all - all / 4).max(1);
        Self { all, per_address: PER_ADDRESS.min(per_proxy / 2).max(1), per_proxy }
    }
}

/// Where a connection comes from, as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerOrigin {
    /// The address: of IPv6 its /64, which is what one customer has.
    pub(super) network: u128,
    /// It is this machine.
    pub(super) is_proxy: bool,
}

/// Number of a connection.
pub(super) type Id = u64;

/// What is happening on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// No request is there yet, or none again.
    Waiting,
    /// A request is being answered.
    Serving,
}

/// What was too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Connections of that address.
    Address,
    /// Connections of all.
    All,
}

/// What becomes of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// There was a place.
    Welcome(Id),
    /// It has the place of another, which is gone.
    Instead(Id, Full),
    /// Whoever is there may stay.
    Refused(Full),
}

/// Those of one origin, counted where each of them can look it up at once: with every newcomer of a flood all are looked
/// at.
#[derive(Default)]
struct Group {
    all: Cell<usize>,
    known: Cell<usize>,
}

struct Member<T> {
    origin: PeerOrigin,
    group: Rc<Group>,
    doing: Doing,
    since: Instant,
    /// Somebody who may look has asked for something here.
    is_known: bool,
    /// Nothing more of the answer is taken since then.
    stalled: Option<Instant>,
    /// Dropped when the connection has to end.
    _open: T,
}

/// All connections. `T` keeps one open; it is dropped when the connection has to go.
pub(super) struct Crowd<T> {
    limits: CrowdLimits,
    next: Id,
    members: HashMap<Id, Member<T>>,
    /// Of each origin that has any.
    groups: HashMap<PeerOrigin, Rc<Group>>,
}

impl<T> Crowd<T> {
    pub(super) fn new(limits: CrowdLimits) -> Self {
        Self { limits, next: 0, members: HashMap::new(), groups: HashMap::new() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Somebody is at the door.
    pub(super) fn arrive(&mut self, origin: PeerOrigin, open: T, now: Instant) -> Admission {
        let limit = if origin.is_proxy { self.limits.per_proxy } else { self.limits.per_address };
        let full = if self.groups.get(&origin).is_some_and(|group| group.all.get() >= limit) {
            Full::Address
        } else if self.members.len() >= self.limits.all {
            Full::All
        } else {
            return Admission::Welcome(self.insert(origin, open, now));
        };
        let Some(gone) = self.least_missed(now, |member| full == Full::All || member.origin == origin) else {
            return Admission::Refused(full);
        };
        self.remove(gone);
        Admission::Instead(self.insert(origin, open, now), full)
    }

    /// Ends the connections that are missed least, at most so many. For when descriptors have run out all the same.
    pub(super) fn shed(&mut self, most: usize, now: Instant) -> usize {
        (0..most).map_while(|_| self.least_missed(now, |_| true).map(|id| self.remove(id))).count()
    }

    /// A request of it is being answered from now on.
    pub(super) fn serving(&mut self, id: Id, now: Instant) {
        if let Some(member) = self.members.get_mut(&id) {
            (member.doing, member.since) = (Doing::Serving, now);
        }
    }

    /// Its request is answered.
    pub(super) fn served(&mut self, id: Id, now: Instant) {
        if let Some(member) = self.members.get_mut(&id) {
            (member.doing, member.since) = (Doing::Waiting, now);
        }
    }

    /// The one who asks may look.
    pub(super) fn known(&mut self, id: Id) {
        if let Some(member) = self.members.get_mut(&id)
            && !std::mem::replace(&mut member.is_known, true)
        {
            member.group.known.update(|known| known + 1);
        }
    }

    /// The other side takes nothing at the moment (`Some`), or has taken something.
    pub(super) fn stalled(&mut self, id: Id, since: Option<Instant>) {
        if let Some(member) = self.members.get_mut(&id) {
            member.stalled = since;
        }
    }

    /// It has ended by itself, or was told to.
    pub(super) fn left(&mut self, id: Id) {
        self.remove(id);
    }

    /// Ends whatever has lasted too long.
    pub(super) fn end_overdue(&mut self, now: Instant) -> usize {
        self.end(|member| {
            let lasts = now.saturating_duration_since(member.since);
            let is_stalled =
                member.stalled.is_some_and(|since| now.saturating_duration_since(since) >= STALLED_MAX);
            is_stalled
                || match (member.doing, member.is_known) {
                    // What is left of an answer is still on its way.
                    (Doing::Waiting, _) => lasts >= WAITING_MAX && member.stalled.is_none(),
                    (Doing::Serving, false) => lasts >= STRANGER_MAX,
                    (Doing::Serving, true) => false,
                }
        })
    }

    /// Ends whatever nothing is being answered on: the program stops.
    pub(super) fn end_waiting(&mut self) -> usize {
        self.end(|member| member.doing == Doing::Waiting && member.stalled.is_none())
    }

    fn end(&mut self, must_go: impl Fn(&Member<T>) -> bool) -> usize {
        let gone: Vec<Id> =
            self.members.iter().filter(|(_, member)| must_go(member)).map(|(id, _)| *id).collect();
        gone.iter().for_each(|id| self.remove(*id));
        gone.len()
    }

    fn insert(&mut self, origin: PeerOrigin, open: T, now: Instant) -> Id {
        let id = self.next;
        self.next += 1;
        let group = Rc::clone(self.groups.entry(origin).or_default());
        group.all.update(|all| all + 1);
        let doing = Doing::Waiting;
        let member = Member { origin, group, doing, since: now, is_known: false, stalled: None, _open: open };
        self.members.insert(id, member);
        id
    }

    fn remove(&mut self, id: Id) {
        let Some(member) = self.members.remove(&id) else { return };
        member.group.all.update(|all| all - 1);
        member.group.known.update(|known| known - usize::from(member.is_known));
        if member.group.all.get() == 0 {
            self.groups.remove(&member.origin);
        }
    }

    /// Whose end hurts least, of those that may be ended and `is_meant`.
    fn least_missed(&self, now: Instant, is_meant: impl Fn(&Member<T>) -> bool) -> Option<Id> {
        self.members
            .iter()
            .filter(|(_, member)| !(member.is_known && member.doing == Doing::Serving) && is_meant(member))
            .min_by_key(|(id, member)| {
                let (all, known) = (member.group.all.get(), member.group.known.get());
                let is_fresh = now.saturating_duration_since(member.since) < FRESH;
                let is_of_use = member.doing == Doing::Serving || is_fresh;
                (member.is_known, known > 0, is_of_use, Reverse(all), member.since, **id)
            })
            .map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use std::collections::HashSet;
    use std::rc::Weak;

    fn from(network: u128) -> PeerOrigin {
        PeerOrigin { network, is_proxy: network == 0 }
    }

    /// A crowd whose connections can be asked whether they are still open.
    struct Watched {
        crowd: Crowd<Rc<()>>,
        open: HashMap<Id, Weak<()>>,
        began: Instant,
        seconds: u64,
    }

    impl Watched {
        fn new(all: usize, per_address: usize, per_proxy: usize) -> Self {
            let crowd = Crowd::new(CrowdLimits { all, per_address, per_proxy });
            Self { crowd, open: HashMap::new(), began: Instant::now(), seconds: 0 }
        }

        /// A second later somebody comes.
        fn arrive(&mut self, network: u128) -> Result<Id, Full> {
            self.seconds += 1;
            let open = Rc::new(());
            let watch = Rc::downgrade(&open);
            match self.crowd.arrive(from(network), open, self.now()) {
                Admission::Welcome(id) | Admission::Instead(id, _) => {
                    self.open.insert(id, watch);
                    Ok(id)
                }
                Admission::Refused(full) => Err(full),
            }
        }

        fn now(&self) -> Instant {
            self.began + Duration::from_secs(self.seconds)
        }

        fn is_open(&self, id: Id) -> bool {
            self.open[&id].strong_count() > 0
        }

        fn all_open(&self) -> HashSet<Id> {
            self.open.keys().copied().filter(|id| self.is_open(*id)).collect()
        }
    }

    #[test]
    fn the_oldest_of_an_address_with_too_many_makes_room_and_nobody_elses() {
        let mut watched = Watched::new(10, 3, 5);
        let other = watched.arrive(2).unwrap();
        let own: Vec<Id> = (0..4).map(|_| watched.arrive(1).unwrap()).collect();
        assert_eq!(own.iter().map(|id| watched.is_open(*id)).collect::<Vec<_>>(), [false, true, true, true]);
        assert!(watched.is_open(other));
    }

    #[test]
    fn a_stranger_whose_request_is_answered_goes_after_those_who_ask_nothing_and_before_those_who_are_known()
    {
        let mut watched = Watched::new(10, 3, 5);
        let [known, served, idle] = [(); 3].map(|()| watched.arrive(1).unwrap());
        watched.crowd.serving(known, watched.now());
        watched.crowd.known(known);
        watched.crowd.serving(served, watched.now());
        let last: Vec<Id> = (0..2)
            .map(|_| {
                let id = watched.arrive(1).unwrap();
                watched.crowd.serving(id, watched.now());
                id
            })
            .collect();
        assert!(watched.is_open(known) && !watched.is_open(idle) && !watched.is_open(served));
        assert!(last.iter().all(|id| watched.is_open(*id)));
        last.iter().for_each(|id| watched.crowd.known(*id));
        assert_eq!(watched.arrive(1), Err(Full::Address));
        watched.crowd.served(last[0], watched.now());
        assert!(watched.arrive(1).is_ok());
        assert!(!watched.is_open(last[0]));
    }

    #[test]
    fn when_all_places_are_taken_the_address_with_the_most_gives_one_up() {
        let mut watched = Watched::new(6, 4, 5);
        let single = watched.arrive(9).unwrap();
        let many: Vec<Id> = (0..4).map(|_| watched.arrive(1).unwrap()).collect();
        let pair = watched.arrive(2).unwrap();
        watched.arrive(3).unwrap();
        assert!(watched.is_open(single) && watched.is_open(pair) && !watched.is_open(many[0]));
    }

    #[test]
    fn a_thousand_addresses_do_not_close_what_somebody_from_a_known_address_is_about_to_ask() {
        let mut watched = Watched::new(8, 4, 5);
        let stream = watched.arrive(9).unwrap();
        watched.crowd.serving(stream, watched.now());
        watched.crowd.known(stream);
        let fresh = watched.arrive(9).unwrap();
        for stranger in 100..1100 {
            let id = watched.arrive(stranger).unwrap();
            watched.crowd.serving(id, watched.now());
        }
        assert!(watched.is_open(stream) && watched.is_open(fresh));
    }

    #[test]
    fn whoever_is_about_to_ask_outlives_those_who_dawdle_with_what_they_asked() {
        let mut watched = Watched::new(8, 4, 5);
        let dawdlers: Vec<Id> = (100..107)
            .map(|stranger| {
                let id = watched.arrive(stranger).unwrap();
                watched.crowd.serving(id, watched.now());
                id
            })
            .collect();
        let fresh = watched.arrive(9).unwrap();
        // The next one comes in the same second.
        watched.seconds -= 1;
        watched.arrive(107).unwrap();
        assert!(watched.is_open(fresh) && !watched.is_open(dawdlers[0]));
    }

    #[test]
    fn nothing_lasts_for_ever_but_what_somebody_who_may_look_looks_at() {
        let mut watched = Watched::new(10, 5, 5);
        let [idle, stranger, viewer, sleeper] = [1, 2, 3, 4].map(|network| watched.arrive(network).unwrap());
        let now = watched.now();
        [stranger, viewer, sleeper].iter().for_each(|id| watched.crowd.serving(*id, now));
        [viewer, sleeper].iter().for_each(|id| watched.crowd.known(*id));
        watched.crowd.stalled(sleeper, Some(now));
        let mut left_after = |seconds: u64| {
            watched.crowd.end_overdue(now + Duration::from_secs(seconds));
            [idle, stranger, viewer, sleeper].map(|id| watched.is_open(id))
        };
        assert_eq!(left_after(6), [true, true, true, true]);
        assert_eq!(left_after(11), [false, true, true, true]);
        assert_eq!(left_after(15), [false, true, true, false]);
        assert_eq!(left_after(61), [false, false, true, false]);
        assert_eq!(left_after(100_000), [false, false, true, false]);
    }

    #[test]
    fn at_the_end_only_answers_under_way_are_waited_for() {
        let mut watched = Watched::new(10, 5, 5);
        let [idle, served, half] = [1, 2, 3].map(|network| watched.arrive(network).unwrap());
        watched.crowd.serving(served, watched.now());
        watched.crowd.stalled(half, Some(watched.now()));
        watched.crowd.end_waiting();
        assert_eq!([idle, served, half].map(|id| watched.is_open(id)), [false, true, true]);
    }

    #[test]
    fn even_a_proxy_leaves_places_for_others() {
        for all in 1..400 {
            let limits = CrowdLimits::of(all);
            assert!(limits.per_address >= 1 && limits.per_address <= limits.per_proxy, "{limits:?}");
            assert!(all < 4 || limits.per_proxy < all, "{limits:?}");
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Arrive(u128),
        Serving(usize),
        Served(usize),
        Known(usize),
        Left(usize),
        Shed,
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => (0..7_u128).prop_map(Act::Arrive),
            3 => any::<usize>().prop_map(Act::Serving),
            2 => any::<usize>().prop_map(Act::Served),
            1 => any::<usize>().prop_map(Act::Known),
            1 => any::<usize>().prop_map(Act::Left),
            1 => (0..1_u8).prop_map(|_| Act::Shed),
        ]
    }

    proptest! {
        /// Whatever happens: never too many, nobody who is being shown something is closed for another, a newcomer is
        /// refused only by such people, and it stays itself.
        #[test]
        fn the_laws_of_the_crowd(acts in proptest::collection::vec(act(), 1..200)) {
            let mut watched = Watched::new(12, 4, 6);
            let (mut serving, mut known, mut origin) = (HashSet::new(), HashSet::new(), HashMap::new());
            for act in acts {
                let before = watched.all_open();
                let mut ids: Vec<Id> = before.iter().copied().collect();
                ids.sort_unstable();
                let pick = |n: usize| ids.get(n.checked_rem(ids.len()).unwrap_or(0)).copied();
                let is_safe = |id: &Id, serving: &HashSet<Id>, known: &HashSet<Id>| serving.contains(id) && known.contains(id);
                match act {
                    Act::Arrive(network) => match watched.arrive(network) {
                        Ok(id) => {
                            origin.insert(id, network);
                            assert!(watched.is_open(id));
                            let gone: Vec<Id> = before.iter().copied().filter(|id| !watched.is_open(*id)).collect();
                            assert!(gone.len() <= 1);
                            assert!(gone.iter().all(|id| !is_safe(id, &serving, &known)));
                        }
                        Err(Full::All) => assert!(before.iter().all(|id| is_safe(id, &serving, &known))),
                        Err(Full::Address) => assert!(
                            before.iter().filter(|id| origin[*id] == network).all(|id| is_safe(id, &serving, &known))
                        ),
                    },
                    Act::Serving(n) => if let Some(id) = pick(n) {
                        watched.crowd.serving(id, watched.now());
                        serving.insert(id);
                    },
                    Act::Served(n) => if let Some(id) = pick(n) {
                        watched.crowd.served(id, watched.now());
                        serving.remove(&id);
                    },
                    Act::Known(n) => if let Some(id) = pick(n) {
                        watched.crowd.known(id);
                        known.insert(id);
                    },
                    Act::Left(n) => if let Some(id) = pick(n) {
                        watched.crowd.left(id);
                    },
                    Act::Shed => {
                        watched.crowd.shed(2, watched.now());
                        assert!(before.iter().filter(|id| is_safe(id, &serving, &known)).all(|id| watched.is_open(*id)));
                    }
                }
                let open = watched.all_open();
                assert_eq!(open.len(), watched.crowd.len());
                assert!(open.len() <= 12);
                for network in 0..7_u128 {
                    let count = open.iter().filter(|id| origin[*id] == network).count();
                    assert!(count <= if network == 0 { 6 } else { 4 });
                    let known = open.iter().filter(|id| origin[*id] == network && known.contains(*id)).count();
                    let group = watched.crowd.groups.get(&from(network));
                    assert_eq!(group.map_or((0, 0), |group| (group.all.get(), group.known.get())), (count, known));
                }
            }
        }
    }
}
