//! Which camera is set up over the network (`POST /streaming/setup-camera`): that of `CAMERA_n_STREAMING=true`; else one that
//! is called `stream` and has no address; else, as soon as a variable of streaming is set, one that is added.

use super::problem::Wrong;
use super::reader::{ReadResult, VariableReader};
use super::values::boolean;
use super::variables::{self, CAMERA_NUMBER_MAX};
use crate::model::CameraKey;

/// What such a camera is called.
pub(super) const NAME: &str = "stream";

/// The first number of a camera that is added: those before it belong to the contacts.
const ADDED_FROM: u8 = 4;

/// What is known of a camera when it is asked whether it is the one.
pub(super) struct Candidate<'k> {
    pub(super) number: u8,
    /// Its key, if that is a good one.
    pub(super) key: Option<&'k CameraKey>,
    pub(super) has_address: bool,
    /// It was added for this.
    pub(super) is_added: bool,
}

/// Whether the camera's address comes while the program runs; there is one such camera, and it has no other address.
pub(super) fn read(
    reader: &mut VariableReader<'_>,
    candidate: &Candidate<'_>,
    taken: &mut Option<u8>,
) -> ReadResult<bool> {
    let Candidate { number, key, has_address, is_added } = *candidate;
    let name = format!("CAMERA_{number}_STREAMING");
    let is_named = key.is_some_and(|key| key.as_str() == NAME);
    let is_asked = reader.required(&name, boolean)?;
    let is_said = !reader.env().get(&name).unwrap_or_default().trim().is_empty();
    let is_one = if is_said { is_asked } else { is_added || is_named && !has_address };
    if !is_one {
        return Ok(false);
    }
    if has_address {
        let wrong =
            Wrong::new("the camera has an address already", "true for a camera without one, or false");
        return Err(reader.refuse(&name, &wrong));
    }
    match taken.replace(number) {
        None => Ok(true),
        Some(other) => {
            let what = format!("camera {other} is the one that is set up over the network");
            Err(reader.refuse(&name, &Wrong::new(what, "true for one camera only")))
        }
    }
}

/// The number of the camera that is added where a variable of streaming is set and no camera is the one; `is_used` knows the
/// numbers of the others.
pub(super) fn added(reader: &VariableReader<'_>, is_used: impl Fn(u8) -> bool) -> Option<u8> {
    let plain = |text: &str| text.replace(' ', "");
    let is_wanted = reader.env().names().any(|name| {
        let text = plain(reader.env().get(name).unwrap_or_default());
        let is_other =
            |default: Option<String>| default.map(|default| plain(&default)).as_ref() != Some(&text);
        (name.starts_with("STREAM_") || name == "JWT_SECRET")
            && !text.is_empty()
            && variables::find(name).is_some_and(|(variable, _)| is_other(variable.default_for(0)))
    });
    (ADDED_FROM..=CAMERA_NUMBER_MAX).find(|number| is_wanted && !is_used(*number))
}

#[cfg(test)]
mod tests {
    use super::super::camera::SourceConfig;
    use super::super::testing::{config, problem};

    const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");

    fn slots(pairs: &[(&'static str, &'static str)]) -> Vec<(u8, String)> {
        let is_slot = |source: &Option<SourceConfig>| matches!(source, Some(SourceConfig::Slot(_)));
        let cameras = config(pairs).cameras.into_iter().filter(|camera| camera.enabled);
        cameras
            .filter(|camera| is_slot(&camera.source))
            .map(|camera| (camera.number, camera.key.to_string()))
            .collect()
    }

    #[test]
    fn without_a_word_of_streaming_no_camera_is_set_up_over_the_network() {
        assert_eq!(slots(&[("CAMERA_1_IP", "192.0.2.1"), ("STREAM_FPS", "10"), ("STREAM_ALLOW", "")]), []);
    }

    #[test]
    fn a_camera_called_stream_without_an_address_is_the_one_unless_it_is_told_not_to_be() {
        let stream = |number| vec![(number, "stream".to_owned())];
        assert_eq!(slots(&[("CAMERA_2_NAME", "stream"), SECRET]), stream(2));
        assert_eq!(slots(&[("CAMERA_2_NAME", "stream")]), stream(2));
        assert_eq!(slots(&[("CAMERA_2_NAME", "stream"), ("CAMERA_2_IP", "192.0.2.1")]), []);
        assert_eq!(slots(&[("CAMERA_2_NAME", "stream"), ("CAMERA_2_STREAMING", "false")]), []);
        assert_eq!(slots(&[("CAMERA_5_STREAMING", "true")]), [(5, "r5".to_owned())]);
        let twice = problem(&[("CAMERA_2_NAME", "stream"), ("CAMERA_5_STREAMING", "true")]);
        assert!(twice.starts_with("CAMERA_5_STREAMING: ") && twice.contains("camera 2"), "{twice}");
    }

    #[test]
    fn whoever_sets_a_variable_of_streaming_gets_a_camera_for_it_behind_the_others() {
        for pair in
            [SECRET, ("STREAM_ALLOW", "10.0.0.0/8"), ("STREAM_CORS_ORIGINS", "null"), ("STREAM_FPS", "5")]
        {
            let others = [("CAMERA_1_IP", "192.0.2.1"), ("CAMERA_4_IP", "192.0.2.4"), pair];
            assert_eq!(slots(&others), [(5, "stream".to_owned())], "{pair:?}");
        }
        let taken = [SECRET, ("CAMERA_1_NAME", "stream"), ("CAMERA_1_IP", "192.0.2.1")];
        assert_eq!(slots(&taken), [(4, "r4".to_owned())]);
        let config = config(&[SECRET]);
        assert_eq!(config.cameras[0].label, "Stream");
    }
}
