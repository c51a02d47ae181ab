//! Where data connections are awaited: one port of a session at a time, released as soon as it was used or left alone.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tracing::warn;

/// Connections that wait to be looked at; more than one is nobody's need.
const BACKLOG: u32 = 4;

/// The ports for data connections.
#[derive(Clone, Debug)]
pub(super) struct PassivePorts(Arc<PortsInner>);

#[derive(Debug)]
struct PortsInner {
    /// `None`: the kernel chooses.
    range: Option<RangeInclusive<u16>>,
    /// Ports on which a client is awaited, of each one.
    awaited: Mutex<BTreeMap<IpAddr, usize>>,
}

/// A port on which a data connection is awaited.
#[derive(Debug)]
pub(super) struct AwaitedPort {
    listener: TcpListener,
    /// Since when.
    pub(super) since: Instant,
    _share: PortShare,
}

#[derive(Debug)]
struct PortShare {
    ports: PassivePorts,
    client: IpAddr,
}

impl PassivePorts {
    /// All of a range, or any.
    pub(super) fn new(range: Option<RangeInclusive<u16>>) -> Self {
        Self(Arc::new(PortsInner { range, awaited: Mutex::default() }))
    }

    /// Awaits a client on a port of the address that it has reached. Of a range, one client gets half at most.
    pub(super) fn open(&self, local: SocketAddr, client: IpAddr) -> io::Result<AwaitedPort> {
        let share = self.share(client)?;
        let Some(range) = &self.0.range else {
            return Ok(AwaitedPort { listener: listen(local, 0)?, since: Instant::now(), _share: share });
        };
        let (first, count) = (u32::from(*range.start()), u32::from(range.end() - range.start()) + 1);
        let start = fastrand::u32(0..count);
        let ports = (0..count).filter_map(|n| u16::try_from(first + (start + n) % count).ok());
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for port in ports {
            match listen(local, port) {
                Ok(listener) => return Ok(AwaitedPort { listener, since: Instant::now(), _share: share }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn share(&self, client: IpAddr) -> io::Result<PortShare> {
        let most = self.0.range.as_ref().map_or(usize::MAX, |range| range.len().div_ceil(2));
        let mut awaited = self.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let count = awaited.entry(client).or_default();
        if *count >= most {
            return Err(io::Error::other("half of FTP_PASSIVE_PORTS are awaited by this address"));
        }
        *count += 1;
        drop(awaited);
        Ok(PortShare { ports: self.clone(), client })
    }
}

impl Drop for PortShare {
    fn drop(&mut self) {
        let mut awaited = self.ports.0.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = awaited.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                awaited.remove(&self.client);
            }
        }
    }
}

impl AwaitedPort {
    /// Its address.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The connection of this peer. Whoever comes from elsewhere is turned away, and the peer awaited on.
    pub(super) async fn accept(self, peer: IpAddr) -> io::Result<TcpStream> {
        loop {
            let (stream, from) = self.listener.accept().await?;
            if from.ip().to_canonical() == peer {
                return Ok(stream);
            }
            warn!(from = %from.ip(), of = %peer, "ftp: data connection from another address refused");
        }
    }
}

fn listen(local: SocketAddr, port: u16) -> io::Result<TcpListener> {
    let mut address = local;
    address.set_port(port);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port is there again although a connection of before is still being forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_range_one_client_gets_half_and_gives_it_back() {
        let any = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = any.local_addr().unwrap();
        // Ports of which some may be taken by others: a wide range, from below those that the kernel gives.
        let ports = PassivePorts::new(Some(20_000..=20_019));
        let client = |n: u8| IpAddr::from([127, 0, 0, n]);
        let held: Vec<_> = (0..10).map(|_| ports.open(local, client(1)).unwrap()).collect();
        assert!(ports.open(local, client(1)).is_err());
        let other = ports.open(local, client(2)).unwrap();
        assert!((20_000..=20_019).contains(&other.address().unwrap().port()));
        drop(held);
        assert!(ports.open(local, client(1)).is_ok());
        assert_eq!(ports.0.awaited.lock().unwrap().len(), 1);
    }
}
