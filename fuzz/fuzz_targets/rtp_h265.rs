//! RTP of a camera that sends H.265: packets in, pictures out.
#![no_main]

use camera_capture::media::gop::Codec;
use libfuzzer_sys::fuzz_target;

#[path = "../rtp_input.rs"]
mod rtp_input;

fuzz_target!(|bytes: &[u8]| rtp_input::receive(Codec::H265, bytes));
