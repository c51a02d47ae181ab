//! What is accepted as a new password: long enough, and not among the first that anyone would guess, nor one of those
//! with a few characters changed.
//!
//! Guessing at the log-in is slow (`throttle.rs`), so what matters are the first ten thousand guesses of an attacker, and
//! the usual ways to vary them.

use sha2::{Digest, Sha256};

use crate::config::Config;

/// Characters a password has at least.
pub(super) const LENGTH_MIN: usize = 8;

/// Characters a password has at most; nothing is cut off.
pub(super) const LENGTH_MAX: usize = 128;

/// What to do about a password that is guessed soon.
const ADVICE: &str = "choose three or four words that have nothing to do with one another, or let a password manager \
                      make one";

/// Why a password is refused; the text is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than that.
    #[error("the password has fewer than {LENGTH_MIN} characters; choose a longer one")]
    TooShort,
    /// More characters than that.
    #[error("the password has more than {LENGTH_MAX} characters; choose a shorter one")]
    TooLong,
    /// On every list of guesses.
    #[error("this password is among the first that anyone would guess; {ADVICE}")]
    Common,
    /// One of those with digits and signs added or put for letters.
    #[error(
        "this is a common password with a few characters changed or added, and guessed soon, too; {ADVICE}"
    )]
    Variation,
    /// A row of the alphabet or of digits, or the same piece again and again.
    #[error("this password is a row or a repetition, and guessed soon; {ADVICE}")]
    Pattern,
    /// Little more than what the product, the machine or the site is called.
    #[error("this password is little more than the name of this program, machine or site; {ADVICE}")]
    Name,
    /// Argon2 itself failed: no memory or no random numbers.
    #[error("the password could not be hashed; the machine is out of memory or has no random numbers")]
    Hashing,
}

/// The passwords people use most, as the first four bytes of their SHA-256 (big endian), in order. Made by
/// `scripts/common-passwords`, which says from what. A word that is none of them looks like one once in 280 000.
const COMMON: &[u8] = include_bytes!("common-passwords.bin");

/// Words that lists of the English-speaking world lack or rank low, and those that lie near before this program.
const NEAR: &[&str] = &[
    "abcd",
    "admin",
    "administrator",
    "barrier",
    "camera",
    "capture",
    "changeme",
    "default",
    "entry",
    "gate",
    "geheim",
    "hallo",
    "kamera",
    "kennwort",
    "letmein",
    "login",
    "motdepasse",
    "passwort",
    "portal",
    "qwertz",
    "qwertzuiop",
    "raspberry",
    "raspberrypi",
    "raspi",
    "root",
    "schranke",
    "schatz",
    "security",
    "sicherheit",
    "sommer",
    "start",
    "surveillance",
    "test",
    "user",
    "webcam",
    "welcome",
    "willkommen",
    "winter",
    "zugang",
];

/// Characters before or behind a word that make it no better: `2026`, `123!`, `#1`.
const TAIL_MAX: usize = 5;

/// A name with fewer characters than this beside it is no password.
const BESIDE_NAME_MIN: usize = 6;

/// Names shorter than this are part of too many words.
const NAME_MIN: usize = 4;

/// A piece this short that is repeated is no password, whatever it is.
const PIECE_MAX: usize = 3;

/// Names that a guesser knows: of the site and of the machine.
pub(super) fn names(config: &Config) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    config.upload.site.iter().cloned().chain([host.trim().to_owned()]).collect()
}

/// Whether a new password is acceptable on this machine; the error says why not. What
/// [`hash_password`](super::auth::hash_password) asks, and that it is no name.
pub fn check_new_password(password: &str, config: &Config) -> Result<(), PasswordError> {
    check(password, &names(config))
}

/// Whether a new password is acceptable. `names` are those of the machine and its site: whoever guesses knows them.
/// Characters are counted as Unicode scalar values.
pub(super) fn check(password: &str, names: &[String]) -> Result<(), PasswordError> {
    let length = password.chars().count();
    if length < LENGTH_MIN {
        return Err(PasswordError::TooShort);
    }
    if length > LENGTH_MAX {
        return Err(PasswordError::TooLong);
    }
    let lower = password.to_lowercase();
    if is_common(&lower) {
        return Err(PasswordError::Common);
    }
    if is_sequence(&lower)
        || piece(&lower).is_some_and(|piece| piece.chars().count() <= PIECE_MAX || is_common(piece))
    {
        return Err(PasswordError::Pattern);
    }
    let names = names.iter().map(String::as_str).chain(["camera-capture"]);
    if names.map(|name| plain(&name.to_lowercase())).any(|name| is_about(&lower, &name)) {
        return Err(PasswordError::Name);
    }
    if variations(&lower).iter().any(|form| is_common(form)) {
        return Err(PasswordError::Variation);
    }
    Ok(())
}

fn is_common(word: &str) -> bool {
    let hash = Sha256::digest(word.as_bytes());
    let wanted = &hash[..4];
    let (entries, _) = COMMON.as_chunks::<4>();
    NEAR.contains(&word) || entries.binary_search_by(|entry| entry.as_slice().cmp(wanted)).is_ok()
}

/// Each character is the one after, or before, the one before it, and 0 comes after 9: `abcdefgh`, `78901234`.
fn is_sequence(word: &str) -> bool {
    let steps = word.chars().zip(word.chars().skip(1));
    let mut steps = steps.map(|(one, next)| match (one, next) {
        ('9', '0') => 1,
        ('0', '9') => -1,
        _ => i64::from(u32::from(next)) - i64::from(u32::from(one)),
    });
    steps.next().is_some_and(|first| first.abs() <= 1 && steps.all(|step| step == first))
}

/// The piece a word is made of, if it is the same one again and again.
fn piece(word: &str) -> Option<&str> {
    let ends = word.char_indices().map(|(at, _)| at).skip(1);
    ends.take_while(|end| 2 * end <= word.len())
        .map(|end| &word[..end])
        .find(|piece| word.len().is_multiple_of(piece.len()) && word.split(piece).all(str::is_empty))
}

/// Letters and digits only.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// A password that is little more than `name`.
fn is_about(password: &str, name: &str) -> bool {
    name.chars().count() >= NAME_MIN
        && [plain(password), plain(&letters(password, 'i')), plain(&letters(password, 'l'))]
            .iter()
            .any(|form| form.contains(name) && form.replacen(name, "", 1).chars().count() < BESIDE_NAME_MIN)
}

/// What a word was before digits and signs took the place of letters; a `1` may stand for two of them.
fn letters(word: &str, one: char) -> String {
    let letter = |c| match c {
        '@' | '4' => 'a',
        '3' | '€' => 'e',
        '1' | '!' | '|' => one,
        '0' => 'o',
        '$' | '5' => 's',
        '7' | '+' => 't',
        other => other,
    };
    word.chars().map(letter).collect()
}

/// The words that a password may have been made of by adding a few digits and signs and by putting them for letters.
fn variations(lower: &str) -> Vec<String> {
    let mut cores = vec![lower];
    let behind = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    let before = |word: &'_ str| word.len() - word.trim_start_matches(|c: char| !c.is_alphabetic()).len();
    let is_little = |tail: &str| tail.chars().count() <= TAIL_MAX || is_common(tail) || is_sequence(tail);
    if is_little(&lower[behind.len()..]) {
        cores.push(behind);
    }
    for word in cores.clone() {
        let start = before(word);
        if start > 0 && start < word.len() && is_little(&word[..start]) {
            cores.push(&word[start..]);
        }
    }
    // A sign at the end may be an addition or a letter: `pa$$word!`, `pas$`.
    for count in 1..=TAIL_MAX {
        if let Some((end, last)) = lower.char_indices().nth_back(count - 1) {
            if last.is_alphabetic() {
                break;
            }
            cores.push(&lower[..end]);
        }
    }
    cores
        .into_iter()
        .filter(|core| core.chars().count() >= NAME_MIN)
        .flat_map(|core| [core.to_owned(), letters(core, 'i'), letters(core, 'l')])
        .flat_map(|form| [plain(&form), form])
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(password: &str) -> Result<(), PasswordError> {
        super::check(password, &["Gate 7 North".to_owned(), "pi-gate".to_owned(), "pi".to_owned()])
    }

    #[test]
    fn lengths_count_characters_and_nothing_is_cut_off() {
        assert_eq!(check("1234567"), Err(PasswordError::TooShort));
        assert_eq!(check(&"🦉x".repeat(65)), Err(PasswordError::TooLong));
        assert_eq!(check("🦉 wise owl 🦉"), Ok(()));
    }

    #[test]
    fn passwords_everyone_guesses_are_refused_in_any_case() {
        for password in
            ["admin123", "Admin123", "password", "12345678", "RaspberryPi", "iloveyou", "TrustNo1"]
        {
            assert!(check(password).is_err(), "{password}");
        }
    }

    #[test]
    fn a_word_everyone_guesses_is_no_better_for_a_few_digits_signs_and_capitals() {
        for password in [
            "Password2026!",
            "pa$$word",
            "P@$$w0rd!",
            "dragon2026",
            "123monkey",
            "!Football!",
            "Sommer2026!",
            "passwort1",
            "1adm1n1!",
            "letme1n!!",
            "Welcome123#",
            "qwertz123",
            "test12345678",
        ] {
            assert_eq!(check(password), Err(PasswordError::Variation), "{password}");
        }
    }

    #[test]
    fn sequences_and_repetitions_are_no_passwords() {
        for password in ["aaaaaaaaaaaa", "defghijklm", "65432109", "abababababab", "xyzxyzxyz", "adminadmin"]
        {
            assert!(
                matches!(check(password), Err(PasswordError::Pattern | PasswordError::Common)),
                "{password}"
            );
        }
    }

    #[test]
    fn the_names_of_product_machine_and_site_are_no_passwords() {
        for password in [
            "camera-capture",
            "CameraCapture1",
            "c4mera_c4pture",
            "gate7north",
            "Gate-7-North!1",
            "pi-gate2026",
        ] {
            assert_eq!(check(password), Err(PasswordError::Name), "{password}");
        }
        assert_eq!(check("the camera captures nothing at night"), Ok(()));
    }

    #[test]
    fn words_that_have_nothing_to_do_with_one_another_are_a_password() {
        for password in
            ["correct horse battery", "another long phrase", "Xk7#pQ2v", "7-otters-sing", "vier müde Igel"]
        {
            assert_eq!(check(password), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_list_is_in_order_and_of_some_size() {
        let (entries, rest) = COMMON.as_chunks::<4>();
        assert!(rest.is_empty() && entries.is_sorted() && entries.len() >= 10_000, "{}", entries.len());
    }

    proptest! {
        #[test]
        fn anything_is_judged_without_a_panic(password in "\\PC{0,140}") {
            let _ = check(&password);
        }

        #[test]
        fn long_random_passwords_are_accepted(password in "[a-z]{5}[A-Z0-9]{3}[a-z]{5}[A-Z]{3}") {
            prop_assert_eq!(check(&password), Ok(()));
        }
    }
}
