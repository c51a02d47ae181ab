//! From access units to the wanted picture.

use std::sync::Arc;

use super::decode_error::DecodeError;
use super::decoder::{DecoderKind, DecoderPolicy};
use super::frame::Frame;
use super::gop::{Codec, DecodeRun};
use super::lane::DecodeSession;

/// The wanted picture.
#[derive(Debug)]
pub enum WantedPicture {
    /// Decoded, to be encoded as JPEG.
    Frame(Arc<Frame>),
    /// A JPEG as the camera made it.
    Jpeg(Vec<u8>),
}

/// The wanted picture of an excerpt, by a decoder of its own that is not kept. Blocking.
pub fn picture(excerpt: &DecodeRun) -> Result<WantedPicture, DecodeError> {
    if let Some(jpeg) = ready_made(excerpt) {
        return Ok(WantedPicture::Jpeg(jpeg));
    }
    let first = excerpt.units.first().ok_or(DecodeError::NotShown { shown: 0, total: 0 })?;
    let kinds = DecoderKind::candidates(excerpt.codec, &first.data, DecoderPolicy::OpenH264);
    let kind = kinds.first().ok_or_else(|| DecodeError::no_decoder(excerpt))?;
    DecodeSession::default().picture(excerpt, *kind, 1).map(|decoded| WantedPicture::Frame(decoded.frame))
}

/// The wanted picture if the camera made a JPEG of it.
pub fn ready_made(excerpt: &DecodeRun) -> Option<Vec<u8>> {
    match excerpt.codec {
        Codec::Jpeg => excerpt.units.last().map(|unit| unit.data.to_vec()),
        Codec::H264 | Codec::H265 => None,
    }
}
