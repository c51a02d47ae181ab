//! The kernel's GPIO character device (uAPI v2, kernel 5.10 and later), by gpiocdev.
//!
//! Needs no registers and no table of boards, so it serves every Linux board, and a Raspberry Pi as well.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Offset, Value, Values};
use gpiocdev::{Chip, Request};

use super::{Edge, EdgeSource, GpioError, Level, Pin};
use crate::clock::instant_of_monotonic;
use crate::config::ActiveLevel;
use crate::model::foreign;

/// Labels of the chip that carries a Raspberry Pi's header: models up to 3, model 4, model 5. Its number differs
/// between kernels (gpiochip4, then gpiochip0, on model 5), its label does not.
const PI_LABELS: [&str; 3] = ["pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"];

/// Chip numbers that are tried; a Pi 5 has a gap up to 10.
const CHIP_NUMBERS: std::ops::Range<u8> = 0..64;

/// Edges the kernel keeps for us, its own upper limit (16 for each of 64 lines).
const KERNEL_QUEUE: u32 = 1024;

/// How other programs see who holds the lines.
const CONSUMER: &str = "camera-capture";

/// Lines of one GPIO chip. Dropping it returns them to the kernel.
pub(super) struct Cdev {
    request: Request,
    pins: Vec<Pin>,
}

impl Cdev {
    /// Takes the lines into use; `wanted` is the chip's path, name, number or label.
    pub(super) fn open(active: ActiveLevel, wanted: Option<&str>, pins: &[Pin]) -> Result<Self, GpioError> {
        let chip = find_chip(wanted)?;
        let path = chip.path().to_owned();
        let info =
            chip.info().map_err(|error| explain(&error, &path, "ask for the chip's number of lines"))?;
        if let Some(pin) = pins.iter().find(|pin| u32::from(**pin) >= info.num_lines) {
            return Err(GpioError::NoSuchLine { pin: *pin });
        }
        if let Some(busy) = busy_line(&chip, pins) {
            return Err(busy);
        }
        let bias = match active {
            ActiveLevel::Low => Bias::PullUp,
            ActiveLevel::High => Bias::PullDown,
        };
        let offsets: Vec<Offset> = pins.iter().map(|pin| Offset::from(*pin)).collect();
        let request = Request::builder()
            .on_chip(&path)
            .with_consumer(CONSUMER)
            .with_lines(&offsets)
            .as_input()
            .with_bias(bias)
            .with_edge_detection(EdgeDetection::BothEdges)
            .with_kernel_event_buffer_size(KERNEL_QUEUE)
            .request()
            .map_err(|error| explain(&error, &path, "take the lines into use"))?;
        Ok(Self { request, pins: pins.to_vec() })
    }

    fn failed(&self, error: &gpiocdev::Error, what: &str) -> GpioError {
        explain(error, &self.request.chip_path(), what)
    }
}

impl EdgeSource for Cdev {
    fn wait(&mut self, timeout: Duration) -> Result<Option<Edge>, GpioError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.request.wait_edge_event(left) {
                Ok(true) => break,
                Ok(false) => return Ok(None),
                // A signal handler of the process may run on this thread; ppoll(2) is not restarted after it.
                Err(error) if cause(&error).kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(&error, "wait for edges")),
            }
        }
        let event = self.request.read_edge_event().map_err(|error| self.failed(&error, "read an edge"))?;
        let Ok(pin) = Pin::try_from(event.offset) else { return Ok(None) };
        let level = match event.kind {
            EdgeKind::Rising => Level::High,
            EdgeKind::Falling => Level::Low,
        };
        Ok(Some(Edge { pin, level, at: instant_of_monotonic(Duration::from_nanos(event.timestamp_ns)) }))
    }

    fn levels(&mut self) -> Result<Vec<(Pin, Level)>, GpioError> {
        let mut values = Values::default();
        self.request.values(&mut values).map_err(|error| self.failed(&error, "read the levels"))?;
        let level = |pin: &Pin| match values.get(Offset::from(*pin)) {
            Some(Value::Active) => Level::High,
            Some(Value::Inactive) | None => Level::Low,
        };
        Ok(self.pins.iter().map(|pin| (*pin, level(pin))).collect())
    }

    fn name(&self) -> &'static str {
        "cdev"
    }
}

/// The first of `pins` that somebody holds on a Raspberry Pi's header, if the kernel tells.
pub(super) fn find_busy(pins: &[Pin]) -> Option<GpioError> {
    let chip = chips().into_iter().filter_map(|(_, chip)| chip.ok()).find(is_pi_header)?;
    busy_line(&chip, pins)
}

/// Longest label of a chip, characters; the kernel's has 32 bytes.
const LABEL_MAX: usize = 32;

/// Every chip with its label, for messages.
pub(super) fn list_chips() -> String {
    let names: Vec<String> = chips()
        .into_iter()
        .map(|(path, chip)| match chip.and_then(|chip| chip.info()) {
            Ok(info) => format!("{} ({})", path.display(), foreign::line(&info.label, LABEL_MAX)),
            Err(_) => path.display().to_string(),
        })
        .collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Every chip there is in the order of its number, those that may not be opened included.
fn chips() -> Vec<(PathBuf, gpiocdev::Result<Chip>)> {
    CHIP_NUMBERS
        .map(|number| PathBuf::from(format!("/dev/gpiochip{number}")))
        .map(|path| (path.clone(), Chip::from_path(path)))
        .filter(|(_, chip)| !matches!(chip, Err(error) if cause(error).kind() == io::ErrorKind::NotFound))
        .collect()
}

fn find_chip(wanted: Option<&str>) -> Result<Chip, GpioError> {
    let open =
        |path: &Path| Chip::from_path(path).map_err(|error| explain(&error, path, "open the GPIO chip"));
    let Some(wanted) = wanted else {
        let mut chips = chips();
        let header = chips.iter().position(|(_, chip)| chip.as_ref().is_ok_and(is_pi_header)).unwrap_or(0);
        if chips.is_empty() {
            return Err(GpioError::NoChip { wanted: "at all".to_owned(), found: list_chips() });
        }
        let (path, chip) = chips.swap_remove(header);
        return chip.map_err(|error| explain(&error, &path, "open the GPIO chip"));
    };
    if wanted.starts_with('/') {
        return open(Path::new(wanted));
    }
    if wanted.parse::<u8>().is_ok() {
        return open(Path::new(&format!("/dev/gpiochip{wanted}")));
    }
    let matches = |chip: &Chip| chip.info().is_ok_and(|info| info.name == wanted || info.label == wanted);
    chips()
        .into_iter()
        .filter_map(|(_, chip)| chip.ok())
        .find(matches)
        .ok_or_else(|| GpioError::NoChip { wanted: format!("'{wanted}'"), found: list_chips() })
}

fn is_pi_header(chip: &Chip) -> bool {
    chip.info().is_ok_and(|info| PI_LABELS.contains(&info.label.as_str()))
}

fn busy_line(chip: &Chip, pins: &[Pin]) -> Option<GpioError> {
    pins.iter().find_map(|pin| {
        let info = chip.line_info(Offset::from(*pin)).ok()?;
        let holder = (!info.consumer.is_empty()).then_some(info.consumer);
        info.used.then_some(GpioError::Busy { pin: *pin, holder })
    })
}

fn explain(error: &gpiocdev::Error, path: &Path, what: &str) -> GpioError {
    let source = cause(error);
    match source.kind() {
        io::ErrorKind::NotFound => {
            GpioError::NoChip { wanted: format!("'{}'", path.display()), found: list_chips() }
        }
        io::ErrorKind::PermissionDenied => GpioError::Permission { path: path.display().to_string() },
        _ => GpioError::Io { what: format!("{what} ({})", path.display()), source },
    }
}

/// The kernel's error number inside of gpiocdev's error.
///
/// The type that carries it belongs to a crate gpiocdev does not re-export, so it is taken from the text, which is
/// that of [`io::Error`] and ends with `(os error 16)`.
fn cause(error: &gpiocdev::Error) -> io::Error {
    let text = error.to_string();
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.trim_end_matches(')').parse().ok());
    number.map_or_else(|| io::Error::other(text), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_number_is_found_in_the_text_of_gpiocdev() {
        let busy = gpiocdev::Error::from(io::Error::from_raw_os_error(16));
        assert_eq!(cause(&busy).kind(), io::ErrorKind::ResourceBusy);
        let other = gpiocdev::Error::InvalidArgument("no chip".to_owned());
        assert_eq!(cause(&other).to_string(), "no chip");
    }

    #[test]
    fn a_chip_that_is_not_there_is_named_with_what_there_is() {
        let error = find_chip(Some("/dev/gpiochip-absent")).unwrap_err();
        assert!(matches!(&error, GpioError::NoChip { wanted, .. } if wanted == "'/dev/gpiochip-absent'"));
        let error = find_chip(Some("no-such-label")).unwrap_err();
        assert!(error.to_string().starts_with("no GPIO chip 'no-such-label'; found "), "{error}");
    }
}
