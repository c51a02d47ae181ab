//! OpenH264: progressive H.264 of every profile cameras use, B-frames included.

use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, Decoder as Inner, DecoderConfig, Flush};
use openh264::formats::YUVSource;

use super::{Chroma, DecodedPicture, Decoder, Plane};
use crate::media::gop::AccessUnit;

/// What can be said of an error of it.
const REFUSED: &str = "OpenH264 finds it damaged, or of a kind that it does not know";

pub(super) struct OpenH264(Inner);

impl OpenH264 {
    pub(super) fn start() -> Result<Self, String> {
        // The default flushes after every unit, which breaks streams with B-frames (OpenH264 error 16384).
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let inner = Inner::with_api_config(OpenH264API::from_source(), config);
        inner.map(Self).map_err(|error| error.to_string())
    }
}

impl Decoder for OpenH264 {
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        match self.0.decode(&unit.data) {
            Ok(Some(picture)) => show(shown(&picture)),
            Ok(None) => {}
            // It has numbers for what is wrong, which tell people nothing.
            Err(_) => return Err(REFUSED.to_owned()),
        }
        Ok(())
    }

    fn drain(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        let held_back = self.0.flush_remaining().map_err(|_| REFUSED.to_owned())?;
        held_back.iter().for_each(|picture| show(shown(picture)));
        Ok(())
    }

    fn goes_on_after_drain(&self) -> bool {
        true
    }
}

fn shown<'a>(picture: &'a DecodedYUV<'_>) -> DecodedPicture<'a> {
    let (y, u, v) = picture.strides();
    DecodedPicture {
        size: picture.dimensions(),
        planes: [Plane::Eight(picture.y(), y), Plane::Eight(picture.u(), u), Plane::Eight(picture.v(), v)],
        chroma: Chroma::Quarter,
        rtp_ns: None,
    }
}
