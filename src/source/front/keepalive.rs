//! Keeping a session alive (RFC 2326 sections 10.8 and 12.37): how often, and by which of the three ways. Pure.
//!
//! Each way is refused, unanswered or without effect with some firmware, and none of that is a reason to end a session
//! that gives pictures: the way is changed, and when sessions go on dying at their time-out the next one begins with
//! another.

use core::time::Duration;

/// How often, when the camera does not say how long it waits; that is then a minute.
const USUAL: Duration = Duration::from_secs(25);

/// Not more often than this; nor less often, since routers forget connections too.
const BOUNDS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// What a camera waits when it does not say so (RFC 2326 section 12.37).
const TIMEOUT: Duration = Duration::from_secs(60);

/// So many sessions that died at their time-out are no accident.
const DEATHS: u8 = 2;

/// A way to keep a session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepaliveMethod {
    /// Every server knows it, and says in its answer what else it knows.
    Options,
    /// The one that RFC 2326 names for this.
    GetParameter,
    /// What some know instead.
    SetParameter,
}

impl KeepaliveMethod {
    /// As in the first line of a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::GetParameter => "GET_PARAMETER",
            Self::SetParameter => "SET_PARAMETER",
        }
    }

    fn next(self) -> Self {
        match self {
            Self::Options => Self::GetParameter,
            Self::GetParameter => Self::SetParameter,
            Self::SetParameter => Self::Options,
        }
    }
}

/// What is known of a camera from its sessions before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionHabits {
    /// The way that its sessions live by, if not the usual one.
    method: Option<KeepaliveMethod>,
    deaths: u8,
    /// The password was right once.
    pub has_let_in: bool,
}

/// The keepalives of one session.
#[derive(Clone, Debug, Default)]
pub struct Keepalive {
    habits: SessionHabits,
    /// What the camera waits, if it says so.
    timeout: Option<Duration>,
    /// It offers GET_PARAMETER, if it says what it offers.
    offers: Option<bool>,
    /// Was sent last.
    last: Option<KeepaliveMethod>,
    /// Of no use here.
    refused: Vec<KeepaliveMethod>,
}

impl Keepalive {
    /// Of a session of a camera with these habits.
    pub fn new(habits: SessionHabits) -> Self {
        Self { habits, ..Self::default() }
    }

    /// The camera waits so many seconds.
    pub fn wait(&mut self, seconds: u32) {
        self.timeout = Some(Duration::from_secs(seconds.into()));
    }

    /// A `Public` header.
    pub fn offer(&mut self, public: &str) {
        let name = KeepaliveMethod::GetParameter.name();
        self.offers = Some(public.split(',').any(|method| method.trim().eq_ignore_ascii_case(name)));
    }

    /// How often.
    pub fn interval(&self) -> Duration {
        self.timeout.map_or(USUAL, |timeout| timeout * 2 / 5).clamp(BOUNDS.0, BOUNDS.1)
    }

    /// The way to use now.
    pub fn method(&mut self) -> KeepaliveMethod {
        let usual = match (self.habits.method, self.offers) {
            (Some(method), _) => method,
            // Its answer says what is offered.
            (None, None | Some(false)) => KeepaliveMethod::Options,
            (None, Some(true)) => KeepaliveMethod::GetParameter,
        };
        let ways =
            [usual, KeepaliveMethod::Options, KeepaliveMethod::GetParameter, KeepaliveMethod::SetParameter];
        // When nothing is liked, everything is as good.
        let method = ways.into_iter().find(|method| !self.refused.contains(method)).unwrap_or_else(|| {
            self.refused.clear();
            usual
        });
        self.last = Some(method);
        method
    }

    /// The last one was refused, or not answered.
    pub fn refuse(&mut self) {
        self.refused.extend(self.last);
    }

    /// The password was right.
    pub fn let_in(&mut self) {
        self.habits.has_let_in = true;
    }

    /// Whether the password was right once, here or in a session before.
    pub fn has_let_in(&self) -> bool {
        self.habits.has_let_in
    }

    /// What is known now that the session has lasted so long since video was promised, if it was.
    pub fn habits(&self, lasted: Option<Duration>) -> SessionHabits {
        let mut habits = self.habits;
        let Some(lasted) = lasted else { return habits };
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        // Timers of firmware are coarse, and what it forgets it may end later.
        let is_death = lasted >= timeout * 4 / 5 && lasted <= timeout * 8 / 5 + Duration::from_secs(5);
        if !is_death {
            habits.deaths = 0;
            return habits;
        }
        habits.deaths += 1;
        if habits.deaths >= DEATHS {
            let was = self.last.unwrap_or(KeepaliveMethod::Options);
            (habits.method, habits.deaths) = (Some(was.next()), 0);
        }
        habits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use KeepaliveMethod::{GetParameter, Options, SetParameter};

    #[test]
    fn what_a_camera_offers_is_used_and_what_it_refuses_is_not() {
        let mut keepalive = Keepalive::default();
        assert_eq!(keepalive.method(), Options);
        keepalive.offer("OPTIONS, DESCRIBE, get_parameter");
        assert_eq!(keepalive.method(), GetParameter);
        keepalive.refuse();
        assert_eq!(keepalive.method(), Options);
        keepalive.refuse();
        assert_eq!(keepalive.method(), SetParameter);
        keepalive.refuse();
        assert_eq!(keepalive.method(), GetParameter, "again from the beginning");
        let mut keepalive = Keepalive::default();
        keepalive.offer("OPTIONS, SET_PARAMETER");
        assert_eq!(keepalive.method(), Options);
    }

    #[test]
    fn often_enough_for_what_the_camera_waits() {
        let every = |seconds| {
            let mut keepalive = Keepalive::default();
            keepalive.wait(seconds);
            keepalive.interval().as_secs()
        };
        assert_eq!(Keepalive::default().interval(), USUAL);
        assert_eq!([1, 10, 20, 60, 3600, u32::MAX].map(every), [2, 4, 8, 24, 30, 30]);
    }

    #[test]
    fn sessions_that_die_at_their_time_out_change_the_way() {
        let session = |habits, lasted| {
            let mut keepalive = Keepalive::new(habits);
            keepalive.wait(10);
            let method = keepalive.method();
            (method, keepalive.habits(Some(Duration::from_secs(lasted))))
        };
        let (mut habits, mut methods) = (SessionHabits::default(), Vec::new());
        for lasted in [11, 12, 11, 14, 9, 10, 11] {
            let (method, next) = session(habits, lasted);
            methods.push(method);
            habits = next;
        }
        assert_eq!(
            methods,
            [Options, Options, GetParameter, GetParameter, SetParameter, SetParameter, Options]
        );
        let (_, long) = session(session(SessionHabits::default(), 11).1, 500);
        assert_eq!(session(long, 11).1.method, None, "between two deaths it lived");
    }
}
