//! Why a picture cannot be had from its access units.

use super::decoder;
use super::footprint::TooLarge;
use super::gop::DecodeRun;

/// The wanted picture cannot be had from these access units.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The decoder could not be set up.
    #[error("cannot start the decoder: {reason}")]
    Start {
        /// What it said.
        reason: String,
    },
    /// No decoder takes such a stream.
    #[error("{reason}")]
    NoDecoder {
        /// Why, and what to do.
        reason: String,
    },
    /// Its pictures take more memory than there is.
    #[error("the camera sends {0}; lower its resolution, or use its sub-stream")]
    TooLarge(#[from] TooLarge),
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
    /// A picture that others refer to never came.
    #[error("a frame is missing before frame {number} of {total} since the keyframe")]
    Gap {
        /// The first unit after it, from 1.
        number: usize,
        /// How many there are.
        total: usize,
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

impl DecodeError {
    /// Of an excerpt for whose first unit there is no [`super::decoder::DecoderKind::candidates`].
    pub fn no_decoder(excerpt: &DecodeRun) -> Self {
        let first = excerpt.units.first().map_or(&[][..], |unit| &unit.data);
        Self::NoDecoder { reason: decoder::why_none(excerpt.codec, first) }
    }

    /// The first unit since the IDR, from 0, that is of no use any more; `None` when it is not the stream's fault.
    pub fn damaged_from(&self) -> Option<usize> {
        match self {
            Self::Refused { number, .. } | Self::Gap { number, .. } => Some(number.saturating_sub(1)),
            // OpenH264 says nothing of a picture that ends early, and does not show it.
            Self::NotShown { shown, total } if shown < total => Some(*shown),
            Self::Start { .. } | Self::NoDecoder { .. } | Self::TooLarge(_) | Self::NotShown { .. } => None,
        }
    }
}
