//! `rust_h264`: H.264 of every kind, also interlaced, which OpenH264 lacks. It hides lost references, so
//! [`crate::media::continuity`] stands before it.

use rust_h264::decoder::{ChromaFormat, Frame as Picture, OrderedDecoder};
use rust_h264::nal::parse_annex_b;

use super::{Chroma, DecodedPicture, Decoder, Plane};
use crate::media::gop::AccessUnit;

pub(super) struct RustH264(OrderedDecoder);

impl RustH264 {
    pub(super) fn start() -> Self {
        Self(OrderedDecoder::new())
    }
}

impl Decoder for RustH264 {
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        for nal in parse_annex_b(&unit.data) {
            for picture in self.0.decode_nal(&nal).map_err(|error| error.to_string())? {
                show(shown(&picture)?);
            }
        }
        Ok(())
    }

    fn drain(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        self.0.flush().iter().try_for_each(|picture| shown(picture).map(&mut *show))
    }

    fn goes_on_after_drain(&self) -> bool {
        false
    }
}

fn shown(picture: &Picture) -> Result<DecodedPicture<'_>, String> {
    let size = (picture.width as usize, picture.height as usize);
    let plane = |samples, stride| match picture.bit_depth {
        8 => Plane::Eight(samples, stride),
        bits => Plane::DeepBytes(samples, stride, bits),
    };
    let columns = picture.chroma_width() as usize;
    let planes = [plane(&picture.y[..], size.0), plane(&picture.u, columns), plane(&picture.v, columns)];
    let chroma = match picture.chroma_format {
        ChromaFormat::Yuv420 => Chroma::Quarter,
        ChromaFormat::Yuv422 => Chroma::Half,
    };
    Ok(DecodedPicture { size, planes, chroma, rtp_ns: None })
}
