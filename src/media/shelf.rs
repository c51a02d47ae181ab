//! Memory that several streams share: each has its part for certain, and more while the others leave it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes for all of them together.
#[derive(Clone, Debug)]
pub struct Shelf(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    bytes: AtomicUsize,
    places: AtomicUsize,
}

/// One stream's bytes; gone from the shelf when it is dropped.
#[derive(Debug)]
pub struct ShelfPart {
    shelf: Shelf,
    bytes: usize,
}

impl Shelf {
    /// An empty one.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, bytes: AtomicUsize::new(0), places: AtomicUsize::new(0) }))
    }

    /// A place on it, with nothing.
    pub fn place(&self) -> ShelfPart {
        self.0.places.fetch_add(1, Ordering::Relaxed);
        ShelfPart { shelf: self.clone(), bytes: 0 }
    }
}

impl ShelfPart {
    /// So many bytes lie here now.
    pub fn set(&mut self, bytes: usize) {
        let all = &self.shelf.0.bytes;
        all.fetch_add(bytes, Ordering::Relaxed);
        all.fetch_sub(std::mem::replace(&mut self.bytes, bytes), Ordering::Relaxed);
    }

    /// Whether the shelf is full and this place has more than its part.
    pub fn is_over(&self) -> bool {
        let Shared { limit, bytes, places } = &*self.shelf.0;
        bytes.load(Ordering::Relaxed) > *limit && self.bytes > limit / places.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for ShelfPart {
    fn drop(&mut self) {
        self.set(0);
        self.shelf.0.places.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_may_have_what_the_others_leave_and_nobody_is_robbed_of_a_part() {
        let shelf = Shelf::new(90);
        let (mut a, mut b, c) = (shelf.place(), shelf.place(), shelf.place());
        a.set(80);
        assert!(!a.is_over(), "there is room");
        b.set(20);
        assert_eq!((a.is_over(), b.is_over(), c.is_over()), (true, false, false));
        a.set(30);
        b.set(65);
        assert_eq!((a.is_over(), b.is_over()), (false, true));
        drop(a);
        assert!(!b.is_over(), "what is gone leaves its room");
    }

    proptest! {
        #[test]
        fn who_yields_when_told_ends_within_the_limit(wishes in prop::collection::vec((0_usize..4, 0_usize..100), 0..60)) {
            let shelf = Shelf::new(100);
            let mut places: Vec<ShelfPart> = (0..4).map(|_| shelf.place()).collect();
            for (who, bytes) in wishes {
                places[who].set(bytes);
                for place in &mut places {
                    if place.is_over() {
                        place.set(0);
                    }
                }
                prop_assert!(places.iter().map(|place| place.bytes).sum::<usize>() <= 100);
            }
        }
    }
}
