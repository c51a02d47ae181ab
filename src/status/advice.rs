//! What a camera is like and what to change on it, in words, for `--test-capture` and the dashboard.

use crate::model::Stamps;
use crate::status::{Decoding, StreamInfo};

/// A picture that is on the disk later than this, at worst, is worth a change; milliseconds.
const FINE_MS: u64 = 1500;

/// Frames fewer than this a second leave gaps that show in a picture of a moving car.
const SLOW_FPS: f64 = 10.0;

/// Keyframes farther apart than this make a damaged stream show for long; seconds.
const FAR_KEYFRAMES_S: f64 = 4.0;

/// Frames that arrive more unevenly than this point to a bad network; milliseconds.
const UNEVEN_MS: u32 = 100;

/// A clock that is wrong by more than this is worth a word; milliseconds.
const WRONG_CLOCK_MS: i64 = 2000;

/// Sentences about a camera, without a full stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What it is like.
    pub facts: Vec<String>,
    /// What to change, the most useful first.
    pub changes: Vec<String>,
}

/// What is known of a camera, and what follows from it.
pub fn about(stream: Option<&StreamInfo>, decoding: Option<&Decoding>) -> Advice {
    let mut advice = Advice::default();
    let Some(stream) = stream else { return advice };
    about_stream(&mut advice, stream);
    if let Some(decoding) = decoding {
        about_decoding(&mut advice, stream, decoding);
    }
    advice
}

fn about_stream(advice: &mut Advice, stream: &StreamInfo) {
    let rate = stream.fps.map_or_else(String::new, |fps| format!(", {fps} frames a second"));
    advice.facts.push(format!("{}, {}×{}{rate}", codec(&stream.codec), stream.width, stream.height));
    if let Some(fps) = stream.fps.filter(|fps| *fps < SLOW_FPS) {
        advice.changes.push(format!(
            "{fps} frames a second are few: the nearest one may be {:.0} ms from the edge; set 15 or more",
            500.0 / fps.max(0.1)
        ));
    }
    match (stream.gop_frames, stream.fps) {
        (Some(1), _) => {}
        (Some(gop), Some(fps)) => {
            let seconds = f64::from(gop) / fps.max(0.1);
            advice.facts.push(format!("a keyframe every {gop} frames ({seconds:.1} s)"));
            if seconds > FAR_KEYFRAMES_S {
                advice.changes.push(format!(
                    "a keyframe every {seconds:.1} s: after a lost packet there is no picture for so long; set the I-frame \
                     interval to {:.0}, and switch off smart or \"plus\" encoding",
                    fps.round()
                ));
            }
        }
        _ if stream.codec != "jpeg" => {
            advice.changes.push(
                "no two keyframes were seen yet; set the I-frame interval to the frame rate, and switch off smart or \
                 \"plus\" encoding"
                    .to_owned(),
            );
        }
        _ => {}
    }
    if let Some(jitter) = stream.jitter_ms {
        advice.facts.push(format!("frames arrive within {jitter} ms of their turn"));
        if jitter > UNEVEN_MS {
            advice.changes.push(
                "frames arrive unevenly: look at the network (wireless, a full link), or lower the bit rate"
                    .to_owned(),
            );
        }
    }
    about_stamps(advice, stream);
    match stream.clock_offset_ms {
        None => {}
        Some(offset) if offset.abs() <= WRONG_CLOCK_MS => {
            advice.facts.push("the camera's clock agrees with ours".to_owned());
        }
        Some(offset) => {
            let side = if offset < 0 { "behind" } else { "ahead of" };
            advice.facts.push(format!(
                "the camera's clock is {:.1} s {side} ours, which does not matter for pictures",
                offset.abs() as f64 / 1000.0
            ));
        }
    }
}

/// Stamps that are no clock come from an encoder that does not reach the frame rate it is set to, or from firmware.
fn about_stamps(advice: &mut Advice, stream: &StreamInfo) {
    let within = stream.jitter_ms.map_or_else(String::new, |jitter| format!(", right to about {jitter} ms"));
    match stream.stamps {
        Stamps::Good => return,
        Stamps::Scaled { pace } => advice.facts.push(format!(
            "its time stamps run at {pace} of real time, so they are corrected by when pictures arrive{within}; each picture \
             says so"
        )),
        Stamps::Untrusted => advice.facts.push(format!(
            "its time stamps are no clock, so pictures get their time by when they arrive{within}; each picture says so"
        )),
    }
    let reached = stream.fps.filter(|fps| *fps >= 1.0);
    let reached = reached.map_or_else(String::new, |fps| format!(" (it sends {fps} a second)"));
    advice.changes.push(format!(
        "its time stamps do not fit the pictures it sends: set a frame rate that it reaches{reached}, switch off slow \
         shutter, or update its firmware"
    ));
}

fn about_decoding(advice: &mut Advice, stream: &StreamInfo, decoding: &Decoding) {
    advice.facts.push(format!(
        "decoding a frame takes {:.1} ms ({}), encoding a picture {} ms",
        decoding.ms_per_frame, decoding.decoder, decoding.encode_ms
    ));
    if decoding.is_hot {
        advice.facts.push(format!(
            "frames are decoded as they arrive, at {:.0} % of one core; a picture is on the disk some {} ms after its frame",
            decoding.core_percent,
            decoding.encode_ms + 10
        ));
    } else if let (Some(mean), Some(worst)) = (decoding.mean_ms, decoding.worst_ms) {
        advice
            .facts
            .push(format!("from trigger to file on this machine: about {mean} ms, at worst {worst} ms"));
    }
    if decoding.is_behind {
        advice.changes.push(
            "decoding cannot keep up with the stream: use mode cold, a smaller sub-stream or fewer frames a second"
                .to_owned(),
        );
    }
    let late = decoding.worst_ms.filter(|worst| *worst > FINE_MS && !decoding.is_hot);
    if late.is_some() {
        let affordable = FINE_MS.saturating_sub(decoding.encode_ms) as f64 / decoding.ms_per_frame.max(0.1);
        let frames = affordable.min(stream.fps.unwrap_or(affordable).round()).max(1.0);
        advice.changes.push(format!(
            "pictures are exact, but late on the disk: set the I-frame interval to {frames:.0}, or use a smaller sub-stream, \
             or CAMERA_n_MODE=hot ({:.0} % of one core)",
            decoding.core_percent
        ));
    }
}

/// A codec by its name for people; RFC 6381 names of H.264 carry profile and level.
fn codec(name: &str) -> String {
    let profile_and_level = name.strip_prefix("avc1.").filter(|hex| hex.len() == 6 && hex.is_ascii());
    let parsed = profile_and_level.and_then(|hex| {
        Some((u8::from_str_radix(&hex[..2], 16).ok()?, u8::from_str_radix(&hex[4..], 16).ok()?))
    });
    if let Some((profile, level)) = parsed {
        let profile = match profile {
            66 => "Baseline",
            77 => "Main",
            88 => "Extended",
            100 => "High",
            110 => "High 10",
            122 => "High 4:2:2",
            _ => "of another profile",
        };
        return format!("H.264 {profile}, level {:.1}", f64::from(level) / 10.0);
    }
    match name {
        "jpeg" => "JPEG".to_owned(),
        _ if name.starts_with("hvc1") || name.starts_with("hev1") || name == "h265" => {
            format!("H.265 ({name})")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamInfo {
        StreamInfo {
            codec: "avc1.640028".to_owned(),
            width: 1920,
            height: 1080,
            fps: Some(25.0),
            gop_frames: Some(50),
            jitter_ms: Some(5),
            clock_offset_ms: Some(-100),
            stamps: Stamps::Good,
        }
    }

    fn decoding(ms_per_frame: f64, frames: u32) -> Decoding {
        let worst = (ms_per_frame * f64::from(frames)) as u64 + 20;
        Decoding {
            decoder: "openh264",
            ms_per_frame,
            encode_ms: 20,
            is_hot: false,
            core_percent: ms_per_frame * 2.5,
            mean_ms: Some(worst / 2),
            worst_ms: Some(worst),
            is_behind: false,
        }
    }

    #[test]
    fn a_camera_that_is_fine_has_facts_and_nothing_to_change() {
        let advice = about(Some(&stream()), Some(&decoding(16.0, 50)));
        assert_eq!(advice.changes, Vec::<String>::new());
        let text = advice.facts.join("; ");
        assert!(text.contains("H.264 High, level 4.0, 1920×1080, 25 frames a second"), "{text}");
        assert!(text.contains("about 410 ms, at worst 820 ms"), "{text}");
    }

    #[test]
    fn a_slow_stream_comes_with_the_setting_to_change() {
        let long = StreamInfo { gop_frames: Some(250), ..stream() };
        let text = about(Some(&long), Some(&decoding(16.0, 250))).changes.join("; ");
        assert!(text.contains("keyframe every 10.0 s") && text.contains("I-frame interval to 25"), "{text}");
        assert!(text.contains("CAMERA_n_MODE=hot (40 % of one core)"), "{text}");
    }

    #[test]
    fn stamps_that_are_no_clock_are_told_with_what_to_change() {
        for (stamps, fact) in [
            (Stamps::Scaled { pace: 1.2 }, "time stamps run at 1.2 of real time"),
            (Stamps::Untrusted, "time stamps are no clock"),
        ] {
            let advice = about(Some(&StreamInfo { stamps, fps: Some(20.0), ..stream() }), None);
            assert!(advice.facts.iter().any(|said| said.contains(fact)), "{advice:?}");
            let [change] = &advice.changes[..] else { panic!("{advice:?}") };
            assert!(change.contains("set a frame rate that it reaches (it sends 20 a second)"), "{change}");
        }
    }

    #[test]
    fn an_unseen_keyframe_a_bad_network_and_a_wrong_clock_are_told() {
        let odd = StreamInfo {
            gop_frames: None,
            fps: Some(5.0),
            jitter_ms: Some(250),
            clock_offset_ms: Some(7_200_000),
            ..stream()
        };
        let advice = about(Some(&odd), None);
        assert_eq!(advice.changes.len(), 3, "{advice:?}");
        assert!(advice.facts.iter().any(|fact| fact.contains("7200.0 s ahead")), "{advice:?}");
    }
}
