//! RTP over UDP: a pair of sockets whose packets go on as if they had come over the connection, in order.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::conversation::Datagrams;
use super::rtp::Packet;
use super::wire::PACKET_HEAD;

/// Ports that are tried. As ffmpeg does.
const PORTS: std::ops::Range<u16> = 5000..65_000;

/// How many pairs are tried.
const TRIES: usize = 20;

/// A packet so far behind the newest is one that was late, or doubled; so far ahead it has a place in what follows.
const BEHIND: u16 = 0x8000;

/// Longest datagram, and the four bytes that go in front.
const ROOM: usize = PACKET_HEAD + u16::MAX as usize;

/// Two sockets: packets, and reports.
pub(super) struct UdpPair {
    packets: UdpSocket,
    reports: UdpSocket,
    port: u16,
    camera: IpAddr,
    buffer: Box<[u8]>,
    /// The number that is due.
    next: Option<u16>,
    is_open: bool,
}

impl UdpPair {
    /// Binds an even port and the one after it, where the connection to this camera comes from.
    pub(super) async fn bind(local: IpAddr, camera: IpAddr) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let port = fastrand::u16(PORTS) & !1;
            let bound = async {
                let packets = UdpSocket::bind((local, port)).await?;
                Ok((packets, UdpSocket::bind((local, port + 1)).await?))
            };
            match bound.await {
                Ok((packets, reports)) => {
                    let buffer = vec![0; ROOM].into();
                    return Ok(Self { packets, reports, port, camera, buffer, next: None, is_open: false });
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

    /// The next packet as it would come over the connection, on this channel or the one after it. Datagrams of other
    /// hosts, and those that come too late, are dropped.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        channel: u8,
        agreed: Datagrams,
    ) -> Poll<io::Result<&[u8]>> {
        loop {
            let mut length = None;
            for (socket, channel) in [(&self.reports, channel.saturating_add(1)), (&self.packets, channel)] {
                let mut room = ReadBuf::new(&mut self.buffer[PACKET_HEAD..]);
                match socket.poll_recv_from(cx, &mut room) {
                    Poll::Pending => {}
                    // What we sent first met no open port.
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        length = Some((0, channel, false));
                        break;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(from)) => {
                        let is_known = from.ip() == self.camera || Some(from.ip()) == agreed.source;
                        length = Some((room.filled().len(), channel, is_known));
                        break;
                    }
                }
            }
            let Some((length, on, is_known)) = length else { return Poll::Pending };
            let Ok(announced) = u16::try_from(length) else { continue };
            if !is_known {
                continue;
            }
            if on == channel {
                let Some(packet) = Packet::parse(&self.buffer[PACKET_HEAD..PACKET_HEAD + length]) else {
                    continue;
                };
                let ahead = packet.sequence.wrapping_sub(self.next.unwrap_or(packet.sequence));
                if ahead >= BEHIND {
                    continue;
                }
                self.next = Some(packet.sequence.wrapping_add(1));
            }
            let [high, low] = announced.to_be_bytes();
            self.buffer[..PACKET_HEAD].copy_from_slice(&[b'$', on, high, low]);
            return Poll::Ready(Ok(&self.buffer[..PACKET_HEAD + length]));
        }
    }
}
