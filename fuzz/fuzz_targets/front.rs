//! What a camera says over its connection: messages, packets, and what the RTSP library is told of them.
//!
//! The first byte says in which portions it comes; the rest is what the camera sends, while the library asks what it
//! always asks.
#![no_main]

use camera_capture::config::{Credentials, Secret};
use camera_capture::source::front::conversation::{Addresses, Answered, Conversation};
use camera_capture::source::front::login::Login;
use camera_capture::source::front::message::{MessageHead, Start};
use camera_capture::source::front::wire::{BODY_MAX, WireEvent, HEAD_MAX, WireReader};
use libfuzzer_sys::fuzz_target;

fn request(number: usize) -> MessageHead {
    let methods = ["DESCRIBE", "SETUP", "PLAY", "OPTIONS"];
    let method = methods[number.min(methods.len() - 1)].to_owned();
    let headers = vec![
        ("CSeq".to_owned(), number.to_string()),
        ("Transport".to_owned(), "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned()),
    ];
    MessageHead { start: Start::Request { method, url: "rtsp://127.0.0.1:1/secret/1".to_owned() }, headers }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((portion, mut rest)) = bytes.split_first() else { return };
    let credentials = Credentials { username: "cam".to_owned(), password: Secret::new("gate".to_owned()) };
    let addresses =
        Addresses { own: "rtsp://127.0.0.1:1/secret".to_owned(), camera: "rtsp://10.0.0.7:554".to_owned() };
    let udp_port = (portion % 2 == 1).then_some(6970);
    let mut conversation = Conversation::new(addresses, Login::new(Some(credentials)), udp_port);
    let (mut reader, mut asked) = (WireReader::default(), 0);
    assert!(conversation.ask(request(asked)).starts_with(b"DESCRIBE rtsp://10.0.0.7:554/1 RTSP/1.0\r\n"));
    while !rest.is_empty() {
        let room = reader.room();
        let count = (usize::from(*portion) + 1).min(room.len()).min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        reader.add(count);
        rest = &rest[count..];
        loop {
            match reader.event() {
                Ok(Some(WireEvent::Packet { .. } | WireEvent::Slipped(_))) => {}
                Ok(Some(WireEvent::Message(head, body))) => {
                    let _ = Conversation::asked(&head);
                    match conversation.answered(&head, &body) {
                        Ok(Answered::Passed(answer)) => {
                            // What the library is told can be read again, and is one message.
                            let mut own = WireReader::default();
                            own.room()[..answer.len().min(60_000)]
                                .copy_from_slice(&answer[..answer.len().min(60_000)]);
                            own.add(answer.len().min(60_000));
                            assert!(
                                answer.len() > 60_000 || matches!(own.event(), Ok(Some(WireEvent::Message(..))))
                            );
                            assert!(answer.len() > 60_000 || matches!(own.event(), Ok(None)));
                            asked += 1;
                            // Then keepalives, as while it plays.
                            let _ = if asked < 4 {
                                Some(conversation.ask(request(asked)))
                            } else {
                                conversation.keepalive()
                            };
                        }
                        Ok(Answered::Again(_) | Answered::Idle) => {}
                        Err(_) => return,
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(reader.held() <= HEAD_MAX + 2 * BODY_MAX);
    }
});
