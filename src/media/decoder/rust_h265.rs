//! `rust_h265`: H.265 (ITU-T H.265), Main and Main 10.

use rust_h265::{Decoder as Inner, Frame as Picture, PixelData, parse_annex_b};

use super::{Chroma, DecodedPicture, Decoder, Plane};
use crate::media::gop::AccessUnit;

/// Threads of one decoding. More make a picture earlier only while nobody else decodes.
const THREADS: usize = 2;

pub(super) struct RustH265(Inner);

impl RustH265 {
    pub(super) fn start() -> Self {
        Self(Inner::new().with_display_order().with_threads(THREADS))
    }
}

impl Decoder for RustH265 {
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        for nal in parse_annex_b(&unit.data) {
            self.0.decode_nal(&nal).map_err(|error| error.to_string())?;
            while let Some(picture) = self.0.next_output() {
                show(shown(&picture)?);
            }
        }
        self.0.next_error().map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn drain(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        while let Some(picture) = self.0.flush() {
            show(shown(&picture)?);
        }
        self.0.next_error().map_or(Ok(()), |error| Err(error.to_string()))
    }

    fn goes_on_after_drain(&self) -> bool {
        false
    }
}

fn shown(picture: &Picture) -> Result<DecodedPicture<'_>, String> {
    let size = (picture.width as usize, picture.height as usize);
    // ITU-T H.265 table 6-1.
    let (chroma, columns) = match picture.chroma_format_idc {
        1 => (Chroma::Quarter, size.0.div_ceil(2)),
        2 => (Chroma::Half, size.0.div_ceil(2)),
        3 => (Chroma::Full, size.0),
        other => return Err(format!("a picture of the chroma format {other}")),
    };
    let plane = |data, stride| plane(data, stride, picture.bit_depth);
    let planes = [plane(&picture.y, size.0), plane(&picture.u, columns), plane(&picture.v, columns)];
    Ok(DecodedPicture { size, planes, chroma, rtp_ns: None })
}

fn plane(data: &PixelData, stride: usize, bits: u8) -> Plane<'_> {
    match data {
        PixelData::U8(samples) => Plane::Eight(samples, stride),
        PixelData::U16(samples) => Plane::Deep(samples, stride, bits),
    }
}
