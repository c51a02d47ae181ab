//! Pictures as bytes: access units, frames, JPEG files. Pure: no clock, no input or output.

pub mod decode;
pub mod exif;
pub mod frame;
pub mod gop;
pub mod h264;
mod h265;
pub mod jpeg;
pub mod timeline;
