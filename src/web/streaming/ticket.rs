//! Short-lived addresses: what stands for somebody where no header can be sent (`<img>`, `new WebSocket(url)`). Pure.
//!
//! A ticket says who had it made and until when, signed with a secret that lives as long as the program. It opens what is
//! streamed and nothing else, and is worth nothing once whoever had it made may not look any more.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;

use super::jwt::mac;
use crate::store::Scope;
use crate::web::who::Principal;

/// Bytes of a ticket: kind, hash, number, time, signature.
const BYTES: usize = 1 + 32 + 8 + 8 + 32;

/// What a ticket's signature is of, so that one of another kind is none.
const PURPOSE: &[u8] = b"camera-capture streaming ticket 1\0";

/// Makes tickets and knows them again.
pub(super) struct TicketPrinter {
    secret: [u8; 32],
}

impl TicketPrinter {
    /// With 256 random bits.
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// A ticket for somebody until `until_s`, seconds since 1970.
    pub(super) fn print(&self, who: &Principal, until_s: i64) -> String {
        let (kind, hash, number) = match who {
            Principal::Session { id_hash, .. } => (0, *id_hash, 0),
            Principal::Token { hash, id, .. } => (1, *hash, *id),
            Principal::Jwt { until_s, .. } => (2, [0; 32], *until_s),
            Principal::Local => (3, [0; 32], 0),
        };
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(kind);
        bytes.extend_from_slice(&hash);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&until_s.to_be_bytes());
        let signature = self.sign(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whose ticket it is, if it counts at `now_s`. They may look and no more, whatever else they may.
    pub(super) fn read(&self, ticket: &str, now_s: i64) -> Option<Principal> {
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(ticket).ok()?.try_into().ok()?;
        let (said, signature) = bytes.split_at(BYTES - 32);
        self.sign(said).verify_slice(signature).ok()?;
        let hash: [u8; 32] = said.get(1..33)?.try_into().ok()?;
        let number = i64::from_be_bytes(said.get(33..41)?.try_into().ok()?);
        let until_s = i64::from_be_bytes(said.get(41..49)?.try_into().ok()?);
        if now_s >= until_s {
            return None;
        }
        match said.first()? {
            // Nobody knows the CSRF token of a ticket, so it changes nothing.
            0 => Some(Principal::Session { id_hash: hash, csrf: String::new() }),
            1 => Some(Principal::Token { hash, id: number, scope: Scope::Read }),
            2 => Some(Principal::Jwt { until_s: number, scope: Scope::Read }),
            3 => Some(Principal::Local),
            _ => None,
        }
    }

    fn sign(&self, bytes: &[u8]) -> hmac::Hmac<sha2::Sha256> {
        let mut mac = mac(&self.secret);
        mac.update(PURPOSE);
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_its_owners_for_its_time_and_looks_only() {
        let printer = TicketPrinter::new([7; 32]);
        let owner = Principal::Token { hash: [9; 32], id: 4, scope: Scope::Full };
        let ticket = printer.print(&owner, 1000);
        let read = printer.read(&ticket, 999);
        assert!(
            matches!(read, Some(Principal::Token { hash, id: 4, scope: Scope::Read }) if hash == [9; 32]),
            "{read:?}"
        );
        assert!(printer.read(&ticket, 1000).is_none());
        assert!(TicketPrinter::new([8; 32]).read(&ticket, 999).is_none());
        for at in 0..ticket.len() {
            let mut other = ticket.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            if other != ticket.as_bytes() {
                assert!(printer.read(std::str::from_utf8(&other).unwrap(), 999).is_none(), "{at}");
            }
        }
        let session = Principal::Session { id_hash: [1; 32], csrf: "secret".to_owned() };
        let read = printer.read(&printer.print(&session, 10), 1);
        assert!(matches!(read, Some(Principal::Session { csrf, .. }) if csrf.is_empty()));
    }
}
