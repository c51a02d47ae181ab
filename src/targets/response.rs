//! What an HTTP answer means for an upload. Pure.

use std::time::Duration;

use super::{TargetError, text, verdict};
use crate::config::{TargetSettings, words_of};
use crate::model::{TargetId, UnixMs, UploadFault, secrets::Secrets};

/// Longest wait that a target may ask for; a typing error there must not stop deliveries for days.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// Of the target's words this much is kept.
const WORDS_MAX: usize = 200;

/// Which variables the words about a target name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub address: String,
    /// What it is shown to let us in.
    pub login: String,
}

impl Settings {
    /// Those of this target, by its own names.
    pub fn of(target: TargetId) -> Self {
        let kind = TargetSettings::variables(target.kind());
        Self { address: words_of(target, kind.address), login: words_of(target, kind.login) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::of(TargetId::API)
    }
}

/// An answer, as far as it matters.
#[derive(Clone, Debug, Default)]
pub struct TargetAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// `Location`, as sent.
    pub location: Option<String>,
    /// Start of the body.
    pub body: String,
    /// What to look at when it refuses.
    pub settings: Settings,
    /// What stands in none of its words.
    pub secrets: Secrets,
}

impl TargetAnswer {
    /// Judges the answer: delivered, or why not.
    pub fn judge(&self, now: UnixMs) -> Result<(), TargetError> {
        let status = self.status;
        let fault = || self.fault();
        match status {
            200..=299 if self.is_web_page() => Err(TargetError::Misconfigured {
                fault: UploadFault::WebPage { status, words: self.said(), rule: None },
            }),
            200..=299 => Ok(()),
            300..=399 => Err(TargetError::Misconfigured {
                fault: UploadFault::Redirected {
                    status,
                    to: self.location.as_deref().map(|to| self.words(without_query(to))),
                    setting: self.settings.address.clone(),
                },
            }),
            400 | 413 | 415 | 422 => Err(TargetError::Rejected { fault: fault(), is_final: status != 400 }),
            408 | 425 | 429 | 500..=599 => Err(TargetError::Busy {
                fault: fault(),
                retry_after: self.retry_after.as_deref().and_then(|t| wait(t, now)),
            }),
            _ => Err(TargetError::Misconfigured { fault: fault() }),
        }
    }

    /// The same of a server that somebody wrote for such pictures: a success may say in its body that the picture was not
    /// taken, a conflict that it was taken before, and a refusal may be of this picture alone, as those of firewalls are.
    pub fn judge_with_body(&self, now: UnixMs) -> Result<(), TargetError> {
        match self.judge(now) {
            Err(TargetError::Misconfigured { .. }) if matches!(self.status, 409 | 412) && self.has_it() => {
                Ok(())
            }
            Err(TargetError::Misconfigured { fault })
                if (400..500).contains(&self.status) && !matches!(self.status, 401 | 407) =>
            {
                Err(TargetError::Doubtful { fault })
            }
            Err(error) => Err(error),
            Ok(()) => match verdict::refusal(&self.body) {
                None => Ok(()),
                Some(no) => Err(TargetError::Rejected {
                    fault: UploadFault::NotTaken {
                        status: self.status,
                        words: self.words(&text::without_markup(&no)),
                    },
                    is_final: false,
                }),
            },
        }
    }

    /// Whether the words say that the picture is there already, because an earlier answer was lost. Whole phrases only: what
    /// is taken for a delivery is not sent again.
    pub(super) fn has_it(&self) -> bool {
        const HAS_IT: [&str; 14] = [
            "already exist",
            "already upload",
            "already been upload",
            "already receiv",
            "already been receiv",
            "already stored",
            "already have th",
            "file exists",
            "image exists",
            "photo exists",
            "duplicate file",
            "duplicate image",
            "duplicate photo",
            "duplicate upload",
        ];
        const NOT: [&str; 8] =
            ["no such", "not ", "n't ", "never", "missing", "progress", "deleted", "camera already"];
        let words = self.body.to_lowercase();
        HAS_IT.iter().any(|phrase| words.contains(phrase)) && !NOT.iter().any(|word| words.contains(word))
    }

    /// A server's words, fit for a log line and a table cell.
    pub(super) fn words(&self, text: &str) -> String {
        self.secrets.words(text, WORDS_MAX)
    }

    /// Success in an answer that calls itself HTML; whether it is a page only its body tells.
    pub(super) fn is_success_in_html(&self) -> bool {
        (200..300).contains(&self.status) && self.content_type.to_ascii_lowercase().contains("html")
    }

    /// An HTML page: by its look, and for fragments by its type too. The type alone does not tell, because plain answers
    /// are often labelled `text/html` by accident; nor must a page have a type, for hasty portals send none. Comments and
    /// what XML begins with may stand in front.
    pub(super) fn is_web_page(&self) -> bool {
        let mut start = self.body.as_str();
        loop {
            start = start.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let behind = match start {
                comment if comment.starts_with("<!--") => comment.split_once("-->"),
                prolog if prolog.starts_with("<?xml") => prolog.split_once("?>"),
                _ => break,
            };
            start = behind.map_or("", |(_, behind)| behind);
        }
        let begin: String = start.chars().take(20).collect::<String>().to_ascii_lowercase();
        let is_page = ["<html", "<!doctype html", "<head", "<body", "<title", "<meta", "<script", "<center"];
        is_page.iter().any(|page| begin.starts_with(page))
            || (self.is_success_in_html() && start.starts_with('<') && !verdict::is_of_php(start))
    }

    /// The words of its body.
    fn said(&self) -> String {
        self.words(&text::without_markup(&self.body))
    }

    /// What its status says.
    fn fault(&self) -> UploadFault {
        let (status, words) = (self.status, self.said());
        match status {
            401 | 403 | 407 => {
                UploadFault::LoginRefused { status, words, setting: self.settings.login.clone() }
            }
            404 | 405 => UploadFault::PathRefused { status, words, setting: self.settings.address.clone() },
            _ => UploadFault::Answered { status, words },
        }
    }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds or a date.
pub(super) fn wait(text: &str, now: UnixMs) -> Option<Duration> {
    let wait = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at =
                httpdate::parse_http_date(text.trim()).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            at.saturating_sub(Duration::from_millis(u64::try_from(now.0).ok()?))
        }
    };
    Some(wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX))
}

/// Queries of redirects may carry tokens.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetKind;
    use proptest::prelude::*;

    fn answer(status: u16) -> TargetAnswer {
        TargetAnswer { status, body: "no".to_owned(), ..TargetAnswer::default() }
    }

    #[test]
    fn what_a_second_target_says_names_its_own_variables() {
        let second = TargetId::new(TargetKind::Api, 2).unwrap();
        let answer = TargetAnswer { settings: Settings::of(second), ..answer(401) };
        let Err(TargetError::Misconfigured { fault }) = answer.judge(UnixMs(0)) else {
            panic!("a log-in that is refused is no delivery")
        };
        let UploadFault::LoginRefused { setting, .. } = &fault else { panic!("{fault}") };
        assert_eq!(setting, "API_2_UPLOAD_HEADERS and the credentials in API_2_URL");
    }

    #[test]
    fn every_status_is_blamed_on_the_right_side() {
        for status in [200, 201, 202, 204] {
            assert_eq!(answer(status).judge(UnixMs(0)), Ok(()), "{status}");
        }
        for status in [400, 413, 415, 422] {
            let judged = answer(status).judge(UnixMs(0));
            assert!(
                matches!(judged, Err(TargetError::Rejected { is_final, .. }) if is_final == (status != 400)),
                "{status}"
            );
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 507] {
            assert!(matches!(answer(status).judge(UnixMs(0)), Err(TargetError::Busy { .. })), "{status}");
        }
        for status in [301, 302, 307, 308, 401, 403, 404, 405, 407, 409, 418] {
            assert!(
                matches!(answer(status).judge(UnixMs(0)), Err(TargetError::Misconfigured { .. })),
                "{status}"
            );
        }
    }

    #[test]
    fn a_captive_portal_is_not_a_delivery_but_a_mislabelled_ok_is() {
        let page = |body: &str| TargetAnswer {
            status: 200,
            content_type: "text/html; charset=utf-8".to_owned(),
            body: body.to_owned(),
            ..TargetAnswer::default()
        };
        assert!(page("<!DOCTYPE html><title>Log in to the hotel</title>").judge(UnixMs(0)).is_err());
        assert!(page("  <HTML><body>Welcome</body></HTML>").judge(UnixMs(0)).is_err());
        assert_eq!(page("ok").judge(UnixMs(0)), Ok(()));
    }

    #[test]
    fn a_page_is_a_page_behind_comments_too() {
        for body in [
            "<!-- v2 -->\n<html>log in",
            "\u{feff}<!DOCTYPE HTML>",
            "<?xml version=\"1.0\"?><!DOCTYPE html><html>",
            "<head><title>x",
        ] {
            let judged = TargetAnswer { status: 200, body: body.to_owned(), ..TargetAnswer::default() }
                .judge(UnixMs(0));
            assert!(matches!(judged, Err(TargetError::Misconfigured { .. })), "{body}");
        }
    }

    #[test]
    fn a_success_that_says_no_in_its_body_is_a_refusal_in_the_servers_words() {
        let said = |body: &str| {
            TargetAnswer { status: 200, body: body.to_owned(), ..TargetAnswer::default() }
                .judge_with_body(UnixMs(0))
        };
        assert_eq!(said("{\"success\":true}"), Ok(()));
        let Err(TargetError::Rejected { fault, is_final: false }) =
            said("{\"success\":false,\"message\":\"disk full\"}")
        else {
            panic!("taken");
        };
        assert_eq!(fault.to_string(), "answered 200, but did not take the picture: disk full");
    }

    #[test]
    fn what_may_be_the_pictures_own_fault_is_in_doubt_and_what_is_there_already_is_delivered() {
        let said = |status: u16, body: &str| {
            TargetAnswer { status, body: body.to_owned(), ..TargetAnswer::default() }
                .judge_with_body(UnixMs(0))
        };
        for status in [402, 403, 404, 405, 406, 409, 410, 411, 412, 418, 423, 428, 431, 451, 499] {
            assert!(matches!(said(status, "no"), Err(TargetError::Doubtful { .. })), "{status}");
        }
        for status in [401, 407, 302, 600] {
            assert!(matches!(said(status, "no"), Err(TargetError::Misconfigured { .. })), "{status}");
        }
        for words in
            ["file already exists", "{\"error\":\"DUPLICATE FILE\"}", "already been uploaded", "File exists"]
        {
            assert_eq!((said(409, words), said(412, words)), (Ok(()), Ok(())), "{words}");
            assert!(said(403, words).is_err());
        }
        for words in [
            "",
            "conflict",
            "this camera does not exist",
            "upload already in progress",
            "camera already deleted",
            "quota already used up",
            "no such camera exists",
            "nonexistent album",
            "Ordner existiert nicht",
            "l'album n'existe pas",
            "the file already exists but is not complete",
        ] {
            assert!(said(409, words).is_err(), "{words}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_date_and_bounded() {
        let now = UnixMs(784_111_777_000);
        let asked = |text: &str| {
            let answer = TargetAnswer { retry_after: Some(text.to_owned()), ..answer(429) };
            match answer.judge(now) {
                Err(TargetError::Busy { retry_after, .. }) => retry_after.map(|wait| wait.as_secs()),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked("Sun, 06 Nov 1994 08:51:37 GMT"), Some(120));
        assert_eq!(asked("0"), Some(1));
        assert_eq!(asked("999999"), Some(3600));
        assert_eq!(asked("soon"), None);
    }

    #[test]
    fn the_words_of_a_redirect_leave_out_its_query() {
        let answer = TargetAnswer {
            location: Some("https://x.example/login?token=hunter2".to_owned()),
            ..answer(302)
        };
        let text = answer.judge(UnixMs(0)).unwrap_err().to_string();
        assert!(text.contains("https://x.example/login;") && !text.contains("hunter2"), "{text}");
    }

    proptest! {
        #[test]
        fn any_answer_is_judged_without_panic(status: u16, body in ".{0,400}", after in ".{0,40}", kind in ".{0,20}") {
            let answer = TargetAnswer { status, body, retry_after: Some(after), content_type: kind, ..TargetAnswer::default() };
            if let Err(error) = answer.judge(UnixMs(1)) {
                prop_assert!(error.to_string().chars().all(|c| !c.is_control()));
            }
        }
    }
}
