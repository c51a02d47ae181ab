use std::sync::Mutex;

use tokio::sync::Notify;

use super::canvas::Canvas;
use super::*;
use crate::config::{DisplayKind, Env};
use crate::store::testing::{OWED, Place};

const SETTINGS: DisplayConfig =
    DisplayConfig { kind: DisplayKind::Ssd1306, bus: 1, address: 0x3c, sleep: Duration::from_secs(300) };

/// What happens on the wire.
#[derive(Default)]
struct Cable {
    is_pulled: bool,
    opened: u32,
    written: Vec<Vec<u8>>,
}

#[derive(Clone, Default)]
struct Socket {
    cable: Arc<Mutex<Cable>>,
    moved: Arc<Notify>,
}

impl DisplayWire for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut cable = self.cable.lock().unwrap();
        if cable.is_pulled {
            return Err(io::Error::from_raw_os_error(121));
        }
        cable.written.push(bytes.to_vec());
        self.moved.notify_one();
        Ok(())
    }
}

impl Socket {
    fn opener(&self) -> OpenWire {
        let socket = self.clone();
        Arc::new(move || {
            socket.cable.lock().unwrap().opened += 1;
            Ok(Box::new(socket.clone()) as Box<dyn DisplayWire>)
        })
    }

    fn pull(&self, is_pulled: bool) {
        self.cable.lock().unwrap().is_pulled = is_pulled;
    }

    fn opened(&self) -> u32 {
        self.cable.lock().unwrap().opened
    }

    /// Waits until these bytes were written.
    async fn saw(&self, bytes: &[u8]) {
        let seen = async {
            while !self.cable.lock().unwrap().written.iter().any(|written| written == bytes) {
                self.moved.notified().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
    }
}

fn lit() -> Canvas {
    let mut canvas = Canvas::default();
    canvas.set_page(2, &[0xff; 128]);
    canvas
}

/// S1.9
#[test]
fn a_display_that_is_pulled_is_a_state_and_comes_back_by_itself() {
    let (socket, start) = (Socket::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let glass = Glass::new(SETTINGS, socket.opener());
    let glass = glass.shown(&Canvas::default(), Light::Bright, start);
    assert_eq!(glass.state(), DisplayState { kind: "ssd1306", error: None });

    socket.pull(true);
    let mut glass = glass.shown(&lit(), Light::Bright, at(1));
    let error = glass.state().error.unwrap();
    assert!(error.contains("0x3c of /dev/i2c-1") && error.contains("check its four wires"), "{error}");
    // For an hour: it is tried, but not each second.
    let before = socket.opened();
    for second in 2..3602 {
        glass = glass.shown(&lit(), Light::Bright, at(second));
        assert!(glass.state().error.is_some());
    }
    let tries = socket.opened() - before;
    assert!((55..150).contains(&tries), "{tries} tries in an hour");

    socket.pull(false);
    socket.cable.lock().unwrap().written.clear();
    let glass = glass.shown(&lit(), Light::Bright, at(3602 + 61));
    assert_eq!(glass.state().error, None);
    let written = socket.cable.lock().unwrap().written.clone();
    let pixels: Vec<u8> = [&[0x40][..], &[0xff; 128]].concat();
    assert!(
        written.contains(&pixels) && written.last() == Some(&vec![0x00, 0xaf]),
        "set up, drawn, then lit"
    );
}

#[test]
fn one_that_was_never_there_says_what_to_do() {
    let missing = |kind: io::ErrorKind| -> OpenWire { Arc::new(move || Err(kind.into())) };
    for (kind, words) in [
        (io::ErrorKind::NotFound, "raspi-config"),
        (io::ErrorKind::PermissionDenied, "usermod -aG i2c"),
        (io::ErrorKind::TimedOut, "four wires"),
    ] {
        let glass = Glass::new(SETTINGS, missing(kind)).shown(&lit(), Light::Bright, Instant::now());
        let error = glass.state().error.unwrap();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn a_picture_from_before_the_clock_was_set_has_no_time() {
    assert_eq!(time_of(UnixMs(90_000)), "--:--");
    assert_eq!(time_of(UnixMs(1_800_000_000_000)).len(), "12:00".len());
}

#[test]
fn everything_is_written_anew_each_minute() {
    let (socket, start) = (Socket::default(), Instant::now());
    let mut glass = Glass::new(SETTINGS, socket.opener());
    let mut counts = Vec::new();
    for second in 0..=120 {
        glass = glass.shown(&lit(), Light::Bright, start + Duration::from_secs(second));
        counts.push(std::mem::take(&mut socket.cable.lock().unwrap().written).len());
    }
    let busy: Vec<usize> = (0..counts.len()).filter(|at| counts[*at] > 0).collect();
    assert_eq!(busy, [0, 60, 120]);
}

#[tokio::test]
async fn it_shows_what_there_is_and_is_dark_in_the_end() {
    let place = Place::new();
    let store = place.open_owing(OWED);
    let env = [("STATUS_DISPLAY", "ssd1306"), ("CAMERA_1_IP", "192.0.2.7")];
    let (config, _) = Config::parse(&Env::from_pairs(env)).unwrap();
    let status = Status::new(&config);
    let socket = Socket::default();
    let (_listens, listens) = watch::channel(Some(([192, 0, 2, 1], 9000).into()));
    let (_code, code) = watch::channel(None);
    let inputs = DisplayInputs { listens, code };
    let mut task =
        DisplayTask::with_wire(SETTINGS, socket.opener(), &config, store.catalog(), &status, inputs);
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let running = tokio::spawn(async move { task.run(&stop).await });
    socket.saw(&[0x00, 0xaf]).await;
    let pixels = socket.cable.lock().unwrap().written.iter().filter(|bytes| bytes[0] == 0x40).count();
    assert!(pixels > 8, "cleared, then drawn");
    cancel.cancel();
    running.await.unwrap();
    assert_eq!(socket.cable.lock().unwrap().written.last(), Some(&vec![0x00, 0xae]));
    assert_eq!(status.display(), Some(DisplayState { kind: "ssd1306", error: None }));
}
