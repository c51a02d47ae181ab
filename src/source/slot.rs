//! The camera whose address comes while the program runs: what is shared with whoever sets it up and looks at it.
//!
//! Who names the address is somebody on the network, so it is judged (`config/reach.rs`) whenever it is looked up, and what
//! was judged is what is connected to: the name is not asked for again in between, and redirects are not followed. All
//! viewers share what one connection to the camera brings; each sees the newest picture and nothing is kept for them.

use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, redirect};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use url::Url;

use crate::config::{GivenHost, OffLimits, Reach};
use crate::model::CameraKey;
use crate::model::chain::chain;

/// Looking a name up.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(3);

/// TCP handshake. A camera on a local network needs milliseconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// From the first question to the head of its answer.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Where a camera is, as somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAddress {
    host: GivenHost,
    port: u16,
}

/// Why a camera was not set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// It must not be contacted.
    #[error(transparent)]
    OffLimits(#[from] OffLimits),
    /// Nothing is there that answers as a camera does.
    #[error("no camera answers at {address}: {what}")]
    Unreachable {
        /// Where.
        address: String,
        /// What was seen.
        what: String,
    },
    /// It did not answer in time.
    #[error(
        "nothing answered at {address} within {seconds} s; check address, power and network of the camera"
    )]
    Silent {
        /// Where.
        address: String,
        /// How long it was waited for.
        seconds: u64,
    },
}

/// The camera: where it is, and its newest picture. A handle.
#[derive(Clone)]
pub struct StreamSlot(Arc<Slot>);

struct Slot {
    camera: CameraKey,
    reach: Reach,
    /// Ports this program listens on.
    own_ports: Mutex<Vec<u16>>,
    address: watch::Sender<Option<StreamAddress>>,
    newest: watch::Sender<Option<Bytes>>,
    /// A viewer has come.
    came: Notify,
}

/// One viewer's pictures; while one exists, the camera is asked for them.
pub struct SlotPictures {
    newest: watch::Receiver<Option<Bytes>>,
    address: watch::Receiver<Option<StreamAddress>>,
}

impl StreamAddress {
    /// `host` and `port` as somebody said them.
    pub fn new(host: &str, port: u16) -> Result<Self, OffLimits> {
        let host = GivenHost::parse(host)?;
        if port == 0 { Err(OffLimits::Spelling) } else { Ok(Self { host, port }) }
    }

    /// As [`Self`] is written: `192.168.1.100:80`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        Self::new(host, port.parse().ok()?).ok()
    }

    /// `http://192.168.1.100:80`, with the port written out even where it is the usual one.
    pub fn url(&self) -> String {
        format!("http://{self}")
    }
}

impl fmt::Display for StreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl StreamSlot {
    /// A slot for the camera `camera`, with no address yet.
    pub fn new(camera: CameraKey, reach: Reach, own_ports: Vec<u16>) -> Self {
        Self(Arc::new(Slot {
            camera,
            reach,
            own_ports: Mutex::new(own_ports),
            address: watch::Sender::new(None),
            newest: watch::Sender::new(None),
            came: Notify::new(),
        }))
    }

    /// The key of the camera.
    pub fn camera(&self) -> &CameraKey {
        &self.0.camera
    }

    /// This program listens on that port, too, which is never contacted on this machine.
    pub fn never_ask(&self, port: u16) {
        self.0.own_ports.lock().unwrap_or_else(PoisonError::into_inner).push(port);
    }

    /// Where the camera is, if it was set up.
    pub fn address(&self) -> Option<StreamAddress> {
        self.0.address.borrow().clone()
    }

    /// Whether a camera may be contacted there and answers `GET /` with success, as those of this kind do. Nothing is kept.
    pub async fn try_out(&self, address: &StreamAddress) -> Result<(), SetupError> {
        let at = self.look_up(address).await?;
        let unreachable = |what| SetupError::Unreachable { address: address.to_string(), what };
        let silent = || SetupError::Silent { address: address.to_string(), seconds: ANSWER_LIMIT.as_secs() };
        let asked = ask(at, "/").map_err(unreachable)?;
        match timeout(ANSWER_LIMIT, asked.send()).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(unreachable(format!(
                "the answer to GET / is status {}; redirects are not followed",
                answer.status().as_u16()
            ))),
            Ok(Err(error)) if error.is_timeout() => Err(silent()),
            Ok(Err(error)) => Err(unreachable(chain(&error.without_url()))),
            Err(_) => Err(silent()),
        }
    }

    /// From now on the camera is there, or nowhere.
    pub fn put(&self, address: Option<StreamAddress>) {
        self.0.newest.send_replace(None);
        self.0.address.send_replace(address);
    }

    /// Pictures from now on; the first is the newest there is while others look.
    pub fn pictures(&self) -> SlotPictures {
        let mut newest = self.0.newest.subscribe();
        newest.mark_changed();
        let address = self.0.address.subscribe();
        self.0.came.notify_one();
        SlotPictures { newest, address }
    }

    /// An address that may be connected to, judged just now. Of a name with several the first that may.
    pub(super) async fn look_up(&self, address: &StreamAddress) -> Result<SocketAddr, SetupError> {
        let own_ports = self.0.own_ports.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let judge = |at: SocketAddr| {
            self.0.reach.judge(at, is_ours(at.ip()), &own_ports).map(|()| at).map_err(SetupError::from)
        };
        let name = match &address.host {
            GivenHost::Address(ip) => return judge(SocketAddr::new(*ip, address.port)),
            GivenHost::Name(name) => name.as_str(),
        };
        let unreachable = |what| SetupError::Unreachable { address: address.to_string(), what };
        let found = match timeout(LOOK_UP_LIMIT, tokio::net::lookup_host((name, address.port))).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(unreachable(format!("its name has no address ({error})"))),
            Err(_) => return Err(unreachable("looking its name up took too long".to_owned())),
        };
        let mut refused = None;
        for at in found {
            match judge(at) {
                Ok(at) => return Ok(at),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| unreachable("its name has no address".to_owned())))
    }

    /// Told whenever the address changes.
    pub(super) fn changes(&self) -> watch::Receiver<Option<StreamAddress>> {
        self.0.address.subscribe()
    }

    /// Whether anyone looks.
    pub(super) fn has_viewers(&self) -> bool {
        self.0.newest.receiver_count() > 0
    }

    /// Waits until a viewer comes.
    pub(super) async fn viewer(&self) {
        self.0.came.notified().await;
    }

    /// Shows a picture to whoever looks. What nobody looks at is not kept.
    pub(super) fn show(&self, jpeg: &Arc<[u8]>) {
        let jpeg = self.has_viewers().then(|| Bytes::from_owner(Arc::clone(jpeg)));
        self.0.newest.send_replace(jpeg);
    }
}

impl SlotPictures {
    /// The newest picture once there is one that was not taken yet; `None` when there is no camera any more. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                () = gone(&mut self.address) => return None,
                changed = self.newest.changed() => {
                    changed.ok()?;
                    if let Some(jpeg) = self.newest.borrow_and_update().clone() {
                        return Some(jpeg);
                    }
                }
            }
        }
    }
}

/// Waits until there is no camera.
async fn gone(address: &mut watch::Receiver<Option<StreamAddress>>) {
    // When the slot is gone, there is none either.
    let _ = address.wait_for(Option::is_none).await;
}

/// Whether this machine has that address: only such can be bound.
fn is_ours(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Where a camera's `path` is, by its address alone.
pub(super) fn url_at(at: SocketAddr, path: &str) -> Option<Url> {
    Url::parse(&format!("http://{at}{path}")).ok()
}

/// A question to the address that was judged, and to no other. The error is for people.
pub(super) fn ask(at: SocketAddr, path: &str) -> Result<reqwest::RequestBuilder, String> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .http1_ignore_invalid_headers_in_responses(true)
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(0)
        // There is no TLS on this way, and no certificates need to be on this machine.
        .danger_accept_invalid_certs(true)
        .user_agent(concat!("camera-capture/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| chain(&error))?;
    let url = url_at(at, path).ok_or_else(|| format!("{at} makes no address"))?;
    Ok(client.get(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StreamingConfig;

    /// S2.5
    #[test]
    fn the_port_is_written_out_and_what_is_written_is_read_back() {
        for (host, port, url) in [
            ("192.168.1.100", 80, "http://192.168.1.100:80"),
            ("fd00::7", 8080, "http://[fd00::7]:8080"),
            ("Camera.local", 81, "http://camera.local:81"),
        ] {
            let address = StreamAddress::new(host, port).unwrap();
            assert_eq!(address.url(), url);
            assert_eq!(StreamAddress::parse(&address.to_string()), Some(address));
        }
        assert!(StreamAddress::new("192.168.1.100", 0).is_err());
        assert_eq!(StreamAddress::parse("192.168.1.100"), None);
    }

    /// S2.5: a name is judged by what it stands for.
    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_is_refused() {
        let key = CameraKey::parse("stream").unwrap();
        let slot = StreamSlot::new(key, StreamingConfig::default().reach, vec![9000]);
        let refused = slot.look_up(&StreamAddress::new("localhost", 80).unwrap()).await;
        assert!(matches!(refused, Err(SetupError::OffLimits(OffLimits::Special(_)))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_viewer_who_takes_nothing_has_the_newest_picture_waiting_and_no_other() {
        let key = CameraKey::parse("stream").unwrap();
        let slot = StreamSlot::new(key, StreamingConfig::default().reach, Vec::new());
        slot.put(StreamAddress::parse("192.168.1.100:80"));
        let mut pictures = slot.pictures();
        for n in 0..100_u8 {
            slot.show(&Arc::from([n].as_slice()));
        }
        assert_eq!(pictures.next().await.as_deref(), Some(&[99][..]));
        slot.put(None);
        assert_eq!(pictures.next().await, None);
    }
}
