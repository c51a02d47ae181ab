//! How many pictures a camera is behind, where nothing but the pictures tells. Pure.
//!
//! Firmware that fills its buffers right after a picture was fetched gives pictures of the last time it was asked, and not
//! all of it says that it is of an ESP32 (esp32cam-rtsp issue 27, esphome 6997). It shows after a pause: of some
//! pictures asked for one right after the other, those up to its buffers show the scene of before the pause, like the last
//! one of then, and the next one that of now. So whatever changed meanwhile (a shadow, the clock in the picture, a car)
//! shows as one step, and where it stands says how many pictures are old. Of a camera without buffers it stands before the
//! first. Where nothing changes, nothing can be told, and nothing depends on it.

use std::collections::VecDeque;

use crate::media::jpeg;

/// Pictures that are compared: one more than the buffers that are known of (`fb_count` is at most 3).
pub(super) const COMPARED: usize = 4;

/// Fields of a small picture, in columns and lines.
const FIELDS: (u32, u32) = (40, 30);

/// Differences of a field up to this come from the noise of a sensor, in steps of brightness.
const NOISE: u32 = 3;

/// Pictures differ when their fields do by so much in all: some letters of a clock in the picture.
const CHANGE: u32 = 40;

/// A step is so many times as large as any other difference.
const CLEAR: u32 = 4;

/// Steps remembered: a camera may be given new firmware.
const REMEMBERED: usize = 6;

/// Steps that agree until it is sure.
const ENOUGH: usize = 2;

/// A small picture in grey: the brightness of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Small(Vec<u8>);

impl Small {
    /// Of a JPEG. Blocking, some milliseconds for a megapixel.
    pub(super) fn of(jpeg: &[u8]) -> Option<Self> {
        jpeg::fields(jpeg, FIELDS.0, FIELDS.1).map(Self)
    }

    fn difference(&self, other: &Self) -> u32 {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(a, b)| u32::from(a.abs_diff(*b)).saturating_sub(NOISE)).sum()
    }
}

/// What the pictures of a camera have shown of its buffers.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// Where the newest steps stood.
    steps: VecDeque<usize>,
}

impl Lag {
    /// How many pictures it is behind, once that is sure.
    pub(super) fn proven(&self) -> Option<usize> {
        let likely = self.likely()?;
        let agree = self.steps.iter().filter(|step| **step == likely).count();
        let is_sure = agree >= ENOUGH && (agree == self.steps.len() || agree >= 2 * ENOUGH);
        is_sure.then_some(likely)
    }

    /// How many pictures it seems to be behind: what was seen most often, of several the most.
    fn likely(&self) -> Option<usize> {
        let seen = |step: usize| self.steps.iter().filter(|known| **known == step).count();
        (0..COMPARED).filter(|step| seen(*step) > 0).max_by_key(|step| (seen(*step), *step))
    }

    /// Which of so many pictures is of now, as far as can be known without a look at them. Where nothing is known it is the
    /// second: firmware that is behind is so by one mostly, and of a camera that is not it is a little late.
    pub(super) fn guess(&self, pictures: usize) -> usize {
        self.likely().unwrap_or(1).min(pictures.saturating_sub(1))
    }

    /// Which of some pictures that were asked for one right after the other is of now, and learns from them; `before` is the
    /// one before them. One that could not be read is `None`.
    pub(super) fn choose(&mut self, before: Option<&Small>, pictures: &[Option<Small>]) -> usize {
        let Some(differences) = differences(before, pictures) else {
            return self.guess(pictures.len());
        };
        if let Some(step) = step(&differences) {
            // Of fewer pictures a camera with more buffers would show none of now.
            if pictures.len() >= COMPARED {
                self.steps.push_back(step);
                self.steps.drain(..self.steps.len().saturating_sub(REMEMBERED));
            }
            return step;
        }
        let is_still = differences.iter().all(|difference| *difference < CHANGE);
        // Of pictures that are alike the first is as good as the others.
        if is_still && self.likely().is_none() { 0 } else { self.guess(pictures.len()) }
    }
}

/// How much each picture differs from the one before it.
fn differences(before: Option<&Small>, pictures: &[Option<Small>]) -> Option<Vec<u32>> {
    let mut before = before?;
    let mut differences = Vec::new();
    for picture in pictures {
        let picture = picture.as_ref()?;
        differences.push(before.difference(picture));
        before = picture;
    }
    Some(differences)
}

/// The place of the only large difference.
fn step(differences: &[u32]) -> Option<usize> {
    let (place, largest) = differences.iter().enumerate().max_by_key(|(_, difference)| **difference)?;
    let others = differences.iter().enumerate().filter(|(i, _)| *i != place);
    let is_clear = others.map(|(_, other)| other.saturating_mul(CLEAR)).all(|other| other <= *largest);
    (*largest >= CHANGE && is_clear).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture of a scene whose brightness tells the time, with some noise.
    fn picture(second: u64, noise: u8) -> Option<Small> {
        let bright = |field: u64| u8::try_from((field * 259 + second * 13) % 200).unwrap();
        Some(Small((0..1200).map(|field| bright(field) + noise * u8::from(field % 2 == 0)).collect()))
    }

    /// What a camera with so many buffers gives when it is asked `COMPARED` times in each of these seconds.
    fn asked(buffers: usize, seconds: &[u64]) -> Vec<Vec<Option<Small>>> {
        let mut held: VecDeque<u64> = (0..buffers).map(|_| 0).collect();
        let mut ask = |second: &u64| {
            held.push_back(*second);
            picture(held.pop_front().unwrap(), 1)
        };
        seconds.iter().map(|second| (0..COMPARED).map(|_| ask(second)).collect()).collect()
    }

    #[test]
    fn the_step_after_a_pause_says_how_many_pictures_are_old() {
        for buffers in 0..COMPARED {
            let (mut lag, mut before) = (Lag::default(), None);
            for (n, pictures) in asked(buffers, &[10, 13, 20, 30]).iter().enumerate() {
                let chosen = lag.choose(before, pictures);
                if n > 0 {
                    assert_eq!(chosen, buffers);
                }
                assert_eq!(lag.proven(), (n >= ENOUGH).then_some(buffers), "after {n} pauses");
                before = pictures.last().unwrap().as_ref();
            }
        }
    }

    #[test]
    fn where_nothing_changes_nothing_is_told_and_the_first_is_as_good() {
        let mut lag = Lag::default();
        let still: Vec<_> = (0..4).map(|noise| picture(7, noise)).collect();
        assert_eq!(lag.choose(picture(7, 2).as_ref(), &still), 0);
        assert_eq!(lag.proven(), None);
    }

    #[test]
    fn where_all_changes_the_second_is_taken() {
        let mut lag = Lag::default();
        let moving: Vec<_> = (8..12).map(|second| picture(second, 0)).collect();
        assert_eq!(lag.choose(picture(7, 0).as_ref(), &moving), 1);
        assert_eq!(lag.choose(None, &moving), 1, "nothing to compare with");
        assert_eq!(lag.choose(picture(7, 0).as_ref(), &[None, None]), 1, "cannot be read");
        assert_eq!(lag.proven(), None);
    }

    #[test]
    fn something_that_passes_by_just_then_does_not_outweigh_what_was_seen_before() {
        let mut lag = Lag { steps: [0, 0, 0].into() };
        let passing = [picture(7, 0), picture(7, 1), picture(9, 0), picture(9, 0)];
        assert_eq!(lag.choose(picture(7, 0).as_ref(), &passing), 2, "it may be old");
        assert_eq!((lag.likely(), lag.proven()), (Some(0), None));
    }

    #[test]
    fn of_few_pictures_nothing_is_learnt() {
        let mut lag = Lag::default();
        let few = [picture(9, 0), picture(9, 1)];
        assert_eq!(lag.choose(picture(7, 0).as_ref(), &few), 0);
        assert_eq!(lag.likely(), None);
    }

    proptest! {
        #[test]
        fn a_choice_is_one_of_the_pictures(
            seconds in prop::collection::vec(0_u64..5, 1..7), steps in prop::collection::vec(0_usize..COMPARED, 0..6),
        ) {
            let pictures: Vec<_> = seconds.iter().map(|second| picture(*second, 0)).collect();
            let mut lag = Lag { steps: steps.into() };
            let chosen = lag.choose(picture(0, 0).as_ref(), &pictures);
            prop_assert!(chosen < pictures.len());
        }
    }
}
