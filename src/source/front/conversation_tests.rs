//! Conversations as cameras hold them.

use super::*;
use crate::source::front::named::Named;
use crate::source::front::wire::{WireEvent, WireReader};
use proptest::prelude::*;

const OWN: &str = "rtsp://127.0.0.1:4000/secret";

fn conversation(udp_port: Option<u16>) -> Conversation {
    let addresses = Addresses { own: OWN.to_owned(), camera: "rtsp://10.0.0.7".to_owned() };
    Conversation::new(addresses, Login::default(), udp_port)
}

fn head(text: &str) -> (MessageHead, Vec<u8>) {
    let mut reader = WireReader::default();
    reader.room()[..text.len()].copy_from_slice(text.as_bytes());
    reader.add(text.len());
    match reader.event() {
        Ok(Some(WireEvent::Message(head, body))) => (head, body),
        seen => panic!("{text:?}: {seen:?}"),
    }
}

fn ask(conversation: &mut Conversation, text: &str) -> String {
    String::from_utf8(conversation.ask(head(text).0)).unwrap()
}

fn answer(conversation: &mut Conversation, text: &str) -> String {
    let (head, body) = head(text);
    match conversation.answered(&head, &body).unwrap() {
        Answered::Passed(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// What a camera has.
const VIDEO: &str =
    "v=0\r\ns=\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:trackID=0\r\n";

/// An answer with a body.
fn with_body(headers: &str, body: &str) -> String {
    format!("RTSP/1.0 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn fault(conversation: &mut Conversation, text: &str) -> FrontFault {
    let (head, body) = head(text);
    conversation.answered(&head, &body).unwrap_err()
}

fn again(conversation: &mut Conversation, text: &str) -> String {
    let (head, body) = head(text);
    match conversation.answered(&head, &body).unwrap() {
        Answered::Again(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

const NAMED: Named<'_> = Named { address: "10.0.0.7:554", host: "10.0.0.7", number: 3 };

/// A session that plays, and with whom.
fn playing(described: &str, set_up: &str, played: &str) -> Conversation {
    let mut conversation = conversation(None);
    ask(&mut conversation, &format!("DESCRIBE {OWN}/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    answer(&mut conversation, &with_body(described, VIDEO));
    ask(&mut conversation, &format!("SETUP {OWN}/1 RTSP/1.0\r\nCSeq: 2\r\n\r\n"));
    answer(&mut conversation, &format!("RTSP/1.0 200 OK\r\n{set_up}\r\n"));
    ask(&mut conversation, &format!("PLAY {OWN}/1 RTSP/1.0\r\nCSeq: 3\r\n\r\n"));
    answer(&mut conversation, &format!("RTSP/1.0 200 OK\r\n{played}\r\n"));
    conversation
}

#[test]
fn the_camera_hears_its_own_addresses_and_the_library_a_flawless_description() {
    let mut conversation = conversation(None);
    let asked =
        ask(&mut conversation, &format!("DESCRIBE {OWN}/1?a=b RTSP/1.0\r\nCSeq: 7\r\nUser-Agent: x\r\n\r\n"));
    assert_eq!(asked, "DESCRIBE rtsp://10.0.0.7/1?a=b RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: x\r\n\r\n");
    let said = with_body(
        "CSeq: 6\nServer:\n content-type: Application/SDP; charset=utf-8\r\nContent-Base: rtsp://u:p@0.0.0.0/1/\r\n",
        VIDEO,
    );
    let heard = answer(&mut conversation, &said.replacen("200 OK", "200", 1));
    let strict = conversation.media().unwrap().strict();
    let expected = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{strict}",
        strict.len()
    );
    assert_eq!(heard, expected);
    let asked =
        ask(&mut conversation, &format!("SETUP {OWN}/1?a=b RTSP/1.0\r\nCSeq: 8\r\nSession: 1\r\n\r\n"));
    assert_eq!(asked, "SETUP rtsp://10.0.0.7/1/trackID=0 RTSP/1.0\r\nCSeq: 2\r\n\r\n");
    let heard = answer(&mut conversation, "RTSP/1.0 200 OK\r\nSession: abc;x-stream=7;timeout=10\r\n\r\n");
    assert!(heard.contains("\r\nSession: 1\r\n"), "{heard}");
    assert_eq!(conversation.keepalive_interval(), Duration::from_secs(4));
    let asked = ask(
        &mut conversation,
        &format!("PLAY {OWN}/1?a=b RTSP/1.0\r\nCSeq: 9\r\nSession: 1\r\nRange: npt=0.000-\r\n\r\n"),
    );
    assert_eq!(
        asked,
        "PLAY rtsp://10.0.0.7/1/ RTSP/1.0\r\nCSeq: 3\r\nSession: abc\r\nRange: npt=0.000-\r\n\r\n"
    );
}

#[test]
fn what_is_refused_is_asked_in_other_words() {
    let mut conversation = conversation(None);
    ask(&mut conversation, &format!("DESCRIBE {OWN}/live/ch0 RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    answer(&mut conversation, &with_body("", VIDEO));
    ask(&mut conversation, &format!("SETUP {OWN}/1 RTSP/1.0\r\nCSeq: 2\r\n\r\n"));
    let asked = again(&mut conversation, "RTSP/1.0 404 Not Found\r\n\r\n");
    assert!(asked.starts_with("SETUP rtsp://10.0.0.7/live/trackID=0 "), "{asked}");
    answer(&mut conversation, "RTSP/1.0 200 OK\r\nSession: 5\r\n\r\n");
    ask(&mut conversation, &format!("PLAY {OWN}/1 RTSP/1.0\r\nCSeq: 3\r\nRange: npt=0.000-\r\n\r\n"));
    let asked = again(&mut conversation, "RTSP/1.0 457 Invalid Range\r\n\r\n");
    assert_eq!(asked, "PLAY rtsp://10.0.0.7/live/ch0 RTSP/1.0\r\nCSeq: 5\r\nSession: 5\r\n\r\n");
    let asked = again(&mut conversation, "RTSP/1.0 460 Only aggregate operation allowed\r\n\r\n");
    assert!(asked.starts_with("PLAY rtsp://10.0.0.7/live/trackID=0 "), "{asked}");
    let said =
        fault(&mut conversation, "RTSP/1.0 454 Session Not Found\r\n\r\n").say(&NAMED).fault.to_string();
    assert!(said.contains("refused to send its video"), "{said}");
}

#[test]
fn a_session_is_called_what_the_camera_calls_it() {
    for (set_up, played, id) in [
        ("Session: a;timeout=60\r\n", "", Some("a")),
        ("session: a\r\n", "Session: b\r\n", Some("b")),
        ("", "Session:  c ;x\r\n", Some("c")),
        ("Session:\r\n", "", None),
    ] {
        let mut conversation = playing("", set_up, played);
        let asked = String::from_utf8(conversation.farewell().unwrap()).unwrap();
        let seen = asked.lines().find_map(|line| line.strip_prefix("Session: "));
        assert_eq!(seen, id, "{set_up:?} {played:?}");
        assert!(asked.starts_with("TEARDOWN rtsp://10.0.0.7/1 "), "{asked}");
    }
}

#[test]
fn no_answer_to_a_keepalive_ends_a_session() {
    let mut conversation = playing("", "Session: 5;timeout=10\r\n", "");
    let method = |conversation: &mut Conversation| {
        let asked = String::from_utf8(conversation.keepalive().unwrap()).unwrap();
        assert!(
            asked.contains(" rtsp://10.0.0.7/1 RTSP/1.0\r\n") && asked.contains("\r\nSession: 5\r\n"),
            "{asked}"
        );
        asked.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(method(&mut conversation), "OPTIONS");
    let idle = |conversation: &mut Conversation, text: &str| {
        let (head, body) = head(text);
        assert_eq!(conversation.answered(&head, &body).unwrap(), Answered::Idle, "{text}");
        assert!(conversation.is_playing());
    };
    idle(&mut conversation, "RTSP/1.0 200 OK\r\nPublic: OPTIONS, GET_PARAMETER\r\n\r\n");
    assert_eq!(method(&mut conversation), "GET_PARAMETER");
    // Tapo (retina 133).
    idle(&mut conversation, "RTSP/1.0 400 Bad Request\r\nCSeq: 1\r\n\r\n");
    assert_eq!(method(&mut conversation), "OPTIONS");
    // Not answered at all.
    assert_eq!(method(&mut conversation), "SET_PARAMETER");
    idle(&mut conversation, "RTSP/1.0 454 Session Not Found\r\n\r\n");
    idle(&mut conversation, "RTSP/1.0 302 Moved\r\n\r\n");
    idle(&mut conversation, "RTSP/1.0 999 x\r\n\r\n");
}

#[test]
fn a_keepalive_waits_for_what_is_under_way() {
    let mut conversation = conversation(None);
    assert_eq!(conversation.keepalive(), None, "there is no session");
    let mut conversation = playing("", "", "");
    conversation.farewell();
    assert_eq!(conversation.keepalive(), None);
}

#[test]
fn a_nonce_that_ends_between_keepalives_is_exchanged() {
    // Axis (SharpRTSP 126).
    let mut conversation = playing("", "Session: 5\r\n", "");
    let password = crate::config::Secret::new("opens-the-gate".to_owned());
    conversation.login =
        Login::new(Some(crate::config::Credentials { username: "cam".to_owned(), password }));
    for nonce in ["one", "two", "three"] {
        conversation.keepalive().unwrap();
        let challenge = format!(
            "RTSP/1.0 401 x\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"{nonce}\", stale=TRUE\r\n\r\n"
        );
        let asked = again(&mut conversation, &challenge);
        assert!(asked.starts_with("OPTIONS ") && asked.contains(&format!("nonce=\"{nonce}\"")), "{asked}");
        let (head, body) = head("RTSP/1.0 200 OK\r\n\r\n");
        assert_eq!(conversation.answered(&head, &body).unwrap(), Answered::Idle);
    }
}

#[test]
fn who_closes_when_told_a_password_is_asked_again_after_minutes() {
    let closed = |conversation: &Conversation| {
        let said = conversation.closed().say(&NAMED);
        (said.is_refusal, said.fault.to_string().contains("user name"))
    };
    let password = crate::config::Secret::new("opens-the-gate".to_owned());
    let credentials = crate::config::Credentials { username: "cam".to_owned(), password };
    let addresses = || Addresses { own: OWN.to_owned(), camera: "rtsp://10.0.0.7".to_owned() };
    let mut conversation = Conversation::new(addresses(), Login::new(Some(credentials)), None);
    assert_eq!(closed(&conversation), (false, false));
    ask(&mut conversation, &format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    assert_eq!(closed(&conversation), (false, false), "full, or starting");
    again(&mut conversation, "RTSP/1.0 401 x\r\nWWW-Authenticate: Basic realm=\"r\"\r\n\r\n");
    assert_eq!(closed(&conversation), (true, true));
    answer(&mut conversation, &with_body("", VIDEO));
    ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    assert_eq!(closed(&conversation), (false, false), "the password was right");
    let habits = conversation.habits(None);
    assert!(habits.has_let_in);
}

#[test]
fn what_cannot_be_used_is_told() {
    for (text, parts) in [
        (with_body("", ""), ["offers nothing at this path", "CAMERA_3_RTSP"]),
        (with_body("", "m=audio 0 RTP/AVP 0\r\n"), ["only sound", "CAMERA_3_RTSP"]),
        (
            with_body("", "m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\n"),
            ["sends MP4V-ES (MPEG-4)", "H.264"],
        ),
        (with_body("", "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H266/90000\r\n"), ["sends H.266", "H.264"]),
        (with_body("Content-Type: text/html\r\n", "x"), ["web page", "CAMERA_3_RTSP"]),
        (with_body("", " <!DOCTYPE html>"), ["web page", "CAMERA_3_RTSP"]),
        ("RTSP/1.0 401 x\r\n\r\n".to_owned(), ["wants a user name", "CAMERA_3_USERNAME"]),
        ("RTSP/1.0 404 x\r\n\r\n".to_owned(), ["no stream at rtsp://10.0.0.7/1", "CAMERA_3_RTSP"]),
        ("RTSP/1.0 503 x\r\n\r\n".to_owned(), ["starting or busy", "asked again"]),
    ] {
        let mut conversation = conversation(None);
        ask(&mut conversation, &format!("DESCRIBE {OWN}/1 RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let said = fault(&mut conversation, &text).say(&NAMED).fault.to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{text:?}: {said}");
    }
    for (udp_port, transport, part) in [
        (None, "RTP/AVP;unicast;client_port=1-2;server_port=3-4", "CAMERA_3_TRANSPORT to udp"),
        (Some(6970), "RTP/AVP;multicast;destination=239.0.0.1;port=1-2", "multicast"),
    ] {
        let mut conversation = conversation(udp_port);
        ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let said = fault(&mut conversation, &format!("RTSP/1.0 200 OK\r\nTransport: {transport}\r\n\r\n"));
        let said = said.say(&NAMED).fault.to_string();
        assert!(said.contains(part), "{said}");
    }
    assert!(FrontFault::NoDatagrams.say(&NAMED).fault.to_string().contains("CAMERA_3_TRANSPORT to tcp"));
}

#[test]
fn channels_are_those_asked_for_unless_the_camera_says_others() {
    for (said, expected) in [
        ("Transport: RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=0x6f7c\r\n", 2),
        ("Transport: RTP/AVP/TCP;unicast\r\n", 0),
        ("", 0),
    ] {
        let mut conversation = conversation(None);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
        ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n"));
        let heard = answer(&mut conversation, &format!("RTSP/1.0 200 OK\r\nSession: 5; x=y\r\n{said}\r\n"));
        assert!(heard.contains("\r\nSession: 1\r\n"), "{heard}");
        let transport = format!("Transport: RTP/AVP/TCP;unicast;interleaved={expected}-{}\r\n", expected + 1);
        assert!(heard.contains(&transport), "{heard}");
        assert_eq!(conversation.channel(), None, "nothing is asked for yet");
        ask(&mut conversation, &format!("PLAY {OWN} RTSP/1.0\r\nCSeq: 2\r\n\r\n"));
        assert_eq!(conversation.channel(), Some(expected), "video may come before the answer");
        answer(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
        assert_eq!(conversation.channel(), Some(expected));
    }
}

#[test]
fn datagrams_are_the_fronts_own_affair() {
    let mut conversation = conversation(Some(6970));
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1";
    let asked = ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 1\r\n{transport}\r\n\r\n"));
    assert!(asked.contains("Transport: RTP/AVP/UDP;unicast;client_port=6970-6971\r\n"), "{asked}");
    let said = "RTSP/1.0 200 OK\r\nSession: 5\r\nTransport: RTP/AVP;client_port=6970-6971;server_port=7000-7001\r\n\r\n";
    let heard = answer(&mut conversation, said);
    assert!(heard.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"), "{heard}");
    assert_eq!(conversation.datagrams(), Some(Datagrams { source: None, port: Some(7000) }));
    // Who sends over the connection all the same.
    ask(&mut conversation, &format!("SETUP {OWN} RTSP/1.0\r\nCSeq: 2\r\n{transport}\r\n\r\n"));
    let said = "RTSP/1.0 200 OK\r\nTransport: RTP/AVP/TCP;interleaved=4-5\r\n\r\n";
    let heard = answer(&mut conversation, said);
    assert!(heard.contains("interleaved=4-5\r\n"), "{heard}");
    assert_eq!(conversation.datagrams(), None);
}

#[test]
fn what_nobody_asked_for_is_heard_by_nobody() {
    let mut conversation = conversation(None);
    let idle = |conversation: &mut Conversation, text| {
        let (head, body) = head(text);
        assert_eq!(conversation.answered(&head, &body).unwrap(), Answered::Idle, "{text}");
    };
    idle(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
    ask(&mut conversation, &format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
    idle(&mut conversation, "RTSP/1.0 100 Continue\r\n\r\n");
    fault(&mut conversation, "RTSP/1.0 404 Not Found\r\n\r\n");
    idle(&mut conversation, "RTSP/1.0 200 OK\r\n\r\n");
    let (question, _) = head("OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\n");
    assert_eq!(Conversation::asked(&question), b"RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n");
}

#[test]
fn where_a_camera_sends_us_and_what_nobody_knows_are_told_at_once() {
    let fault = |text| {
        let mut conversation = conversation(None);
        ask(&mut conversation, &format!("DESCRIBE {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let (head, body) = head(text);
        conversation.answered(&head, &body).unwrap_err()
    };
    let said = fault("RTSP/1.0 302 Moved\r\nLocation: rtsp://u:secret@10.0.0.8/x\x1b[31m\r\n\r\n")
        .say(&NAMED)
        .fault
        .to_string();
    assert!(said.contains("rtsp://10.0.0.8/x") && said.contains("CAMERA_3_RTSP"), "{said}");
    assert!(!said.contains("secret") && !said.contains('\x1b'), "{said}");
    assert!(fault("RTSP/1.0 301\r\n\r\n").say(&NAMED).fault.to_string().contains("does not say where"));
    assert!(fault("RTSP/1.0 999 x\r\n\r\n").say(&NAMED).fault.to_string().contains("status 999"));
}

#[test]
fn a_session_is_ended_once_it_was_made() {
    assert_eq!(conversation(None).farewell(), None);
    let mut conversation = playing("", "Session: 5;timeout=60\r\n", "");
    let farewell = String::from_utf8(conversation.farewell().unwrap()).unwrap();
    assert_eq!(farewell, "TEARDOWN rtsp://10.0.0.7/1 RTSP/1.0\r\nCSeq: 4\r\nSession: 5\r\n\r\n");
    conversation.forget();
    assert_eq!(conversation.farewell(), None);
}

proptest! {
    /// Whatever a camera answers, the library reads one message and nothing after it.
    #[test]
    fn every_answer_is_one_message(
        status in 100_u16..600, reason in "\\PC{0,20}",
        headers in prop::collection::vec(("(Session|Transport|Content-Base|RTP-Info|X)", "\\PC{0,40}"), 0..6),
        body in prop::collection::vec(any::<u8>(), 0..60), method in "(DESCRIBE|SETUP|PLAY|OPTIONS)",
        udp_port in prop::option::of(1000_u16..60_000),
    ) {
        let mut conversation = conversation(udp_port);
        ask(&mut conversation, &format!("{method} {OWN} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let answer = MessageHead { start: Start::Response { status, reason }, headers };
        if let Ok(Answered::Passed(bytes)) = conversation.answered(&answer, &body) {
            let mut reader = WireReader::default();
            reader.room()[..bytes.len()].copy_from_slice(&bytes);
            reader.add(bytes.len());
            prop_assert!(matches!(reader.event(), Ok(Some(WireEvent::Message(..)))));
            prop_assert_eq!(reader.event(), Ok(None));
            prop_assert!(!reader.is_inside_message());
        }
    }
}
