//! What a camera sends, taken in: answers go to who asked, packets are made into pictures.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::conversation::{Answered, Conversation};
use super::datagrams::Datagram;
use super::item::report;
use super::message::Start;
use super::rate::Bucket;
use super::slip::PACKET_HEAD;
use super::wire::WireEvent;
use super::words::FrontFault;
use super::{Front, Library, MESSAGE_LIMIT, PICTURES};
use crate::source::rtp::RtpReceiver;
use crate::source::rtp::packet::Packet;

/// Most bytes before video is promised. Four answers are some kilobytes; but some cameras send what they have from the
/// first moment on (which is not kept), and think for seconds meanwhile.
const OPENING_MAX: usize = 8 << 20;

/// Most bytes of a picture that is not whole yet. The largest keyframes of 4K have 2 MB.
const PICTURE_MAX: usize = 8 << 20;

/// How long more of a body is awaited. Some announce more than they send, or nothing.
const BODY_LIMIT: Duration = Duration::from_secs(2);

/// So many packets on another channel than the one agreed on, and none on that, and the camera means the other one.
const ADOPTED: u32 = 20;

impl Front {
    /// What the camera sends. Before the library is there it waits.
    pub(super) fn poll_camera(&mut self, cx: &mut Context<'_>) -> Result<(), FrontFault> {
        while !matches!(self.library, Library::Awaited(_)) {
            match self.peer.side.poll_fill(cx) {
                Poll::Ready(Ok(true)) => self.take()?,
                Poll::Ready(Ok(false)) => return Err(self.peer.conversation.closed()),
                Poll::Ready(Err(error)) => return Err(self.peer.conversation.broke(error)),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    /// Everything that is whole of what has come.
    pub(super) fn take(&mut self) -> Result<(), FrontFault> {
        // Once for all that has come together.
        let now = Instant::now();
        loop {
            let peer = &mut self.peer;
            match peer.side.reader.event().map_err(FrontFault::Wire)? {
                Some(WireEvent::Packet { channel, whole }) => {
                    let bytes = &whole[PACKET_HEAD..];
                    let agreed = peer.conversation.channel();
                    if agreed.is_none() {
                        self.opening += whole.len();
                    }
                    let packets = self.other_channel.0.or(agreed);
                    let is_useful = match (&mut self.receiver, packets) {
                        (Some(receiver), Some(packets)) if channel == packets => {
                            self.other_channel.1 = 0;
                            receiver.take(bytes, now)
                                || (self.reports.take(now) && report(receiver, bytes, &mut self.reported))
                        }
                        (Some(receiver), Some(packets)) if channel == packets.saturating_add(1) => {
                            self.reports.take(now) && report(receiver, bytes, &mut self.reported)
                        }
                        (Some(_), Some(_))
                            if self.other_channel.1 < ADOPTED && Packet::parse(bytes).is_some() =>
                        {
                            self.other_channel.1 += 1;
                            if self.other_channel.1 == ADOPTED {
                                self.other_channel.0 = Some(channel);
                                peer.side.reader.expect(channel);
                            }
                            false
                        }
                        _ => false,
                    };
                    if !is_useful && !self.useless.take(now) {
                        return Err(FrontFault::Flood);
                    }
                    check(self.receiver.as_ref(), &mut self.counted, &mut self.pictures, now)?;
                }
                Some(WireEvent::Slipped(_)) => {
                    if let Some(receiver) = &mut self.receiver {
                        receiver.slip();
                    }
                }
                Some(WireEvent::Message(head, body)) => {
                    self.limit = None;
                    if !peer.conversation.is_playing() {
                        self.opening += head.size() + body.len();
                    }
                    let answered = match head.start {
                        Start::Request { .. } => {
                            let answer = Conversation::asked(&head);
                            peer.side.send(&answer);
                            Answered::Idle
                        }
                        Start::Response { .. } => peer.conversation.answered(&head, &body)?,
                    };
                    match (answered, &mut self.library) {
                        (Answered::Again(bytes), _) => peer.side.send(&bytes),
                        (Answered::Passed(bytes), Library::Here(library)) => library.send(&bytes),
                        _ if self.talk.take(now) && peer.side.has_room() => {}
                        _ => return Err(FrontFault::Talk),
                    }
                }
                None => break,
            }
            if self.opening > OPENING_MAX {
                return Err(FrontFault::Opening(OPENING_MAX));
            }
        }
        let reader = &self.peer.side.reader;
        if reader.is_inside_body() {
            self.limit = Some(Box::pin(tokio::time::sleep(BODY_LIMIT)));
        } else if reader.is_inside_message() && self.limit.is_none() {
            self.limit = Some(Box::pin(tokio::time::sleep(MESSAGE_LIMIT)));
        }
        Ok(())
    }

    /// Packets that come as datagrams.
    pub(super) fn poll_datagrams(&mut self, cx: &mut Context<'_>) -> Result<(), FrontFault> {
        let (Some(udp), Some(agreed)) = (&mut self.udp, self.peer.conversation.datagrams()) else {
            return Ok(());
        };
        udp.open(agreed);
        let Some(receiver) = &mut self.receiver else { return Ok(()) };
        let now = Instant::now();
        while let Poll::Ready(datagram) = udp.poll_next(cx, agreed) {
            match datagram.map_err(FrontFault::Own)? {
                Datagram::Packet(bytes) => _ = receiver.take(bytes, now),
                Datagram::Report(bytes) if self.reports.take(now) => {
                    report(receiver, bytes, &mut self.reported);
                }
                Datagram::Report(_) => {}
            }
            check(Some(receiver), &mut self.counted, &mut self.pictures, now)?;
        }
        Ok(())
    }
}

/// Whether what has come is within its bounds: bytes of what is not a whole picture yet, and pictures in time.
fn check(
    receiver: Option<&RtpReceiver>,
    counted: &mut u64,
    pictures: &mut Bucket,
    now: Instant,
) -> Result<(), FrontFault> {
    let Some(receiver) = receiver else { return Ok(()) };
    if receiver.held() > PICTURE_MAX {
        return Err(FrontFault::Picture(PICTURE_MAX));
    }
    while *counted < receiver.count() {
        *counted += 1;
        if !pictures.take(now) {
            return Err(FrontFault::Pictures(PICTURES.per_second));
        }
    }
    Ok(())
}
