//! RTP over UDP: a pair of sockets, for packets and for reports.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::conversation::Datagrams;

/// Ports that are tried. As ffmpeg does.
const PORTS: std::ops::Range<u16> = 5000..65_000;

/// How many pairs are tried.
const TRIES: usize = 20;

/// What the kernel is to keep while we are not looking: a keyframe of 4K, which a camera sends at once.
const KERNEL_ROOM: usize = 2 << 20;

/// Longest datagram.
const ROOM: usize = u16::MAX as usize;

/// What came in one.
pub(super) enum Datagram<'a> {
    Packet(&'a [u8]),
    Report(&'a [u8]),
}

/// Two sockets: packets, and reports.
pub(super) struct UdpPair {
    packets: UdpSocket,
    reports: UdpSocket,
    port: u16,
    camera: IpAddr,
    buffer: Box<[u8]>,
    is_open: bool,
    /// A packet has come.
    has_come: bool,
}

impl UdpPair {
    /// Binds an even port and the one after it, where the connection to this camera comes from.
    pub(super) async fn bind(local: IpAddr, camera: IpAddr) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let port = fastrand::u16(PORTS) & !1;
            let bound = async {
                let packets = UdpSocket::bind((local, port)).await?;
                // The kernel gives what it allows; less than asked for is no fault.
                let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&packets, KERNEL_ROOM);
                Ok((packets, UdpSocket::bind((local, port + 1)).await?))
            };
            match bound.await {
                Ok((packets, reports)) => {
                    let buffer = vec![0; ROOM].into();
                    return Ok(Self {
                        packets,
                        reports,
                        port,
                        camera,
                        buffer,
                        is_open: false,
                        has_come: false,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The port of packets.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Opens the way through firewalls between, once: a packet of ours (an empty RTP one, and a report) to where the
    /// camera's come from.
    pub(super) fn open(&mut self, agreed: Datagrams) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        if let Some(port) = agreed.port {
            // To the camera alone: an address that it names could be anybody's. Nothing depends on their arrival.
            let _ = self
                .packets
                .try_send_to(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], (self.camera, port).into());
            let report = [0x80, 201, 0, 1, 0, 0, 0, 0];
            let _ = self.reports.try_send_to(&report, (self.camera, port.saturating_add(1)).into());
        }
    }

    /// Whether any packet has come.
    pub(super) fn has_come(&self) -> bool {
        self.has_come
    }

    /// The next datagram of the camera. Those of other hosts are dropped; from which port it comes does not matter, since
    /// what cameras say of it does not hold (mediamtx 407, RootEncoder 48).
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        agreed: Datagrams,
    ) -> Poll<io::Result<Datagram<'_>>> {
        loop {
            let mut found = None;
            for (socket, is_report) in [(&self.reports, true), (&self.packets, false)] {
                let mut room = ReadBuf::new(&mut self.buffer);
                match socket.poll_recv_from(cx, &mut room) {
                    Poll::Pending => {}
                    // What we sent first met no open port.
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        found = Some((0, is_report, false));
                        break;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(from)) => {
                        let is_known = from.ip() == self.camera || Some(from.ip()) == agreed.source;
                        found = Some((room.filled().len(), is_report, is_known));
                        break;
                    }
                }
            }
            let Some((length, is_report, is_known)) = found else { return Poll::Pending };
            if !is_known {
                continue;
            }
            let bytes = &self.buffer[..length];
            if is_report {
                return Poll::Ready(Ok(Datagram::Report(bytes)));
            }
            self.has_come = true;
            return Poll::Ready(Ok(Datagram::Packet(bytes)));
        }
    }
}
