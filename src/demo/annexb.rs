//! Byte streams of H.264 (ITU-T H.264 annex B).

/// The NAL units of an Annex B byte stream, without start codes; none is empty.
pub(super) fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(annex_b);
    std::iter::from_fn(move || {
        while let Some(current) = rest {
            rest = after_start_code(current);
            let end = rest.map_or(current.len(), |next| current.len() - next.len() - 3);
            // Zeros before a start code belong to it (its long form), never to the unit.
            let zeros = current[..end].iter().rev().take_while(|&&byte| byte == 0).count();
            if end > zeros {
                return Some(&current[..end - zeros]);
            }
        }
        None
    })
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    bytes.windows(3).position(|window| window == [0, 0, 1]).map(|at| &bytes[at + 3..])
}
