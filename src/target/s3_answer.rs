//! What an S3 store's answer means for an upload. Pure.
//!
//! Stores say more in the `Code` of their XML than in the status: a 400 may be about the picture, about a key or about
//! the line between us.

use super::response::Answer;
use super::{TargetError, misconfigured, rejected};
use crate::model::UnixMs;

/// What an error document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: String,
    pub(super) message: String,
    /// Where the bucket is, if it is elsewhere.
    pub(super) region: Option<String>,
    /// What the store's clock shows, RFC 3339.
    pub(super) server_time: Option<String>,
}

impl Said {
    /// Reads the XML of an error as far as it came; anything else says nothing.
    pub(super) fn read(answer: &Answer) -> Self {
        let element = |name| element(answer, name);
        Self {
            code: element("Code").unwrap_or_default(),
            message: element("Message").unwrap_or_default(),
            region: element("Region").filter(|region| !region.is_empty()),
            server_time: element("ServerTime"),
        }
    }
}

/// The text of the first element of this name, in one line.
fn element(answer: &Answer, name: &str) -> Option<String> {
    let (_, rest) = answer.body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    Some(answer.words(&plain.replace("&apos;", "'").replace("&amp;", "&")))
}

/// Judges the answer to a `PUT` of an object: taken, or why not. `bucket_region` is the header of that name.
pub(super) fn judge(answer: &Answer, bucket_region: Option<&str>, now: UnixMs) -> Result<(), TargetError> {
    let said = Said::read(answer);
    if said.code.is_empty() {
        return elsewhere(answer, bucket_region).map_or_else(|| answer.judge(now), Err);
    }
    let status = answer.status;
    let sentence = |hint: &str| {
        let colon = if said.message.is_empty() { "" } else { ": " };
        format!("answered {status} {}{colon}{}{hint}", said.code, said.message)
    };
    let region = said.region.as_deref().or(bucket_region);
    Err(match said.code.as_str() {
        "SignatureDoesNotMatch" => misconfigured(sentence(
            "; check S3_SECRET_ACCESS_KEY, and S3_REGION if the store is strict about it",
        )),
        "InvalidAccessKeyId" | "NotSignedUp" => misconfigured(sentence("; check S3_ACCESS_KEY_ID")),
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            misconfigured(sentence("; check S3_SESSION_TOKEN, temporary keys run out"))
        }
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden" => {
            misconfigured(sentence("; the key must be allowed to put objects into S3_BUCKET (s3:PutObject)"))
        }
        "NoSuchBucket" | "InvalidBucketName" => {
            misconfigured(sentence("; check S3_BUCKET, and S3_STYLE; buckets are not made by this program"))
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "IllegalLocationConstraintException"
        | "InvalidRegion" => misconfigured(sentence(&match region {
            Some(region) => {
                format!("; set S3_REGION={} and the S3_ENDPOINT of that region", answer.words(region))
            }
            None => "; check S3_REGION and S3_ENDPOINT".to_owned(),
        })),
        "RequestTimeTooSkewed" | "RequestExpired" => {
            misconfigured(sentence("; the clock of this machine or of the store is wrong"))
        }
        "EntityTooLarge" | "EntityTooSmall" | "MaxMessageLengthExceeded" => rejected(sentence("")),
        // The line between us: what came is not what was sent.
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody"
        | "RequestTimeout" => TargetError::Broken { message: sentence("") },
        "SlowDown"
        | "ServiceUnavailable"
        | "InternalError"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequests"
        | "RequestLimitExceeded" => {
            let retry_after = match answer.judge(now) {
                Err(TargetError::Busy { retry_after, .. }) => retry_after,
                _ => None,
            };
            TargetError::Busy { message: sentence(""), retry_after }
        }
        // A code that is not known: the status tells whose fault it is, the document tells the words.
        _ => {
            let plain = Answer { body: format!("{}: {}", said.code, said.message), ..answer.clone() };
            match (elsewhere(&plain, bucket_region), plain.judge(now)) {
                (Some(error), _) | (None, Err(error)) => error,
                // An error in a success, as some stores send it when the headers had gone out already.
                (None, Ok(())) => TargetError::Busy { message: sentence(""), retry_after: None },
            }
        }
    })
}

/// A redirect to where the bucket is; told from one to a captive portal by its header.
fn elsewhere(answer: &Answer, bucket_region: Option<&str>) -> Option<TargetError> {
    let region = bucket_region.filter(|_| (300..400).contains(&answer.status))?;
    Some(misconfigured(format!(
        "answered {}: the bucket is in another region; set S3_REGION={} and the S3_ENDPOINT of that region",
        answer.status,
        answer.words(region)
    )))
}

/// Whether an answer may be a refusal of the time of the signature. A query that is signed for another time is mostly
/// refused as forbidden, in words of its own.
pub(super) fn may_be_about_time(answer: &Answer) -> bool {
    matches!(answer.status, 400 | 401 | 403)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Settings;
    use proptest::prelude::*;

    fn judged(status: u16, body: &str) -> TargetError {
        let answer = Answer { status, body: body.to_owned(), settings: Settings::S3, ..Answer::default() };
        judge(&answer, None, UnixMs(0)).unwrap_err()
    }

    fn document(code: &str, message: &str) -> String {
        format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>")
    }

    #[test]
    fn every_code_is_blamed_on_the_right_side_in_the_words_of_the_store() {
        for (status, code, kind) in [
            (403, "SignatureDoesNotMatch", "Misconfigured"),
            (403, "InvalidAccessKeyId", "Misconfigured"),
            (400, "ExpiredToken", "Misconfigured"),
            (403, "AccessDenied", "Misconfigured"),
            (404, "NoSuchBucket", "Misconfigured"),
            (301, "PermanentRedirect", "Misconfigured"),
            (400, "AuthorizationHeaderMalformed", "Misconfigured"),
            (403, "RequestTimeTooSkewed", "Misconfigured"),
            (400, "EntityTooLarge", "Rejected"),
            (400, "InvalidArgument", "Rejected"),
            (400, "KeyTooLongError", "Rejected"),
            (400, "BadDigest", "Broken"),
            (400, "RequestTimeout", "Broken"),
            (503, "SlowDown", "Busy"),
            (500, "InternalError", "Busy"),
            (409, "OperationAborted", "Busy"),
            (507, "XMinioStorageFull", "Busy"),
            (200, "InternalError", "Busy"),
            (200, "Whatever", "Busy"),
            (405, "MethodNotAllowed", "Misconfigured"),
        ] {
            let error = judged(status, &document(code, "it said &quot;no&quot;"));
            assert!(format!("{error:?}").starts_with(kind), "{status} {code}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(code) && text.contains("it said \"no\""), "{text}");
        }
    }

    #[test]
    fn the_region_that_the_store_names_is_the_next_step() {
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting 'eu-west-1'</Message>\
                    <Region>eu-west-1</Region></Error>";
        assert!(judged(400, body).to_string().contains("set S3_REGION=eu-west-1"), "{}", judged(400, body));
        let answer = Answer { status: 301, settings: Settings::S3, ..Answer::default() };
        let error = judge(&answer, Some("eu-west-1"), UnixMs(0)).unwrap_err();
        assert!(error.to_string().contains("set S3_REGION=eu-west-1"), "{error}");
    }

    #[test]
    fn an_answer_without_a_document_is_judged_by_its_status() {
        assert!(matches!(judged(403, ""), TargetError::Misconfigured { .. }));
        assert!(judged(403, "").to_string().contains("S3_SECRET_ACCESS_KEY"));
        assert!(matches!(judged(503, "<Code>"), TargetError::Busy { .. }));
        assert!(matches!(judged(413, "nginx"), TargetError::Rejected { .. }));
        assert!(matches!(judged(200, "<html>log in"), TargetError::Misconfigured { .. }));
    }

    proptest! {
        #[test]
        fn any_answer_is_judged_without_panic(
            status: u16, body in "(<Error><Code>[A-Za-z]{0,12}</Code>)?.{0,200}", region in prop::option::of(".{0,20}"),
        ) {
            let answer = Answer { status, body, ..Answer::default() };
            if let Err(error) = judge(&answer, region.as_deref(), UnixMs(1)) {
                prop_assert!(error.to_string().chars().all(|c| !c.is_control()));
            }
        }
    }
}
