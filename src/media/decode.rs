//! From access units to the wanted picture, by whichever decoder the stream needs.

use std::fmt::Display;

use super::frame::Frame;
use super::gop::{Codec, Excerpt};
use super::{h264, h265};

/// The wanted picture cannot be had from these access units.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The decoder could not be set up.
    #[error("cannot start the decoder: {reason}")]
    Start {
        /// What it said.
        reason: String,
    },
    /// The stream is damaged or uses what the decoder lacks.
    #[error("the decoder refused frame {number} of {total} since the keyframe: {reason}")]
    Refused {
        /// Which unit since the IDR, from 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// What the decoder said.
        reason: String,
    },
    /// The units were taken, but the wanted picture did not come out, or in a format nobody can use.
    #[error("the decoder took {total} frames and gave {shown}, without the wanted one in a usable format")]
    NotShown {
        /// Pictures that came out.
        shown: usize,
        /// Units that went in.
        total: usize,
    },
}

/// The wanted picture.
#[derive(Debug)]
pub enum Picture {
    /// Decoded, to be encoded as JPEG.
    Frame(Frame),
    /// A JPEG as the camera made it.
    Jpeg(Vec<u8>),
}

/// The wanted picture of an excerpt. Blocking.
pub fn picture(excerpt: &Excerpt) -> Result<Picture, DecodeError> {
    match excerpt.codec {
        Codec::H264 => h264::decode(excerpt).map(Picture::Frame),
        Codec::H265 => h265::decode(excerpt).map(Picture::Frame),
        Codec::Jpeg => match excerpt.units.last() {
            Some(unit) => Ok(Picture::Jpeg(unit.data.to_vec())),
            None => Err(DecodeError::NotShown { shown: 0, total: 0 }),
        },
    }
}

/// Counts the pictures a decoder shows. They come in display order and carry no time, so the wanted one is known by
/// its rank among the units that went in.
pub(super) struct Ranked {
    rank: usize,
    shown: usize,
    total: usize,
}

impl Ranked {
    pub(super) fn new(excerpt: &Excerpt) -> Self {
        let rank = excerpt.units.iter().filter(|unit| unit.rtp_ns < excerpt.wanted_rtp_ns).count();
        Self { rank, shown: 0, total: excerpt.units.len() }
    }

    /// Counts one picture; whether it is the wanted one.
    pub(super) fn is_wanted(&mut self) -> bool {
        self.shown += 1;
        self.shown == self.rank + 1
    }

    pub(super) fn refused(&self, number: usize, reason: &impl Display) -> DecodeError {
        DecodeError::Refused { number, total: self.total, reason: reason.to_string() }
    }

    pub(super) fn not_shown(&self) -> DecodeError {
        DecodeError::NotShown { shown: self.shown, total: self.total }
    }
}
