//! What a client says on the control connection of the FTP server.
//!
//! The first byte says in which pieces it comes.
#![no_main]

use std::sync::{Arc, OnceLock};

use camera_capture::config::{Config, DeviceConfig, Env};
use camera_capture::ingest::rehearse_ftp;
use libfuzzer_sys::fuzz_target;

/// Longest reply: what ESP32_FTPClient has room for.
const REPLY_MAX: usize = 127;

fn device() -> &'static Arc<DeviceConfig> {
    static DEVICE: OnceLock<Arc<DeviceConfig>> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let pairs = [("INGEST_1_USER", "cam"), ("INGEST_1_PASSWORD", "camera")];
        let (config, _) = Config::parse(&Env::from_pairs(pairs)).expect("it is right");
        Arc::new(config.ingest.devices[0].clone())
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    for reply in rehearse_ftp(device(), rest.chunks(usize::from(*first) + 1)) {
        assert!(reply.len() <= REPLY_MAX && reply.ends_with(b"\r\n"), "{reply:?}");
        let lines = reply.split(|byte| *byte == b'\n').count() - 1;
        assert!(lines == 1 || reply.starts_with(b"211-"), "{reply:?}");
    }
});
