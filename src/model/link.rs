//! The secret of a public link: whoever has it may see one picture.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Medium;

/// Random bytes of a token: 128 bits, as many as nobody guesses.
const BYTES: usize = 16;

/// 128 random bits, written as 22 characters that need no escape in an address. It is shown to whoever made the link and
/// kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken([u8; BYTES]);

impl LinkToken {
    /// Where public links are served.
    pub const PLACE: &str = "/s/";

    /// A fresh one; `None` while the machine has no random numbers. There is no substitute for them: everything hangs on
    /// them.
    pub fn random() -> Option<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).ok().map(|()| Self(bytes))
    }

    /// The reverse of its text; there is one text for each token.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// What is kept of it: a database that is stolen opens no link.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Its text; for addresses, and for taking it out of the words of others.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Where the link is served, on whatever host.
    pub fn path(&self, medium: Medium) -> String {
        format!("{}{}{}", Self::PLACE, self.reveal(), medium.extension())
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// S1.7
    #[test]
    fn a_token_has_128_random_bits() {
        let tokens: Vec<_> = (0..1000).map(|_| LinkToken::random().unwrap()).collect();
        let texts: HashSet<_> = tokens.iter().map(LinkToken::reveal).collect();
        assert_eq!(texts.len(), tokens.len());
        assert!(texts.iter().all(|text| text.len() == 22), "128 bits, 6 in a character");
        for bit in 0..128 {
            let ones = tokens.iter().filter(|token| token.0[bit / 8] >> (bit % 8) & 1 == 1).count();
            // Ten standard deviations: by chance not once in the life of the sun.
            assert!((340..=660).contains(&ones), "bit {bit} is 1 in {ones} of 1000");
        }
    }

    #[test]
    fn a_token_is_read_back_from_its_text_alone() {
        let token = LinkToken::random().unwrap();
        assert_eq!(LinkToken::parse(&token.reveal()), Some(token.clone()));
        let longer = format!("{}A", token.reveal());
        // The last character has 4 bits that mean nothing: only one of its 16 spellings is taken.
        for wrong in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            &longer,
            "AAAAAAAAAAAAAAAAAAAAAB",
            "../AAAAAAAAAAAAAAAAAAA",
            "ÄÄÄÄÄÄÄÄÄÄÄ",
        ] {
            assert_eq!(LinkToken::parse(wrong), None, "{wrong}");
        }
        assert!(LinkToken::parse("AAAAAAAAAAAAAAAAAAAAAA").is_some());
    }

    #[test]
    fn a_token_is_not_printed_by_accident() {
        let token = LinkToken::random().unwrap();
        assert!(!format!("{token:?}").contains(&token.reveal()));
    }
}
