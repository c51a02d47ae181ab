//! Why there is no secured connection with a camera.

use std::fmt;

use crate::model::CameraFault;

/// Which setting takes this very certificate.
fn pin(number: u64, seen: &str) -> String {
    format!("CAMERA_{number}_TLS_FINGERPRINT={seen}")
}

/// What is said of TLS; nothing of other faults.
pub(super) fn say(fault: &CameraFault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match fault {
        CameraFault::CertificateUnknown { address, number, file, seen } => {
            let place = file
                .as_ref()
                .map_or("among this machine's authorities".to_owned(), |file| format!("in {file}"));
            write!(
                f,
                "the certificate of the camera at {address} is not known: who made it is not {place}; compare its \
                 SHA-256 fingerprint with the one on the camera's own page, and if it is the same, set {}",
                pin(*number, seen)
            )
        }
        CameraFault::CertificateChanged { address, number, seen } => write!(
            f,
            "the certificate of the camera at {address} is not the one in CAMERA_{number}_TLS_FINGERPRINT: either the \
             camera has a new one, or another device answers in its place; nothing was sent to it; compare the \
             fingerprint with the one on the camera's own page, and only if it is the same, set {}",
            pin(*number, seen)
        ),
        CameraFault::CertificateExpired { address, number, days, seen } => write!(
            f,
            "the certificate of the camera at {address} has expired {days} days ago; make a new one on the camera's own \
             page (and check that this machine's date is right), or trust this very one, whatever its date, with {}",
            pin(*number, seen)
        ),
        CameraFault::CertificateTooNew { address, number, days, seen } => write!(
            f,
            "the certificate of the camera at {address} is valid only in {days} days; check this machine's date and, \
             when the certificate was made, the camera's; or trust this very one, whatever its date, with {}",
            pin(*number, seen)
        ),
        CameraFault::CertificateOfOthers { address, number, names, setting, seen } => {
            let names = if names.is_empty() { "another name" } else { names };
            write!(
                f,
                "the certificate of the camera at {address} is made out to {names}; use that name in {setting}, make a \
                 certificate for the camera's address, or trust this very one, whatever its name, with {}",
                pin(*number, seen)
            )
        }
        CameraFault::CertificateUnproven { address, error } => write!(
            f,
            "the camera at {address} could not prove that its certificate is its own ({error}); make a new certificate \
             on the camera's own page, with a key of at least 2048 bits (RSA) or 256 bits (ECDSA) and SHA-256"
        ),
        CameraFault::TlsMissing { address, setting, plain } => write!(
            f,
            "what answers at {address} does not speak TLS; set {setting} to {plain}:// and the port of that service, or \
             to the port of the secured one"
        ),
        CameraFault::TlsTooOld { address, setting, plain } => write!(
            f,
            "the camera at {address} refused the secured connection: it offers only old versions or ciphers of TLS, and \
             TLS 1.2 with ECDHE is the least that is taken; update its firmware, or set {setting} to {plain}:// on a \
             network of your own"
        ),
        CameraFault::TlsClientCertificate { address } => write!(
            f,
            "the camera at {address} wants a certificate of its client, which this version does not have; switch that \
             off on the camera's own page"
        ),
        CameraFault::TlsClosed { address, setting, plain } => write!(
            f,
            "the camera at {address} closed the connection before it was secured; does that port speak TLS? if not, set \
             {setting} to {plain}:// and the port of that service"
        ),
        CameraFault::TlsSilent { address, setting, plain, seconds } => write!(
            f,
            "the camera at {address} accepts connections but did not answer in TLS within {seconds} s; does that port \
             speak TLS? if not, set {setting} to {plain}:// and the port of that service"
        ),
        CameraFault::TlsFailed { address, error } => {
            write!(f, "no secured connection with the camera at {address}: {error}")
        }
        // Said where the others are.
        _ => Ok(()),
    }
}
