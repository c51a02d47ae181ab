//! The rules one by one, and whole attacks on a clock that jumps.

use proptest::prelude::*;

use super::*;

fn ip(last: u8) -> IpAddr {
    IpAddr::from([192, 168, 0, last])
}

fn at(address: IpAddr) -> Guesser {
    Guesser { address, is_shared: false, device: None }
}

/// A wrong guess, if it may be made now.
fn guess(throttle: &mut Throttle, visitor: &Guesser, now: Instant) -> Result<(), Duration> {
    let ticket = throttle.ask(visitor, now)?;
    match throttle.look(&ticket, now) {
        TicketTurn::Now => throttle.end(&ticket, GuessOutcome::Wrong),
        TicketTurn::Later(wait) | TicketTurn::Never(wait) => {
            throttle.end(&ticket, GuessOutcome::NotJudged);
            return Err(wait);
        }
    }
    Ok(())
}

/// The pauses between twelve wrong guesses.
fn pauses(visitor: &Guesser) -> Vec<u64> {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(now);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        while let Err(wait) = guess(&mut throttle, visitor, now) {
            pauses.push(wait.as_secs());
            now += wait;
        }
    }
    pauses
}

#[test]
fn each_wrong_guess_doubles_the_pause_up_to_a_minute() {
    assert_eq!(pauses(&at(ip(1))), [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn an_address_that_many_share_never_pauses_longer_than_four_seconds() {
    assert_eq!(pauses(&Guesser { is_shared: true, ..at(ip(1)) }), [1, 2, 4, 4, 4, 4, 4, 4]);
}

#[test]
fn a_device_that_was_right_before_has_a_pause_of_its_own() {
    let device = |n| Guesser { device: Some([n; 32]), ..at(ip(1)) };
    assert_eq!(pauses(&device(1)), [1, 2]);
    let now = Instant::now();
    let mut throttle = Throttle::new(now);
    while guess(&mut throttle, &device(1), now).is_ok() {}
    assert_eq!(guess(&mut throttle, &device(2), now), Ok(()));
}

#[test]
fn a_right_guess_ends_the_pauses_of_its_address() {
    let now = Instant::now();
    let mut throttle = Throttle::new(now);
    for _ in 0..3 {
        guess(&mut throttle, &at(ip(1)), now).unwrap();
    }
    let ticket = throttle.ask(&at(ip(1)), now).unwrap();
    assert!(throttle.ask(&at(ip(1)), now).is_err());
    assert_eq!(throttle.look(&ticket, now), TicketTurn::Now);
    throttle.end(&ticket, GuessOutcome::Right);
    assert_eq!(guess(&mut throttle, &at(ip(1)), now), Ok(()));
}

#[test]
fn strangers_are_judged_one_at_a_time_and_known_devices_beside_them() {
    let now = Instant::now();
    let mut throttle = Throttle::new(now);
    let tickets = [ip(1), ip(2)].map(|address| throttle.ask(&at(address), now).unwrap());
    assert_eq!(throttle.look(&tickets[0], now), TicketTurn::Now);
    assert_eq!(throttle.look(&tickets[1], now), TicketTurn::Later(WAIT_MAX));
    assert_eq!(guess(&mut throttle, &Guesser { device: Some([1; 32]), ..at(ip(3)) }, now), Ok(()));
    throttle.end(&tickets[0], GuessOutcome::Wrong);
    assert_eq!(throttle.look(&tickets[1], now), TicketTurn::Now);
}

#[test]
fn a_ticket_that_is_given_back_costs_nothing_and_one_that_waited_too_long_is_void() {
    let now = Instant::now();
    let mut throttle = Throttle::new(now);
    for _ in 0..50 {
        let ticket = throttle.ask(&at(ip(1)), now).unwrap();
        throttle.end(&ticket, GuessOutcome::NotJudged);
    }
    let first = throttle.ask(&at(ip(1)), now).unwrap();
    let second = throttle.ask(&at(ip(2)), now).unwrap();
    assert_eq!(throttle.look(&first, now), TicketTurn::Now);
    assert_eq!(throttle.look(&second, now + WAIT_MAX), TicketTurn::Never(RETRY));
    throttle.end(&second, GuessOutcome::NotJudged);
    assert!(throttle.waiting.is_empty());
}

#[test]
fn neighbours_on_the_internet_count_as_one_network_and_those_at_home_do_not() {
    assert_eq!(network([203, 0, 113, 7].into()), network([203, 0, 113, 200].into()));
    for home in [[192, 168, 0, 1], [10, 0, 0, 1], [172, 16, 0, 1], [127, 0, 0, 1], [169, 254, 0, 1]] {
        assert_eq!(network(home.into()), IpAddr::from(home));
    }
    let v6 = |host| IpAddr::from([0x2001, 0xdb8, 0, 0, host, 9, 9, 9]);
    assert_eq!((network(v6(1)), exact(v6(1))), (network(v6(2)), exact(v6(2))));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut now = Instant::now();
    let mut throttle = Throttle::new(now);
    for n in 0..10_000_u32 {
        now += Duration::from_secs(8);
        guess(&mut throttle, &at(IpAddr::from(n.wrapping_mul(65_537).to_be_bytes())), now).unwrap();
    }
    for n in 0..10_000_u32 {
        // Refusals are what is meant here.
        let _ = throttle.ask(&at(IpAddr::from((n + 0x4000_0000).wrapping_mul(65_537).to_be_bytes())), now);
    }
    assert!(throttle.addresses.by.len() <= RECORDS_MAX && throttle.networks.by.len() <= RECORDS_MAX);
    assert!(throttle.waiting.len() <= QUEUE_MAX, "{}", throttle.waiting.len());
}

/// An attack: every address asks whenever it may, with as many guesses at once as are taken.
struct Attack {
    throttle: Throttle,
    now: Instant,
    addresses: Vec<IpAddr>,
    tickets: Vec<Ticket>,
    /// How long one guess is looked at.
    hash: Duration,
    busy_until: Instant,
    /// When guesses of attackers were judged.
    judged: Vec<Instant>,
}

impl Attack {
    fn new(addresses: Vec<IpAddr>, hash: Duration) -> Self {
        let now = Instant::now();
        let (tickets, judged) = (Vec::new(), Vec::new());
        Self { throttle: Throttle::new(now), now, addresses, tickets, hash, busy_until: now, judged }
    }

    /// Lets everyone do what can be done now, then moves on. Tells whether `owner` had its turn.
    fn step(&mut self, step: Duration, owner: Option<&Ticket>) -> Option<TicketTurn> {
        for place in 0..self.addresses.len() {
            self.tickets.extend(self.throttle.ask(&at(self.addresses[place]), self.now));
        }
        let mut turn = None;
        while self.now >= self.busy_until {
            turn = owner.map(|ticket| self.throttle.look(ticket, self.now));
            if let (Some(TicketTurn::Now), Some(ticket)) = (turn, owner) {
                self.throttle.end(ticket, GuessOutcome::Right);
                break;
            }
            let Some(place) = self.next() else { break };
            let ticket = self.tickets.swap_remove(place);
            self.judged.push(self.now);
            self.busy_until = self.now + self.hash;
            // Nothing else is begun before `busy_until`.
            self.throttle.end(&ticket, GuessOutcome::Wrong);
        }
        self.now += step;
        turn
    }

    fn next(&mut self) -> Option<usize> {
        let mut place = 0;
        while place < self.tickets.len() {
            match self.throttle.look(&self.tickets[place], self.now) {
                TicketTurn::Now => return Some(place),
                TicketTurn::Later(_) => place += 1,
                TicketTurn::Never(_) => {
                    // Another one may be the first now: everybody asks again.
                    self.tickets.swap_remove(place);
                    place = 0;
                }
            }
        }
        None
    }
}

/// How long an owner at a new address waits who comes after `after` of an attack from `attackers` addresses.
fn owner_waits(attackers: u8, after: Duration) -> Duration {
    let step = Duration::from_millis(100);
    let addresses = (1..=attackers).map(|n| IpAddr::from([198, 51, n, 7])).collect();
    let mut attack = Attack::new(addresses, Duration::from_millis(300));
    let start = attack.now;
    while attack.now < start + after {
        attack.step(step, None);
    }
    let (came, owner) = (attack.now, at([203, 0, 113, 7].into()));
    let (mut ticket, mut come_back) = (None, came);
    while attack.now < came + Duration::from_secs(300) {
        if ticket.is_none() && attack.now >= come_back {
            match attack.throttle.ask(&owner, attack.now) {
                Ok(new) => ticket = Some(new),
                Err(wait) => come_back = attack.now + wait,
            }
        }
        match attack.step(step, ticket.as_ref()) {
            Some(TicketTurn::Now) => return attack.now - came,
            Some(TicketTurn::Never(wait)) => {
                ticket = None;
                come_back = attack.now + wait;
            }
            Some(TicketTurn::Later(_)) | None => {}
        }
    }
    panic!("the owner is still not in")
}

#[test]
fn an_owner_at_a_new_address_gets_in_within_thirty_seconds_while_sixty_addresses_guess() {
    for after in [0, 1, 5, 20, 60, 300] {
        let waited = owner_waits(60, Duration::from_secs(after));
        assert!(waited <= Duration::from_secs(30), "{waited:?} after {after} s");
    }
}

#[test]
fn attackers_who_keep_some_addresses_fresh_do_not_keep_the_owner_out() {
    // Forty use up what there is; then twenty that never guessed come together with the owner, and before him.
    let step = Duration::from_millis(100);
    let addresses = (1..=40).map(|n| IpAddr::from([198, 51, n, 7])).collect();
    let mut attack = Attack::new(addresses, Duration::from_millis(300));
    for _ in 0..3_000 {
        attack.step(step, None);
    }
    attack.addresses.extend((41..=60).map(|n| IpAddr::from([198, 51, n, 7])));
    attack.step(step, None);
    let came = attack.now;
    let ticket = attack.throttle.ask(&at([203, 0, 113, 7].into()), came).unwrap();
    while attack.step(step, Some(&ticket)) != Some(TicketTurn::Now) {
        assert!(attack.now - came < Duration::from_secs(30));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn strangers_never_get_more_guesses_than_is_promised(
        networks in 1..160_u32,
        per_network in 1..3_u32,
        step in 3..8_u64,
        hash in 0..400_u64,
    ) {
        let addresses = (0..networks * per_network)
            .map(|n| IpAddr::from((0x2d00_0000 + (n / per_network) * 256 + n % per_network).to_be_bytes()))
            .collect();
        let mut attack = Attack::new(addresses, Duration::from_millis(hash));
        for _ in 0..600 / step {
            attack.step(Duration::from_secs(step), None);
        }
        let judged = &attack.judged;
        for (number, from) in judged.iter().enumerate() {
            for (more, to) in judged[number..].iter().enumerate() {
                prop_assert!((more as u64) < strangers_at_most(*to - *from));
            }
        }
        // And they do get them: nobody waits for nothing.
        prop_assert!(judged.len() as u64 >= u64::from(networks.min(50)));
    }
}

#[test]
fn the_guesses_that_remain_possible_are_those_of_the_readme() {
    let hour = Duration::from_secs(3600);
    assert_eq!(strangers_at_most(2 * hour) - strangers_at_most(hour), 1050);
    assert_eq!(strangers_at_most(Duration::ZERO), 162);
}
