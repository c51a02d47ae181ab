//! A bad way to a good camera: stands between the program and an RTSP server, understands as much RTSP and RTP (in TCP)
//! as it needs, and does on command what networks and firmware do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;

/// Ticks of RTP time in a second of video (RFC 6184).
const CLOCK_HZ: f64 = 90_000.0;

/// Bytes at a time, and the pause between them, of a connection that trickles: one kilobyte a second.
const DRIP_BYTES: usize = 100;
const DRIP_PAUSE: Duration = Duration::from_millis(100);

/// What goes wrong now.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// Bytes arrive one by one, far slower than the video needs.
    pub(crate) drips: bool,
    /// No video comes through; the camera answers all the same.
    pub(crate) withholds: bool,
    /// Of so many packets of video one has its content overwritten; headers and numbers stay right.
    pub(crate) garbage_every: Option<u64>,
    /// How long every answer takes.
    pub(crate) answers_after: Duration,
    /// The connection is closed after so many frames.
    pub(crate) closes_after: Option<u64>,
    /// Only one session at a time; one that was not torn down stays, whatever became of its connection.
    pub(crate) allows_one_session: bool,
    /// RTP time jumps by so many seconds.
    pub(crate) shift_s: f64,
    /// RTP time runs so much faster than time.
    pub(crate) clock_rate: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            drips: false,
            withholds: false,
            garbage_every: None,
            answers_after: Duration::ZERO,
            closes_after: None,
            allows_one_session: false,
            shift_s: 0.0,
            clock_rate: 1.0,
        }
    }
}

/// A running relay; ends with this value, and its connections with it.
pub(crate) struct Relay {
    port: u16,
    state: State,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct State {
    faults: Arc<Mutex<Faults>>,
    /// Sessions that were set up and not torn down.
    sessions: Arc<Mutex<BTreeSet<String>>>,
    refused: Arc<Mutex<u64>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl State {
    fn faults(&self) -> Faults {
        self.faults.lock().unwrap().clone()
    }
}

impl Relay {
    /// Starts a relay to the server at `port`.
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let state = State::default();
        let accepting = tokio::spawn({
            let state = state.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let connection = tokio::spawn(serve(client, port, state.clone()));
                    state.connections.lock().unwrap().push(connection);
                }
            }
        });
        Self { port: own_port, state, accepting }
    }

    /// Address of the server's `n`th stream through the relay.
    pub(crate) fn url(&self, n: u8) -> String {
        format!("rtsp://127.0.0.1:{}/r{n}", self.port)
    }

    /// Changes what goes wrong, on all connections at once.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.faults.lock().unwrap());
    }

    /// Everything is well again.
    pub(crate) fn heal(&self) {
        self.set(|faults| *faults = Faults::default());
    }

    /// Breaks every connection without a word.
    pub(crate) fn cut(&self) {
        self.state.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }

    /// How many sessions were refused because there was one already.
    pub(crate) fn refused(&self) -> u64 {
        *self.state.refused.lock().unwrap()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// One connection, until either side ends it.
async fn serve(client: TcpStream, port: u16, state: State) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let to_client = Arc::new(AsyncMutex::new(to_client));
    // Whoever ends first ends both.
    tokio::select! {
        _ = up(BufReader::new(from_client), to_server, &to_client, &state) => {}
        _ = down(BufReader::new(from_server), &to_client, &state) => {}
    }
}

/// What a side says: a message, or a packet on a channel (RFC 2326 section 10.12).
enum Part {
    Message(Vec<u8>),
    Packet(Vec<u8>),
}

async fn next(from: &mut BufReader<OwnedReadHalf>) -> std::io::Result<Part> {
    let first = from.read_u8().await?;
    if first == b'$' {
        let mut head = [0; 3];
        from.read_exact(&mut head).await?;
        let mut packet = vec![b'$', head[0], head[1], head[2]];
        packet.resize(4 + usize::from(u16::from_be_bytes([head[1], head[2]])), 0);
        from.read_exact(&mut packet[4..]).await?;
        return Ok(Part::Packet(packet));
    }
    let mut message = vec![first];
    while !message.ends_with(b"\r\n\r\n") {
        message.push(from.read_u8().await?);
    }
    let length = header(&message, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let head = message.len();
    message.resize(head + length, 0);
    from.read_exact(&mut message[head..]).await?;
    Ok(Part::Message(message))
}

fn header(message: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// The session a message belongs to.
fn session(message: &[u8]) -> Option<String> {
    header(message, "session").map(|value| value.split(';').next().unwrap_or_default().to_owned())
}

/// From the program to the camera.
async fn up(
    mut from: BufReader<OwnedReadHalf>,
    mut to: OwnedWriteHalf,
    back: &AsyncMutex<OwnedWriteHalf>,
    state: &State,
) -> std::io::Result<()> {
    loop {
        let part = next(&mut from).await?;
        if let Part::Message(message) = &part {
            let others_session = !state.sessions.lock().unwrap().is_empty() && session(message).is_none();
            if message.starts_with(b"SETUP") && others_session && state.faults().allows_one_session {
                *state.refused.lock().unwrap() += 1;
                let number = header(message, "cseq").unwrap_or_default();
                let refusal = format!("RTSP/1.0 453 Not Enough Bandwidth\r\nCSeq: {number}\r\n\r\n");
                back.lock().await.write_all(refusal.as_bytes()).await?;
                continue;
            }
            if let Some(session) = session(message).filter(|_| message.starts_with(b"TEARDOWN")) {
                state.sessions.lock().unwrap().remove(&session);
            }
        }
        let (Part::Message(bytes) | Part::Packet(bytes)) = part;
        to.write_all(&bytes).await?;
    }
}

/// What has come through a connection so far.
#[derive(Default)]
struct Progress {
    packets: u64,
    frames: u64,
    /// RTP time as it came, and as it went on, since the clock's rate changed last.
    anchor: Option<(u32, f64)>,
    rate: f64,
}

/// From the camera to the program.
async fn down(
    mut from: BufReader<OwnedReadHalf>,
    to: &AsyncMutex<OwnedWriteHalf>,
    state: &State,
) -> std::io::Result<()> {
    let mut progress = Progress::default();
    loop {
        let part = next(&mut from).await?;
        let faults = state.faults();
        let bytes = match part {
            Part::Message(message) => {
                tokio::time::sleep(faults.answers_after).await;
                if let Some(session) = session(&message).filter(|_| header(&message, "transport").is_some()) {
                    state.sessions.lock().unwrap().insert(session);
                }
                message
            }
            Part::Packet(_) if faults.withholds => continue,
            Part::Packet(mut packet) => {
                progress.pass(&mut packet, &faults);
                packet
            }
        };
        write(&bytes, to, state).await?;
        if faults.closes_after.is_some_and(|frames| progress.frames >= frames) {
            return Ok(());
        }
    }
}

async fn write(bytes: &[u8], to: &AsyncMutex<OwnedWriteHalf>, state: &State) -> std::io::Result<()> {
    let mut to = to.lock().await;
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = if state.faults().drips { rest.len().min(DRIP_BYTES) } else { rest.len() };
        to.write_all(&rest[..length]).await?;
        rest = &rest[length..];
        if state.faults().drips {
            tokio::time::sleep(DRIP_PAUSE).await;
        }
    }
    Ok(())
}

impl Progress {
    /// Does to a packet what goes wrong now.
    fn pass(&mut self, packet: &mut [u8], faults: &Faults) {
        let is_rtcp = packet[1] % 2 == 1;
        // Where the RTP time stands: RFC 3550 sections 5.1 and 6.4.1 (in sender reports only).
        let at = match (is_rtcp, packet.get(5)) {
            (false, Some(_)) => 4 + 4,
            (true, Some(200)) => 4 + 16,
            _ => return,
        };
        if let Some(time) = packet.get_mut(at..at + 4) {
            let ticks = u32::from_be_bytes([time[0], time[1], time[2], time[3]]);
            time.copy_from_slice(&self.moved(ticks, faults).to_be_bytes());
        }
        if is_rtcp {
            return;
        }
        self.packets += 1;
        if packet[5] & 0x80 != 0 {
            self.frames += 1;
        }
        // Behind the header, the fragment's two bytes and a little of the slice: numbers and order stay right.
        if faults.garbage_every.is_some_and(|every| self.packets.is_multiple_of(every)) && packet.len() > 200
        {
            packet[100..].iter_mut().for_each(|byte| *byte = byte.wrapping_mul(31) ^ 0x5a | 1);
        }
    }

    fn moved(&mut self, ticks: u32, faults: &Faults) -> u32 {
        let (from, to) = *self.anchor.get_or_insert((ticks, f64::from(ticks)));
        // Time stamps wrap; the nearest way round is meant.
        let since = f64::from(ticks.wrapping_sub(from) as i32);
        if self.rate != faults.clock_rate {
            let rate = if self.rate == 0.0 { 1.0 } else { self.rate };
            self.anchor = Some((ticks, to + since * rate));
            self.rate = faults.clock_rate;
            return self.moved(ticks, faults);
        }
        let moved = to + since * self.rate + faults.shift_s * CLOCK_HZ;
        moved.rem_euclid(f64::from(u32::MAX) + 1.0) as u32
    }
}
