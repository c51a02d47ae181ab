//! Pictures as bytes: access units, frames, JPEG files. Pure: no clock, no input or output.

pub mod arrival_rate;
pub mod blockcode;
pub mod card;
pub mod continuity;
pub mod decode;
pub mod decoder;
pub mod delay;
pub mod doubt;
pub mod exif;
pub mod fmp4;
pub mod font;
pub mod footprint;
pub mod frame;
pub mod gop;
pub mod h264;
mod halves;
pub mod jpeg;
pub mod keyframes;
pub mod lane;
mod lateness;
mod line;
pub mod mp4;
mod mp4_box;
pub mod native;
mod parameters;
pub mod scan;
pub mod sequence;
pub mod sharpness;
pub mod shelf;
pub mod sps;
mod sps_skip;
mod steady;
#[cfg(test)]
mod testing;
pub mod timeline;
pub mod unit;
pub mod verdict;
