//! What ends a lane's wait before its time, in one word for everybody who may end it.

use std::collections::BTreeMap;

use tokio::sync::watch;

use crate::model::TargetId;

/// Why a lane looks at its queue before its time. The first of several that came meanwhile is heard first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// A person wants a try now.
    Person,
    /// The clock was set: what waits for an instant may wait for the wrong one.
    Clock,
    /// The disk with the pictures is back, or pictures of a program before this one were taken over.
    Disk,
    /// This target can be reached again.
    Reachable(TargetId),
    /// Something became due to this target by itself: a new picture, or one that is owed again.
    Owed(TargetId),
}

impl Wake {
    fn concerns(self, target: Option<TargetId>) -> bool {
        match self {
            Self::Person | Self::Clock | Self::Disk => true,
            Self::Reachable(of) | Self::Owed(of) => Some(of) == target,
        }
    }
}

/// A cheap handle on the waits of all lanes.
#[derive(Clone, Debug, Default)]
pub struct Wakes(watch::Sender<Counts>);

/// How often each was raised.
type Counts = BTreeMap<Wake, u64>;

impl Wakes {
    /// Ends the wait of every lane that it concerns; one that is busy hears of it when it waits again.
    pub fn raise(&self, wake: Wake) {
        self.0.send_modify(|counts| {
            let count = counts.entry(wake).or_default();
            *count = count.wrapping_add(1);
        });
    }

    /// What concerns the lane of `target` from now on.
    pub fn of(&self, target: TargetId) -> Waking {
        self.within(Some(target))
    }

    /// What concerns the lane of analyses, which is no target's, from now on.
    pub(super) fn of_analyses(&self) -> Waking {
        self.within(None)
    }

    fn within(&self, target: Option<TargetId>) -> Waking {
        let counts = self.0.subscribe();
        let heard = counts.borrow().clone();
        Waking { target, counts, heard }
    }
}

/// What one lane hears.
#[derive(Debug)]
pub struct Waking {
    /// `None` is the lane of analyses.
    target: Option<TargetId>,
    counts: watch::Receiver<Counts>,
    heard: Counts,
}

impl Waking {
    /// The next one; the same one raised several times meanwhile is heard once. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Wake {
        loop {
            if let Some(wake) = self.unheard() {
                return wake;
            }
            if self.counts.changed().await.is_err() {
                // Nobody is left who could raise one.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What is due is asked for now: until here it is known. Whether something had become due that was not heard.
    pub fn forget_owed(&mut self) -> bool {
        let Some(target) = self.target else { return false };
        let owed = Wake::Owed(target);
        let Some(count) = self.counts.borrow().get(&owed).copied() else { return false };
        self.heard.insert(owed, count) != Some(count)
    }

    fn unheard(&mut self) -> Option<Wake> {
        let counts = self.counts.borrow_and_update();
        let is_new = |(wake, count): &(&Wake, &u64)| {
            wake.concerns(self.target) && self.heard.get(wake) != Some(*count)
        };
        let (wake, count) = counts.iter().find(is_new)?;
        self.heard.insert(*wake, *count);
        Some(*wake)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn heard(waking: &mut Waking) -> Vec<Wake> {
        let mut heard = Vec::new();
        while let Ok(wake) = tokio::time::timeout(Duration::ZERO, waking.next()).await {
            heard.push(wake);
        }
        heard
    }

    #[tokio::test(start_paused = true)]
    async fn each_lane_hears_what_concerns_it_once_and_the_most_urgent_first() {
        let wakes = Wakes::default();
        wakes.raise(Wake::Person);
        let (mut api, mut s3) = (wakes.of(TargetId::API), wakes.of(TargetId::S3));
        assert_eq!(heard(&mut api).await, [], "what was before is over");
        for wake in [
            Wake::Owed(TargetId::API),
            Wake::Owed(TargetId::API),
            Wake::Reachable(TargetId::S3),
            Wake::Clock,
            Wake::Person,
        ] {
            wakes.raise(wake);
        }
        assert_eq!(heard(&mut api).await, [Wake::Person, Wake::Clock, Wake::Owed(TargetId::API)]);
        assert_eq!(heard(&mut s3).await, [Wake::Person, Wake::Clock, Wake::Reachable(TargetId::S3)]);
        assert_eq!(heard(&mut api).await, []);
        wakes.raise(Wake::Disk);
        assert_eq!(heard(&mut api).await, [Wake::Disk]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_and_asked_for_wakes_nobody_and_what_comes_after_that_does() {
        let wakes = Wakes::default();
        let mut api = wakes.of(TargetId::API);
        wakes.raise(Wake::Owed(TargetId::API));
        wakes.raise(Wake::Person);
        assert!(api.forget_owed());
        assert!(!api.forget_owed());
        assert_eq!(heard(&mut api).await, [Wake::Person], "a person's wish is not forgotten");
        wakes.raise(Wake::Owed(TargetId::API));
        assert_eq!(heard(&mut api).await, [Wake::Owed(TargetId::API)]);
    }

    #[tokio::test]
    async fn a_lane_that_waits_is_woken() {
        let wakes = Wakes::default();
        let mut api = wakes.of(TargetId::API);
        let waits = tokio::spawn(async move { api.next().await });
        tokio::task::yield_now().await;
        wakes.raise(Wake::Reachable(TargetId::API));
        assert_eq!(waits.await.unwrap(), Wake::Reachable(TargetId::API));
    }
}
