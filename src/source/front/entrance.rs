//! How the RTSP library comes in: over loopback, since it makes its connection itself. Another program on this machine
//! could be there first, so only who asks for a secret address is let in.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::message::{MessageHead, Start};
use super::wire::{WireEvent, WireReader};

/// Connections whose first request is awaited. The library sends its own at once; when there are more, the oldest goes.
const WAITING_MAX: usize = 8;

/// Bytes of the secret.
const SECRET: usize = 16;

/// A listening socket that takes one connection.
pub(super) struct Entrance {
    listener: TcpListener,
    /// What the address of the first request begins with.
    own: String,
    waiting: Vec<(TcpStream, WireReader)>,
}

impl Entrance {
    pub(super) async fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut secret = [0; SECRET];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let secret = u128::from_be_bytes(secret);
        let own = format!("rtsp://127.0.0.1:{}/{secret:032x}", listener.local_addr()?.port());
        Ok(Self { listener, own, waiting: Vec::new() })
    }

    /// What addresses begin with here.
    pub(super) fn own(&self) -> &str {
        &self.own
    }

    /// The connection of who knows the secret, and its first request.
    pub(super) fn poll_enter(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, WireReader, MessageHead)>> {
        while let Poll::Ready(accepted) = self.listener.poll_accept(cx) {
            let (stream, _) = accepted?;
            // A packet and what ends its picture are written apart; neither is to wait for the other's receipt.
            stream.set_nodelay(true)?;
            if self.waiting.len() == WAITING_MAX {
                self.waiting.remove(0);
            }
            self.waiting.push((stream, WireReader::default()));
        }
        let mut at = 0;
        while let Some((stream, reader)) = self.waiting.get_mut(at) {
            match poll_first(stream, reader, cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Some(head)) if asks_for(&head, &self.own) => {
                    let (stream, reader) = self.waiting.swap_remove(at);
                    return Poll::Ready(Ok((stream, reader, head)));
                }
                Poll::Ready(_) => drop(self.waiting.swap_remove(at)),
            }
        }
        Poll::Pending
    }
}

fn asks_for(head: &MessageHead, own: &str) -> bool {
    matches!(&head.start, Start::Request { url, .. } if url.starts_with(own))
}

/// The first message of a connection; nothing if it cannot be one.
fn poll_first(
    stream: &mut TcpStream,
    reader: &mut WireReader,
    cx: &mut Context<'_>,
) -> Poll<Option<MessageHead>> {
    loop {
        match reader.event() {
            Ok(Some(WireEvent::Message(head, _))) => return Poll::Ready(Some(head)),
            Ok(None) => {}
            Ok(Some(WireEvent::Packet { .. } | WireEvent::Slipped(_))) | Err(_) => return Poll::Ready(None),
        }
        let mut room = ReadBuf::new(reader.room());
        match Pin::new(&mut *stream).poll_read(cx, &mut room) {
            Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                let count = room.filled().len();
                reader.add(count);
            }
            Poll::Ready(_) => return Poll::Ready(None),
            Poll::Pending => return Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn who_does_not_know_the_secret_takes_nobodys_place() {
        let mut entrance = Entrance::open().await.unwrap();
        let own = entrance.own().to_owned();
        let port = own.split(['/', ':']).nth(4).unwrap().to_owned();
        let strangers = async {
            let mut kept = Vec::new();
            for said in
                ["", "OPTIONS rtsp://127.0.0.1/ RTSP/1.0\r\n\r\n", "$\0\0\0", "GET / HTTP/1.1\r\n\r\n"]
            {
                let mut stranger = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
                stranger.write_all(said.as_bytes()).await.unwrap();
                kept.push(stranger);
            }
            let mut known = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
            known
                .write_all(format!("DESCRIBE {own}/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n").as_bytes())
                .await
                .unwrap();
            // Whoever said something else is shown the door.
            let mut byte = [0];
            assert!(matches!(kept[1].read(&mut byte).await, Ok(0) | Err(_)));
            (known, kept)
        };
        let entered = std::future::poll_fn(|cx| entrance.poll_enter(cx));
        let ((known, _strangers), (stream, _, head)) =
            tokio::join!(strangers, async { entered.await.unwrap() });
        assert_eq!(stream.peer_addr().unwrap(), known.local_addr().unwrap());
        assert_eq!(head.get("CSeq"), Some("1"));
    }
}
