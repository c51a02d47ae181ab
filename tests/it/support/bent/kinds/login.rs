//! Log-ins.

use std::time::Duration;

use super::super::conversation::DIGEST;
use super::super::{Bend, Expect, Login, PLAIN};

const WWW: &str = "WWW-Authenticate";

pub(crate) static LOGINS: &[Bend] = &[
    Bend {
        name: "Basic first, then Digest with two qualities",
        report: "ExoPlayer 9800 (Hikvision)",
        login: Some(Login {
            challenges: &[
                (WWW, "Basic realm=\"Embedded Net DVR\""),
                (
                    WWW,
                    "Digest realm=\"Embedded Net DVR\", nonce=\"NONCE\", qop=\"auth,auth-int\", opaque=\"\", stale=\"FALSE\"",
                ),
            ],
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "only auth-int",
        report: "RFC 7616 3.4.3; ExoPlayer 9800, its kind",
        login: Some(Login {
            challenges: &[(WWW, "Digest realm=\"x\", nonce=\"NONCE\", qop=\"auth-int\", algorithm=MD5")],
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "two challenges in one header",
        report: "RFC 7235 4.1",
        login: Some(Login {
            challenges: &[(
                WWW,
                "Digest realm=\"a, b\", nonce=\"NONCE\", algorithm=\"MD5\", Basic realm=\"a, b\"",
            )],
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "SHA-256 first, then MD5",
        report: "RFC 7616 3.7; ONVIF Core 5.9.3",
        login: Some(Login {
            challenges: &[
                (WWW, "Digest realm=\"x\", nonce=\"NONCE\", qop=\"auth\", algorithm=SHA-256"),
                (WWW, "Digest realm=\"x\", nonce=\"NONCE\", qop=\"auth\", algorithm=MD5"),
            ],
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "a nonce for each request",
        report: "RFC 7616 3.3: one-time nonces",
        login: Some(Login {
            challenges: &[(
                WWW,
                "Digest realm=\"x\", nonce=\"NONCE\", stale=true, opaque=\"5ccc\", qop=\"auth\"",
            )],
            uses: 1,
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "a nonce that ends while it plays",
        report: "SharpRTSP 126 (Axis M5525)",
        login: Some(Login {
            challenges: &[(WWW, "Digest realm=\"AXIS_ACCC8E\", nonce=\"NONCE\", stale=TRUE")],
            lives: Duration::from_secs(3),
            ..DIGEST
        }),
        answer: |_, answer, _| answer.change("Session", |value| value.replace("=60", "=10")),
        dies: Some(Duration::from_secs(9)),
        lasts: Duration::from_secs(16),
        ..PLAIN
    },
    Bend {
        name: "no quotes, a comma at the end",
        report: "hand-written firmware",
        login: Some(Login {
            challenges: &[(WWW, "Digest realm=\"Login to 3J0\",nonce=NONCE,stale=FALSE,")],
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "small letters, and blanks around the signs",
        report: "RFC 7235 2.1: schemes are written in any case",
        login: Some(Login {
            challenges: &[("www-authenticate", "digest realm = \"x\" , nonce = \"NONCE\"")],
            ..DIGEST
        }),
        ..PLAIN
    },
    Bend {
        name: "signs of every kind in the password",
        report: "frigate 4257; go2rtc 602, 1032, 1208",
        login: Some(Login { user: "gate user", password: "p@s:s/w#o%41$&+ x", ..DIGEST }),
        ..PLAIN
    },
    Bend {
        name: "Basic, a realm with a quote in it",
        report: "RFC 7235 2.2: quoted-string",
        login: Some(Login { challenges: &[(WWW, "Basic realm=\"the \\\"gate\\\", north\"")], ..DIGEST }),
        ..PLAIN
    },
    Bend {
        name: "asks for a log-in only at SETUP",
        report: "servers that give the description to everybody",
        // A login is asked for by the camera's answer, so that the description stays open.
        answer: |request, answer, _| {
            if request.method == "SETUP" && request.header("authorization").is_empty() {
                answer.refuse("401 Unauthorized");
                answer.set(WWW, "Basic realm=\"x\"");
            }
        },
        settings: &[("USERNAME", "admin"), ("PASSWORD", "abc123")],
        ..PLAIN
    },
    Bend {
        name: "refuses without a challenge",
        report: "camera firmware",
        login: Some(Login { challenges: &[], ..DIGEST }),
        expect: Expect::Words(&["password|log-in", "CAMERA_"]),
        ..PLAIN
    },
    Bend {
        name: "another password",
        report: "the commonest mistake",
        login: Some(DIGEST),
        settings: &[("PASSWORD", "abc124")],
        expect: Expect::Words(&["password", "_PASSWORD"]),
        ..PLAIN
    },
    Bend {
        name: "hangs up at another password",
        report: "firmware that closes without a word",
        login: Some(Login { hangs_up: true, ..DIGEST }),
        settings: &[("PASSWORD", "abc124")],
        expect: Expect::Words(&["password"]),
        ..PLAIN
    },
];
