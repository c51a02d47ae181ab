//! What a server read in a picture, out of its answer. Pure: whatever it says is bounded and nothing of it is an error but
//! an answer that is of another kind.

use serde_json::Value;

use crate::config::AnalysisFormat;
use crate::model::{TextBox, TextRead, foreign};

/// Texts of one picture that are kept; more cars are in no picture of a gate.
pub(super) const TEXTS_MAX: usize = 32;

/// Longest text that is kept, characters.
const TEXT_CHARS_MAX: usize = 64;

/// Longest side of a picture, pixels; a box beyond that is of no picture.
const SIDE_MAX: u32 = 65_535;

/// The texts in an answer, as the server has them in order; `None` if it is not of this shape at all.
pub(super) fn texts_of(format: AnalysisFormat, body: &str) -> Option<Vec<TextRead>> {
    let said: Value = serde_json::from_str(body).ok()?;
    let (list, name) = match format {
        AnalysisFormat::PlateRecognizer => ("results", "plate"),
        AnalysisFormat::Json => ("texts", "text"),
    };
    let found = said.get(list)?.as_array()?;
    Some(found.iter().filter_map(|one| text_of(one, name)).take(TEXTS_MAX).collect())
}

/// One of them; what has no text is left out, what is odd of it beside the text is not known.
fn text_of(one: &Value, name: &str) -> Option<TextRead> {
    let text = foreign::line(one.get(name)?.as_str()?, TEXT_CHARS_MAX);
    let score = one.get("score").and_then(Value::as_f64).filter(|score| (0.0..=1.0).contains(score));
    (!text.is_empty()).then(|| TextRead { text, score, place: one.get("box").and_then(place_of) })
}

/// A box as a server writes it, perhaps with fractions, perhaps a little beyond the edge of the picture.
fn place_of(said: &Value) -> Option<TextBox> {
    let pixel = |name: &str| {
        let value = said.get(name)?.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is within these bounds"
        )]
        value.is_finite().then(|| value.round().clamp(0.0, f64::from(SIDE_MAX)) as u32)
    };
    let (xmin, ymin, xmax, ymax) = (pixel("xmin")?, pixel("ymin")?, pixel("xmax")?, pixel("ymax")?);
    (xmin < xmax && ymin < ymax).then_some(TextBox { xmin, ymin, xmax, ymax })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLATE_RECOGNIZER: &str = r#"{"processing_time":36.2,"results":[{"box":{"ymin":181,"xmin":143,"ymax":215,"xmax":282},
        "plate":"nhk552","region":{"code":"gb","score":0.747},"score":0.904,"candidates":[{"score":0.904,"plate":"nhk552"}],
        "dscore":0.92}],"filename":"1617_1B5.jpg","version":1,"camera_id":null,"timestamp":"2026-01-10T10:34:49Z"}"#;

    #[test]
    fn the_answer_of_plate_recognizer_is_read_as_its_guide_shows_it() {
        let place = Some(TextBox { xmin: 143, ymin: 181, xmax: 282, ymax: 215 });
        let expected = TextRead { text: "nhk552".to_owned(), score: Some(0.904), place };
        assert_eq!(texts_of(AnalysisFormat::PlateRecognizer, PLATE_RECOGNIZER), Some(vec![expected]));
        assert_eq!(texts_of(AnalysisFormat::PlateRecognizer, r#"{"results":[]}"#), Some(vec![]));
    }

    #[test]
    fn the_plain_shape_needs_a_text_and_nothing_else() {
        let read = |body: &str| texts_of(AnalysisFormat::Json, body);
        let only = |text: &str| TextRead { text: text.to_owned(), score: None, place: None };
        assert_eq!(read(r#"{"texts":[{"text":"AB 12"}]}"#), Some(vec![only("AB 12")]));
        for odd in [
            r#"{"text":"x","score":"0.9"}"#,
            r#"{"text":"x","score":1.5,"box":{}}"#,
            r#"{"text":"x","score":-1,"box":{"xmin":9,"ymin":0,"xmax":9,"ymax":9}}"#,
            r#"{"text":" x\u0007 ","box":[1,2,3,4]}"#,
        ] {
            assert_eq!(read(&format!(r#"{{"texts":[{odd}]}}"#)), Some(vec![only("x")]), "{odd}");
        }
        for none in [r#"{"text":7}"#, "{}", "7", r#"{"text":"\u202e"}"#] {
            assert_eq!(read(&format!(r#"{{"texts":[{none}]}}"#)), Some(vec![]), "{none}");
        }
        let beyond = r#"{"texts":[{"text":"x","box":{"xmin":-3.4,"ymin":0.6,"xmax":1e300,"ymax":2}}]}"#;
        let place = TextBox { xmin: 0, ymin: 1, xmax: SIDE_MAX, ymax: 2 };
        assert_eq!(read(beyond), Some(vec![TextRead { place: Some(place), ..only("x") }]));
    }

    #[test]
    fn an_answer_of_another_kind_is_none() {
        for body in ["", "ok", "[]", "{}", r#"{"texts":7}"#, "<html>", r#"{"texts":["#, r#"{"results":[]}"#] {
            assert_eq!(texts_of(AnalysisFormat::Json, body), None, "{body}");
        }
    }

    #[test]
    fn a_server_that_says_much_is_heard_to_a_bound() {
        let one = format!(r#"{{"text":"{}"}}"#, "A".repeat(500));
        let body = format!(r#"{{"texts":[{}]}}"#, vec![one; 400].join(","));
        let texts = texts_of(AnalysisFormat::Json, &body).unwrap();
        assert_eq!((texts.len(), texts[0].text.chars().count()), (TEXTS_MAX, TEXT_CHARS_MAX));
        let deep = "[".repeat(100_000);
        assert_eq!(texts_of(AnalysisFormat::Json, &format!(r#"{{"texts":{deep}"#)), None);
    }

    proptest! {
        #[test]
        fn no_answer_panics_and_every_box_is_one(
            text in "\\PC{0,20}", score: f64, numbers: [f64; 4], cut in 0..200_usize,
        ) {
            let [xmin, ymin, xmax, ymax] = numbers;
            let body = serde_json::json!({"results": [{"plate": text, "score": score,
                "box": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}}]}).to_string();
            let cut: String = body.chars().take(cut).collect();
            for body in [body, cut] {
                for read in texts_of(AnalysisFormat::PlateRecognizer, &body).unwrap_or_default() {
                    prop_assert!(read.score.is_none_or(|score| (0.0..=1.0).contains(&score)));
                    prop_assert!(read.place.is_none_or(|place| place.xmin < place.xmax && place.ymin < place.ymax));
                }
            }
        }
    }
}
