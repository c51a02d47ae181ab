//! Who may bring pictures, and how many. Pure: the address, the words and the time come from the caller.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::tries::{Tries, client_of};
use crate::config::{DeviceConfig, IngestConfig, Secret};

/// What somebody at the door says of themselves.
#[derive(Clone, Copy, Debug)]
pub enum Introduction<'a> {
    /// Nothing; only the address speaks.
    None,
    /// A token.
    Token(&'a Secret<String>),
    /// A user and a password, as FTP has them.
    Login {
        /// User name.
        user: &'a str,
        /// Password.
        password: &'a Secret<String>,
    },
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Nothing was said, and the address is no device's.
    #[error("no token was sent, and no device is configured for this address")]
    Unknown,
    /// What was said is no device's. A wrong token is never overlooked for a right address.
    #[error("the token, or user and password, are those of no device")]
    Wrong,
    /// Too much was wrong from this address; this was not even looked at.
    #[error("too many wrong tokens or passwords came from this address")]
    TooMany {
        /// Until the next try.
        wait: Duration,
    },
}

/// The one door for everything that comes by itself.
#[derive(Debug)]
pub struct Door {
    devices: Vec<Arc<DeviceConfig>>,
    /// When each device may bring how many, by its number.
    rates: Mutex<BTreeMap<u8, Rate>>,
    tries: Mutex<Tries>,
}

impl Door {
    /// A door for the configured devices.
    pub fn new(config: &IngestConfig) -> Self {
        Self {
            devices: config.devices.iter().cloned().map(Arc::new).collect(),
            rates: Mutex::default(),
            tries: Mutex::default(),
        }
    }

    /// Whether there is a device at all.
    pub fn has_devices(&self) -> bool {
        !self.devices.is_empty()
    }

    /// The device that somebody is. From an address with too many wrong words only a device gets in that was right from
    /// there before.
    pub fn admit(
        &self,
        from: IpAddr,
        said: Introduction<'_>,
        now: Instant,
    ) -> Result<Arc<DeviceConfig>, NotAdmitted> {
        let found = self.find(from, said);
        if matches!(said, Introduction::None) {
            return found.ok_or(NotAdmitted::Unknown);
        }
        let client = client_of(from);
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        match (found, tries.may(client, now)) {
            (Some(device), Ok(())) => {
                tries.right(client, device.number);
                Ok(device)
            }
            (Some(device), Err(_)) if tries.was_right(client, device.number) => Ok(device),
            (_, Err(wait)) => Err(NotAdmitted::TooMany { wait }),
            (None, Ok(())) => {
                tries.wrong(client, now);
                Err(NotAdmitted::Wrong)
            }
        }
    }

    /// Every device is compared, and each comparison takes the same time.
    fn find(&self, from: IpAddr, said: Introduction<'_>) -> Option<Arc<DeviceConfig>> {
        let mut found = None;
        for device in &self.devices {
            let is_it = match said {
                Introduction::None => device.addresses.iter().any(|network| network.contains(from)),
                Introduction::Token(token) => device.token.as_ref().is_some_and(|own| same(own, token)),
                Introduction::Login { user, password } => device.ftp.as_ref().is_some_and(|own| {
                    let is_user = same_text(&own.user, user);
                    let is_password = same(&own.password, password);
                    is_user & is_password
                }),
            };
            if is_it && found.is_none() {
                found = Some(Arc::clone(device));
            }
        }
        found
    }

    /// Takes one of the pictures that the device may bring now, or says when the next may come.
    pub fn take(&self, device: &DeviceConfig, now: Instant) -> Result<(), Duration> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.entry(device.number).or_insert_with(|| Rate::new(device.per_minute, now)).take(now)
    }
}

/// A minute's worth at most at once; they come back evenly.
#[derive(Debug)]
struct Rate {
    each: Duration,
    /// When all of them are back, if nothing more is taken.
    full_at: Instant,
}

impl Rate {
    const WINDOW: Duration = Duration::from_secs(60);

    fn new(per_minute: u32, now: Instant) -> Self {
        Self { each: Self::WINDOW / per_minute.max(1), full_at: now }
    }

    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + self.each;
        // `each` is rounded down, so a whole minute's worth fits.
        match full_at.saturating_duration_since(now).checked_sub(Self::WINDOW) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.full_at = full_at;
                Ok(())
            }
        }
    }
}

fn same(one: &Secret<String>, other: &Secret<String>) -> bool {
    same_text(one.reveal(), other.reveal())
}

/// Compares hashes, so that neither length nor content shows in the time.
fn same_text(one: &str, other: &str) -> bool {
    Sha256::digest(one).ct_eq(&Sha256::digest(other)).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Env};

    fn door(pairs: &[(&str, &str)]) -> Door {
        let file: String = pairs.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let (config, _) = Config::parse(&Env::from_file(file.as_bytes(), "box.env")).unwrap();
        Door::new(&config.ingest)
    }

    const TWO: &[(&str, &str)] = &[
        ("INGEST_1_TOKEN", "aaaaaaaaaaaaaaaaaaaa"),
        ("INGEST_2_ADDRESS", "192.0.2.0/24"),
        ("INGEST_2_USER", "cam"),
        ("INGEST_2_PASSWORD", "camera"),
        ("INGEST_2_PER_MINUTE", "3"),
    ];

    fn who(door: &Door, from: &str, said: Introduction<'_>) -> Result<u8, NotAdmitted> {
        door.admit(from.parse().unwrap(), said, Instant::now()).map(|device| device.number)
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_device_is_known_by_token_address_or_login_and_nobody_else_comes_in() {
        let door = door(TWO);
        let (right, wrong) = (secret("aaaaaaaaaaaaaaaaaaaa"), secret("aaaaaaaaaaaaaaaaaaab"));
        assert_eq!(who(&door, "198.51.100.1", Introduction::Token(&right)), Ok(1));
        assert_eq!(who(&door, "192.0.2.7", Introduction::None), Ok(2));
        assert_eq!(who(&door, "::ffff:192.0.2.7", Introduction::None), Ok(2));
        assert_eq!(who(&door, "192.0.3.7", Introduction::None), Err(NotAdmitted::Unknown));
        assert_eq!(
            who(&door, "192.0.2.7", Introduction::Token(&wrong)),
            Err(NotAdmitted::Wrong),
            "a wrong token is not overlooked for a right address"
        );
        let password = secret("camera");
        let login = |user, password| Introduction::Login { user, password };
        assert_eq!(who(&door, "198.51.100.1", login("cam", &password)), Ok(2));
        assert_eq!(who(&door, "192.0.2.7", login("cam", &wrong)), Err(NotAdmitted::Wrong));
        assert_eq!(who(&door, "192.0.2.7", login("", &secret(""))), Err(NotAdmitted::Wrong));
        assert_eq!(who(&door, "192.0.2.7", Introduction::Token(&password)), Err(NotAdmitted::Wrong));
    }

    #[test]
    fn without_devices_nobody_comes_in() {
        let door = door(&[]);
        assert!(!door.has_devices());
        assert_eq!(who(&door, "127.0.0.1", Introduction::None), Err(NotAdmitted::Unknown));
        assert_eq!(who(&door, "127.0.0.1", Introduction::Token(&secret(""))), Err(NotAdmitted::Wrong));
    }

    /// S0.12
    #[test]
    fn after_ten_wrong_tokens_an_address_has_to_wait_and_a_device_that_was_right_there_has_not() {
        let (door, start) = (door(TWO), Instant::now());
        let (right, wrong) = (secret("aaaaaaaaaaaaaaaaaaaa"), secret("aaaaaaaaaaaaaaaaaaab"));
        let try_at = |from: &str, said: Introduction<'_>, now| {
            door.admit(from.parse().unwrap(), said, now).map(|device| device.number)
        };
        let (token, guess) = (Introduction::Token(&right), Introduction::Token(&wrong));
        let (router, stranger) = ("198.51.100.1", "198.51.100.2");
        assert_eq!(try_at(router, token, start), Ok(1));
        for from in [router, stranger] {
            for _ in 0..10 {
                assert_eq!(try_at(from, guess, start), Err(NotAdmitted::Wrong));
            }
            let Err(NotAdmitted::TooMany { wait }) = try_at(from, guess, start) else { panic!("{from}") };
            assert_eq!(wait, Duration::from_secs(30));
        }
        assert_eq!(try_at(router, token, start), Ok(1), "it is not kept out by a guesser beside it");
        let login = Introduction::Login { user: "cam", password: &secret("camera") };
        assert!(
            matches!(try_at(router, login, start), Err(NotAdmitted::TooMany { .. })),
            "another device is"
        );
        assert!(matches!(try_at(stranger, token, start), Err(NotAdmitted::TooMany { .. })));
        assert_eq!(
            try_at("192.0.2.7", Introduction::None, start),
            Ok(2),
            "whoever says nothing guesses nothing"
        );
        assert_eq!(try_at(stranger, token, start + Duration::from_secs(30)), Ok(1));
    }

    #[test]
    fn a_device_that_brings_too_many_is_told_when_the_next_may_come() {
        let door = door(TWO);
        let device = door.admit("192.0.2.7".parse().unwrap(), Introduction::None, Instant::now()).unwrap();
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(door.take(&device, start), Ok(()));
        }
        assert_eq!(door.take(&device, start), Err(Duration::from_secs(20)));
        assert_eq!(door.take(&device, start + Duration::from_secs(19)), Err(Duration::from_secs(1)));
        assert_eq!(door.take(&device, start + Duration::from_secs(20)), Ok(()));
    }

    proptest! {
        #[test]
        fn in_no_minute_are_more_than_twice_the_rate_taken_and_who_waits_is_let_in(
            per_minute in 1u32..200, pauses in prop::collection::vec(0u64..3000, 1..400),
        ) {
            let start = Instant::now();
            let mut rate = Rate::new(per_minute, start);
            let mut now = start;
            let mut taken: Vec<Instant> = Vec::new();
            for pause in pauses {
                now += Duration::from_millis(pause);
                match rate.take(now) {
                    Ok(()) => taken.push(now),
                    Err(wait) => {
                        prop_assert!(wait <= rate.each);
                        now += wait;
                        prop_assert_eq!(rate.take(now), Ok(()));
                        taken.push(now);
                    }
                }
            }
            let most = usize::try_from(2 * per_minute).unwrap();
            for (index, at) in taken.iter().enumerate() {
                let in_a_minute = taken[index..].iter().take_while(|other| **other - *at < Rate::WINDOW).count();
                prop_assert!(in_a_minute <= most, "{} in a minute, {} a minute are allowed", in_a_minute, per_minute);
            }
        }
    }
}
