//! The bytes that a device sends, read within bounds: how many, how long, and how much memory all of them take together.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A device must have sent its picture by then: 16 MiB on a weak network. Less than what a stranger's request may last.
const TOTAL_MAX: Duration = Duration::from_secs(50);

/// A device that sends nothing for so long has gone.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Memory for all pictures that are being read, in KiB: four of the largest.
const ALL_KIB: u32 = 64 * 1024;

/// Memory for those of one device, in KiB, so that none keeps the others out.
const DEVICE_KIB: u32 = 24 * 1024;

/// Why a body was not read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is longer than is taken; so many bytes were announced or sent.
    TooLong(u64),
    /// It did not come in time; so much had come.
    Late(u64),
    /// The connection was closed before its end; so much had come.
    CutOff(u64),
}

/// Memory for what is being read.
pub(super) struct ReadingRoom {
    all: Semaphore,
    devices: BTreeMap<u8, Semaphore>,
}

/// A part of it; dropped, it is free again.
pub(super) struct ReadingSeat<'a> {
    _parts: [SemaphorePermit<'a>; 2],
}

impl ReadingRoom {
    /// Room for the devices of these numbers.
    pub(super) fn new(devices: impl Iterator<Item = u8>) -> Self {
        let own = || Semaphore::new(DEVICE_KIB as usize);
        Self {
            all: Semaphore::new(ALL_KIB as usize),
            devices: devices.map(|number| (number, own())).collect(),
        }
    }

    /// Waits for room for so many bytes of a device. `None`: there is no such device.
    async fn take(&self, device: u8, bytes: u64) -> Option<ReadingSeat<'_>> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(DEVICE_KIB).min(DEVICE_KIB);
        let own = self.devices.get(&device)?.acquire_many(kib).await.ok()?;
        Some(ReadingSeat { _parts: [own, self.all.acquire_many(kib).await.ok()?] })
    }

    /// Reads what a device sends, of which it announced the length, up to `most` bytes. The room it takes lasts as long as
    /// the second value. The error has what came of one that was cut off.
    pub(super) async fn read<S, E>(
        &self,
        device: u8,
        stream: S,
        announced: Option<u64>,
        most: u64,
    ) -> Result<(Vec<u8>, Option<ReadingSeat<'_>>), (Unread, Vec<u8>)>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        if let Some(announced) = announced.filter(|announced| *announced > most) {
            return Err((Unread::TooLong(announced), Vec::new()));
        }
        let mut bytes = Vec::new();
        let reading = async {
            let seat = self.take(device, announced.unwrap_or(most)).await;
            fill(stream, &mut bytes, announced, most).await.map(|()| seat)
        };
        match tokio::time::timeout(TOTAL_MAX, reading).await {
            Ok(Ok(seat)) => Ok((bytes, seat)),
            Ok(Err(Unread::TooLong(length))) => Err((Unread::TooLong(length), Vec::new())),
            Ok(Err(unread)) => Err((unread, bytes)),
            Err(_) => Err((Unread::Late(bytes.len() as u64), bytes)),
        }
    }
}

async fn fill<S, E>(
    mut stream: S,
    bytes: &mut Vec<u8>,
    announced: Option<u64>,
    most: u64,
) -> Result<(), Unread>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    loop {
        let length = bytes.len() as u64;
        let piece = match tokio::time::timeout(PAUSE_MAX, stream.next()).await {
            Err(_) => return Err(Unread::Late(length)),
            Ok(None) => return Ok(()),
            Ok(Some(Err(_))) => return Err(Unread::CutOff(length)),
            Ok(Some(Ok(piece))) => piece,
        };
        if length + piece.len() as u64 > most {
            return Err(Unread::TooLong(length + piece.len() as u64));
        }
        if bytes.is_empty() {
            // The length was checked; what never comes is never touched.
            bytes.reserve_exact(announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
        }
        bytes.extend_from_slice(&piece);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::time::Instant;

    use super::*;

    fn room() -> ReadingRoom {
        ReadingRoom::new([1, 2].into_iter())
    }

    fn pieces(pieces: &[&'static [u8]]) -> impl Stream<Item = Result<Bytes, ()>> + Unpin + use<> {
        stream::iter(pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect::<Vec<_>>())
    }

    async fn read(
        stream: impl Stream<Item = Result<Bytes, ()>> + Unpin,
        announced: Option<u64>,
    ) -> Result<Vec<u8>, Unread> {
        room().read(1, stream, announced, 8).await.map(|(bytes, _)| bytes).map_err(|(unread, _)| unread)
    }

    #[tokio::test]
    async fn as_many_bytes_are_read_as_are_allowed_and_what_is_announced_as_more_is_not_begun() {
        assert_eq!(read(pieces(&[b"1234", b"5678"]), None).await.unwrap(), b"12345678");
        assert_eq!(read(pieces(&[b"1234", b"56789"]), None).await, Err(Unread::TooLong(9)));
        assert_eq!(read(stream::pending(), Some(4 << 30)).await, Err(Unread::TooLong(4 << 30)));
        let cut = pieces(&[b"12"]).chain(stream::iter([Err(())]));
        assert_eq!(read(cut, Some(4)).await, Err(Unread::CutOff(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_has_a_limit_for_each_pause_and_for_all() {
        let began = Instant::now();
        assert_eq!(read(pieces(&[b"1"]).chain(stream::pending()), None).await, Err(Unread::Late(1)));
        assert_eq!(began.elapsed(), PAUSE_MAX);
        let dripping = stream::unfold((), |()| async {
            tokio::time::sleep(PAUSE_MAX - Duration::from_secs(1)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let began = Instant::now();
        assert_eq!(read(Box::pin(dripping), None).await, Err(Unread::Late(5)));
        assert_eq!(began.elapsed(), TOTAL_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn one_device_does_not_take_the_room_of_the_others() {
        let (room, large) = (room(), 16 << 20);
        let (_, seat) = room.read(1, pieces(&[b"1"]), None, large).await.unwrap();
        assert_eq!(room.read(1, pieces(&[b"1"]), None, large).await.err(), Some((Unread::Late(0), vec![])));
        assert!(room.read(1, pieces(&[b"1"]), Some(1), large).await.is_ok(), "a small one");
        assert!(room.read(2, pieces(&[b"1"]), None, large).await.is_ok());
        drop(seat);
        assert!(room.read(1, pieces(&[b"1"]), None, large).await.is_ok());
    }
}
