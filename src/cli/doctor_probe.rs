//! `--test-capture`: what an RTSP camera says when it is asked for its description, beside the session that takes the
//! picture: the kind of log-in, and what else it offers.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::config::RtspConfig;
use crate::model::secrets::Secrets;
use crate::source::front;
use crate::source::front::login::Login;
use crate::source::front::message::{MessageHead, Start};

/// How long a question may take.
const PROBE_LIMIT: Duration = Duration::from_secs(3);

/// Longest answer that is read.
const ANSWER_MAX: usize = 64 << 10;

/// Longest name of a medium, characters.
const NAME_MAX: usize = 40;

/// Names of media that are told.
const MEDIA_MAX: usize = 8;

/// An answer to `DESCRIBE`.
struct Answer {
    head: MessageHead,
    body: String,
}

/// What was found out by asking.
pub(super) struct ProbeFindings {
    /// The kinds of log-in, for people.
    pub(super) authentication: String,
    /// What the camera offers, such as `video (H264)`; empty where it did not tell.
    pub(super) offers: Vec<String>,
}

/// Asks without a log-in, which locks no account.
pub(super) async fn ask(config: &RtspConfig) -> ProbeFindings {
    match timeout(PROBE_LIMIT, describe(config, false)).await {
        Ok(Some(answer)) => {
            ProbeFindings { authentication: schemes(&answer.head), offers: offers(&answer, config) }
        }
        Ok(None) | Err(_) => ProbeFindings {
            authentication: "unknown, the camera did not answer the question".to_owned(),
            offers: Vec::new(),
        },
    }
}

/// What a camera offers that wants a log-in; asked once a session has shown that it is right.
pub(super) async fn ask_again(config: &RtspConfig) -> Vec<String> {
    let answer = timeout(PROBE_LIMIT, describe(config, true)).await.ok().flatten();
    answer.map(|answer| offers(&answer, config)).unwrap_or_default()
}

async fn describe(config: &RtspConfig, has_login: bool) -> Option<Answer> {
    let mut stream = front::dial(config).await?;
    let mut login = Login::new(config.credentials.clone().filter(|_| has_login));
    for number in 1..=3 {
        let url = config.url.as_str();
        let proof = login.authorization("DESCRIBE", url);
        let proof = proof.map(|proof| format!("Authorization: {proof}\r\n")).unwrap_or_default();
        let question =
            format!("DESCRIBE {url} RTSP/1.0\r\nCSeq: {number}\r\nAccept: application/sdp\r\n{proof}\r\n");
        stream.write_all(question.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
        let answer = read(&mut stream).await?;
        let is_refused = matches!(answer.head.start, Start::Response { status: 401, .. });
        if !is_refused || !login.challenged(&answer.head) {
            return Some(answer);
        }
    }
    None
}

/// Reads one answer, or what of it came before the connection was closed.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut bytes = Vec::new();
    loop {
        let is_closed = stream.read_buf(&mut bytes).await.ok()? == 0;
        let text = String::from_utf8_lossy(&bytes);
        let split = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n"));
        let Some((head, body)) = split.filter(|_| !is_closed || !bytes.is_empty()) else {
            if is_closed || bytes.len() > ANSWER_MAX {
                return None;
            }
            continue;
        };
        let mut lines = head.lines();
        let mut head = MessageHead { start: Start::parse(lines.next()?.trim()).ok()?, headers: Vec::new() };
        lines.for_each(|line| head.take_line(line));
        let length: usize = head.get("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if body.len() >= length || is_closed || bytes.len() > ANSWER_MAX {
            return Some(Answer { head, body: body.to_owned() });
        }
    }
}

/// The kinds of log-in of an answer (RFC 2326 section 12.44).
fn schemes(head: &MessageHead) -> String {
    let offered: Vec<String> = head
        .all("WWW-Authenticate")
        .map(|value| {
            let scheme = value.split_whitespace().next().unwrap_or("?").to_lowercase();
            let algorithm = value.to_lowercase().split("algorithm=").nth(1).map(|rest| {
                rest.trim_start_matches('"').split(['"', ',', ' ']).next().unwrap_or_default().to_owned()
            });
            match (scheme.as_str(), algorithm) {
                ("digest", Some(algorithm)) => format!("digest ({algorithm})"),
                ("digest", None) => "digest (md5)".to_owned(),
                _ => scheme,
            }
        })
        .collect();
    let is_refused = matches!(head.start, Start::Response { status: 401, .. });
    match (offered.is_empty(), is_refused) {
        (false, _) => offered.join(", "),
        (true, true) => "wanted, of an unnamed kind".to_owned(),
        (true, false) => "none, everyone on the network can watch".to_owned(),
    }
}

/// The media of a session description (RFC 8866 section 5.14), with the names of their formats.
fn offers(answer: &Answer, config: &RtspConfig) -> Vec<String> {
    let secrets = Secrets::of_url(&config.url);
    let secrets = match &config.credentials {
        Some(login) => secrets.with_login(&login.username, login.password.reveal()),
        None => secrets,
    };
    let mut media: Vec<(String, String)> = Vec::new();
    for line in answer.body.lines().map(str::trim) {
        if let Some(medium) = line.strip_prefix("m=") {
            let mut words = medium.split_whitespace();
            let kind =
                if medium.starts_with("audio") { "sound" } else { words.clone().next().unwrap_or("?") };
            // Payload types that need no name (RFC 3551 section 6).
            let format = match words.nth(3) {
                Some("0") => "PCMU",
                Some("8") => "PCMA",
                Some("14") => "MPA",
                Some("26") => "JPEG",
                _ => "",
            };
            media.push((kind.to_owned(), format.to_owned()));
        } else if let Some(map) = line.strip_prefix("a=rtpmap:")
            && let Some((_, format)) = media.last_mut().filter(|(_, format)| format.is_empty())
        {
            let name = map.split_whitespace().nth(1).and_then(|name| name.split('/').next());
            *format = name.unwrap_or_default().to_owned();
        }
    }
    let named = media.into_iter().take(MEDIA_MAX).map(|(kind, format)| {
        let text = if format.is_empty() { kind } else { format!("{kind} ({format})") };
        secrets.words(&text, NAME_MAX)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::config::{Transport, Trust};

    fn head(status: u16, lines: &[&str]) -> MessageHead {
        let mut head =
            MessageHead { start: Start::Response { status, reason: String::new() }, headers: Vec::new() };
        lines.iter().for_each(|line| head.take_line(line));
        head
    }

    #[test]
    fn the_kind_of_authentication_is_named_with_its_algorithm() {
        let head_401 = head(
            401,
            &[
                "WWW-Authenticate: Digest realm=\"x\", nonce=\"y\"",
                "www-authenticate: Digest realm=\"x\", algorithm=SHA-256",
                "WWW-Authenticate: Basic realm=\"x\"",
            ],
        );
        assert_eq!(schemes(&head_401), "digest (md5), digest (sha-256), basic");
        assert_eq!(schemes(&head(200, &[])), "none, everyone on the network can watch");
        assert_eq!(schemes(&head(401, &[])), "wanted, of an unnamed kind");
    }

    #[test]
    fn what_a_camera_offers_is_named_by_its_kind_and_format() {
        let body = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 8\r\n\
                    m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\nm=video 0 RTP/AVP 26\r\n";
        let url = Url::parse("rtsp://cam/live").unwrap();
        let config = RtspConfig { url, credentials: None, transport: Transport::Tcp, trust: Trust::System };
        let answer = Answer { head: head(200, &[]), body: body.to_owned() };
        let expected =
            ["video (H264)", "sound (PCMA)", "application (vnd.onvif.metadata)", "video (JPEG)"].to_vec();
        assert_eq!(offers(&answer, &config), expected);
        let none = Answer { head: head(200, &[]), body: "m=\r\na=rtpmap:\r\n".to_owned() };
        assert_eq!(offers(&none, &config), ["?"]);
    }
}
