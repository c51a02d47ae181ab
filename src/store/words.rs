//! What to do where the system forbids to write.

use std::io;

/// The next step after an error of the system, to be put behind it; empty where the error says enough.
pub(super) fn step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "; a service may write to its own folder only: allow this one with ReadWritePaths= in a drop-in (sudo systemctl \
             edit camera-capture, or run deploy/install.sh again). If it could be written before, the card or disk may be \
             failing: look at dmesg, and run fsck"
        }
        io::ErrorKind::PermissionDenied => {
            "; the user of this program may not write there: look with ls -ld who owns it, and change that with chown. A \
             service sees nothing of /home, and may write to its own folder only: allow others in a drop-in (sudo systemctl \
             edit camera-capture) with ReadWritePaths=, in /home with ProtectHome=tmpfs and BindPaths="
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_place_that_the_unit_forbids_is_said_with_the_drop_in() {
        for (code, words) in [
            (30, &["ReadWritePaths=", "drop-in", "fsck"][..]),
            (13, &["ReadWritePaths=", "ProtectHome=", "chown"][..]),
            (2, &[][..]),
        ] {
            let source = io::Error::from_raw_os_error(code);
            let error =
                StoreError::File { action: "create", path: "/mnt/usb/images".into(), source }.to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
            assert!(error.starts_with("cannot create /mnt/usb/images: "), "{error}");
        }
    }
}
