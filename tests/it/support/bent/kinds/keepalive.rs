//! Keepalives: the time-out is ten seconds, so one is sent every few.

use std::time::Duration;

use super::super::{Answer, Bend, Memory, PLAIN, Request};

/// Two keepalives, and the time-out after one that was not good.
const LONG: Duration = Duration::from_secs(17);

fn soon(answer: &mut Answer) {
    answer.change("Session", |value| value.replace("=60", "=10"));
}

fn is_only_setup_offered(request: &Request, answer: &mut Answer) {
    if request.method == "OPTIONS" {
        answer.change("Public", |_| "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, SET_PARAMETER".to_owned());
    }
}

fn refused(request: &Request, answer: &mut Answer, _: &mut Memory, status: &str) {
    soon(answer);
    if request.is_keepalive() {
        answer.refuse(status);
    }
}

const KEPT: Bend = Bend { settles: Duration::from_secs(1), lasts: LONG, ..PLAIN };

pub(crate) static KEEPALIVES: &[Bend] = &[
    Bend {
        name: "a keepalive is a bad request, misnumbered",
        report: "retina 133, 136; moonfire-nvr 342 (Tapo)",
        answer: |request, answer, memory| {
            is_only_setup_offered(request, answer);
            if request.is_keepalive() {
                answer.number = answer.number.take().map(|n| (n.parse::<u64>().unwrap_or(1) - 1).to_string());
            }
            refused(request, answer, memory, "400 Bad Request");
        },
        ..KEPT
    },
    Bend {
        name: "a keepalive is for no session",
        report: "thingino 490",
        answer: |request, answer, memory| refused(request, answer, memory, "454 Session Not Found"),
        ..KEPT
    },
    Bend {
        name: "a keepalive is not known",
        report: "RFC 2326 10: GET_PARAMETER is optional",
        answer: |request, answer, memory| refused(request, answer, memory, "501 Not Implemented"),
        ..KEPT
    },
    Bend {
        name: "a keepalive is not answered",
        report: "moonfire-nvr 342, its kind",
        answer: |request, answer, _| {
            soon(answer);
            answer.is_withheld = request.is_keepalive();
        },
        ..KEPT
    },
    Bend {
        name: "a keepalive is answered three times",
        report: "firmware that answers per track",
        answer: |request, answer, _| {
            soon(answer);
            if request.is_keepalive() {
                answer.before = answer.bytes().repeat(2);
            }
        },
        ..KEPT
    },
    Bend {
        name: "a keepalive is answered with a text, without a number",
        report: "firmware that answers with its parameters",
        answer: |request, answer, _| {
            soon(answer);
            if request.is_keepalive() {
                answer.number = None;
                answer.body = "packets_received\r\njitter\r\n".to_owned();
            }
        },
        ..KEPT
    },
    Bend {
        name: "only OPTIONS keeps it alive",
        report: "cameras that refuse GET_PARAMETER and count OPTIONS",
        answer: |request, answer, memory| {
            soon(answer);
            if request.is_keepalive() && request.method != "OPTIONS" {
                refused(request, answer, memory, "405 Method Not Allowed");
            }
        },
        dies: Some(Duration::from_secs(14)),
        ..KEPT
    },
    Bend {
        name: "a time-out that is no number",
        report: "rtsp-types PR 14, its kind",
        answer: |_, answer, _| answer.change("Session", |value| value.replace("=60", "=soon;x")),
        ..KEPT
    },
    Bend {
        name: "a time-out of none",
        report: "firmware that knows no time-out",
        answer: |_, answer, _| answer.change("Session", |value| value.replace("=60", "=0")),
        ..KEPT
    },
];
