//! Session descriptions (RFC 8866): bounds on what is handed on, since a list is made of every line. Pure.

/// Most media. A camera has video in two sizes, sound both ways and metadata; a recorder's channel has no more.
pub const MEDIA_MAX: usize = 32;

/// Most lines. Honest ones have fewer than a hundred.
pub const LINES_MAX: usize = 2000;

/// Why a description is not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// More than [`MEDIA_MAX`].
    Media(usize),
    /// More than [`LINES_MAX`].
    Lines,
}

/// Counts what is in a description.
pub fn check(text: &[u8]) -> Result<(), Excess> {
    let lines = || text.split(|byte| matches!(byte, b'\r' | b'\n')).filter(|line| !line.is_empty());
    let media = lines().filter(|line| line.starts_with(b"m=")).count();
    if media > MEDIA_MAX {
        return Err(Excess::Media(media));
    }
    if lines().count() > LINES_MAX { Err(Excess::Lines) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_media_and_many_lines_are_too_many() {
        let media = |count| check("m=video 0 RTP/AVP 96\r\n".repeat(count).as_bytes());
        assert_eq!(media(MEDIA_MAX), Ok(()));
        assert_eq!(media(MEDIA_MAX + 1), Err(Excess::Media(MEDIA_MAX + 1)));
        assert_eq!(check("a\n".repeat(LINES_MAX).as_bytes()), Ok(()));
        assert_eq!(check("a\r\n".repeat(LINES_MAX + 1).as_bytes()), Err(Excess::Lines));
        assert_eq!(check("m=\r".repeat(40).as_bytes()), Err(Excess::Media(40)));
    }
}
