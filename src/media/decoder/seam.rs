//! What a decoder does, and what a picture looks like that comes out.

use crate::media::gop::AccessUnit;

/// One decoder at work on one stream.
pub trait Decoder: Send {
    /// Takes one access unit and shows what comes out, in display order. The error is the decoder's own words; after
    /// one it must not be used again.
    fn feed(&mut self, unit: &AccessUnit, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String>;

    /// Shows what is held back only because several pictures are decoded at once; the group goes on afterwards.
    fn catch_up(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String> {
        // Mostly nothing is.
        let _ = show;
        Ok(())
    }

    /// Shows everything that is held back.
    fn drain(&mut self, show: &mut dyn FnMut(DecodedPicture<'_>)) -> Result<(), String>;

    /// Whether the same group can be continued after [`Self::drain`], where pictures come in decoding order.
    fn goes_on_after_drain(&self) -> bool;
}

/// One line of samples of a plane after another.
#[derive(Clone, Copy, Debug)]
pub enum Plane<'a> {
    /// Eight bits a sample; samples from one line to the next.
    Eight(&'a [u8], usize),
    /// More bits a sample; samples from one line to the next; bits.
    Deep(&'a [u16], usize, u8),
    /// The same, each sample as two bytes, the lower one first.
    DeepBytes(&'a [u8], usize, u8),
}

/// How many samples of chroma there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chroma {
    /// None (4:0:0); the planes of chroma are empty.
    None,
    /// Half as many columns and lines as of luma, rounded up (4:2:0).
    Quarter,
    /// Half as many columns, rounded up, and as many lines (4:2:2).
    Half,
    /// As many as of luma (4:4:4).
    Full,
}

/// A picture that came out, in the decoder's memory.
#[derive(Clone, Copy, Debug)]
pub struct DecodedPicture<'a> {
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Luma and the two chroma planes.
    pub planes: [Plane<'a>; 3],
    /// What its planes of chroma hold.
    pub chroma: Chroma,
    /// [`AccessUnit::rtp_ns`] of the unit, if the decoder carries it along.
    pub rtp_ns: Option<i64>,
}
