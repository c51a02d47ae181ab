//! What an S3 store's answer means for an upload. Pure.
//!
//! Stores say more in the `Code` of their XML than in the status: a 400 may be about the picture, about a key or about
//! the line between us.

use url::Url;

use super::response::TargetAnswer;
use super::{TargetError, misconfigured, perhaps_of_this_image, rejected};
use crate::model::{UnixMs, UploadFault};

/// What an error document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) code: String,
    pub(super) message: String,
    /// Which header or argument it is about, if it says so.
    about: String,
    /// Where the bucket is, if it is elsewhere.
    region: Option<String>,
    endpoint: Option<String>,
    /// What the store's clock shows, RFC 3339.
    pub(super) server_time: Option<String>,
}

impl Said {
    /// Reads the XML of an error as far as it came; anything else says nothing.
    pub(super) fn read(answer: &TargetAnswer) -> Self {
        let element = |name| element(answer, name);
        let filled = |name| element(name).filter(|text| !text.is_empty());
        Self {
            code: element("Code").unwrap_or_default(),
            message: element("Message").unwrap_or_default(),
            about: ["Header", "HeaderName", "ArgumentName"].into_iter().filter_map(element).collect(),
            region: filled("Region"),
            endpoint: filled("Endpoint"),
            server_time: element("ServerTime"),
        }
    }

    /// Its words, or those of a proxy in front of the store, in lower case.
    fn words(&self, answer: &TargetAnswer) -> String {
        if self.code.is_empty() {
            return answer.body.to_lowercase();
        }
        format!("{} {} {}", self.code, self.message, self.about).to_lowercase()
    }
}

/// The text of the first element of this name, in one line.
fn element(answer: &TargetAnswer, name: &str) -> Option<String> {
    let (_, rest) = answer.body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
    Some(answer.words(&plain.replace("&apos;", "'").replace("&amp;", "&")))
}

/// What was asked of the store, as far as its answer is understood by it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObjectQuestion<'a> {
    /// `S3_BUCKET`.
    pub(super) bucket: &'a str,
    /// The host that was signed, with its port if it is not the usual one.
    pub(super) host: &'a str,
    /// `x-amz-bucket-region` of the answer.
    pub(super) region: Option<&'a str>,
}

/// Judges the answer to a `PUT` of an object: taken, or why not.
pub(super) fn judge(
    answer: &TargetAnswer,
    asked: ObjectQuestion<'_>,
    now: UnixMs,
) -> Result<(), TargetError> {
    let said = Said::read(answer);
    let status = answer.status;
    let is_full = is_full(status, &said.words(answer));
    if said.code.is_empty() {
        let judged = elsewhere(answer, &said, asked).map_or_else(|| answer.judge(now), Err);
        return match judged {
            Err(error) if status >= 400 && is_full => {
                let words = answer.words(&super::text::without_markup(&answer.body));
                Err(full(error, UploadFault::StoreFull { status, error: String::new(), words }))
            }
            judged => judged.map_err(|error| perhaps_of_this_image(status, error)),
        };
    }
    let (error, words) = (said.code.clone(), said.message.clone());
    if is_full {
        let fault = UploadFault::StoreFull { status, error, words };
        return Err(match answer.judge(now) {
            Err(error) => full(error, fault),
            Ok(()) => TargetError::Busy { fault, retry_after: None },
        });
    }
    if is_about_signature(&said) {
        return Err(misconfigured(about_signature(answer, &said, asked)));
    }
    Err(match said.code.as_str() {
        "InvalidAccessKeyId" | "NotSignedUp" => {
            misconfigured(UploadFault::AccessKeyRefused { status, error, words })
        }
        "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired" => {
            misconfigured(UploadFault::SessionTokenRefused { status, error, words })
        }
        "AllAccessDisabled" | "AccountProblem" => {
            misconfigured(UploadFault::AccountClosed { status, error, words })
        }
        // One object that may not be written again is refused like everything without a permission.
        "AccessDenied" | "Forbidden" => {
            TargetError::Doubtful { fault: UploadFault::PutForbidden { status, error, words } }
        }
        "NoSuchBucket" | "InvalidBucketName" => misconfigured(UploadFault::NoBucket { status, error, words }),
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "IllegalLocationConstraintException"
        | "InvalidRegion"
        | "InvalidRegionName" => {
            let (region, endpoint) = next_place(answer, &said, asked);
            misconfigured(UploadFault::BucketElsewhere { status, error, words, region, endpoint })
        }
        "RequestTimeTooSkewed" | "RequestExpired" => {
            misconfigured(UploadFault::ClockDiffers { status, error, words })
        }
        "EntityTooLarge" | "EntityTooSmall" | "MaxMessageLengthExceeded" => {
            rejected(UploadFault::StoreAnswered { status, error, words })
        }
        // The line between us: what came is not what was sent.
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentChecksumMismatch"
        | "XAmzContentSHA256Mismatch"
        | "IncompleteBody"
        | "RequestTimeout" => {
            TargetError::Broken { fault: UploadFault::StoreAnswered { status, error, words } }
        }
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
            TargetError::Busy { fault: UploadFault::StoreAnswered { status, error, words }, retry_after }
        }
        // A code that is not known: the status tells whose fault it is, the document tells the words.
        _ => {
            let plain = TargetAnswer { body: format!("{}: {}", said.code, said.message), ..answer.clone() };
            match (elsewhere(answer, &said, asked), plain.judge(now)) {
                (Some(error), _) => error,
                (None, Err(error)) => perhaps_of_this_image(status, error),
                // An error in a success, as some stores send it when the headers had gone out already.
                (None, Ok(())) => TargetError::Busy {
                    fault: UploadFault::StoreAnswered { status, error, words },
                    retry_after: None,
                },
            }
        }
    })
}

/// Whether a store refuses for want of room, in the words of those that have quotas: Ceph, MinIO (`XMinioStorageFull`),
/// Garage, Backblaze (`storage cap exceeded`), and 507 of any (RFC 4918 section 11.5).
fn is_full(status: u16, words: &str) -> bool {
    const FULL: [&str; 14] = [
        "quota",
        "storagefull",
        "storage full",
        "storage is full",
        "storage cap",
        "storagecap",
        "storage limit",
        "storagelimit",
        "capacity exceeded",
        "capacityexceeded",
        "insufficient storage",
        "insufficientstorage",
        "no space",
        "disk full",
    ];
    let may_be = matches!(status, 400 | 402 | 403 | 409 | 413 | 500 | 503 | 507);
    status == 507 || (may_be && FULL.iter().any(|word| words.contains(word)))
}

/// The same in other words. No picture is to blame for it; a store whose fault it is says when it wants to be asked again.
fn full(error: TargetError, fault: UploadFault) -> TargetError {
    match error {
        TargetError::Busy { retry_after, .. } => TargetError::Busy { fault, retry_after },
        _ => TargetError::Misconfigured { fault },
    }
}

/// Garage says so of a signature in an `AccessDenied`.
fn is_about_signature(said: &Said) -> bool {
    let message = said.message.to_lowercase();
    said.code == "SignatureDoesNotMatch"
        || (matches!(said.code.as_str(), "AccessDenied" | "Forbidden")
            && message.contains("invalid signature"))
}

/// What to look at when a signature is refused. The store signs what it got, so what a proxy changed on the way (host, path)
/// looks like a wrong key. Some stores show what they signed (`CanonicalRequest`).
fn about_signature(answer: &TargetAnswer, said: &Said, asked: ObjectQuestion<'_>) -> UploadFault {
    let (status, error, words) = (answer.status, said.code.clone(), said.message.clone());
    let signed = answer.body.split_once("\nhost:").and_then(|(_, rest)| rest.lines().next()).map(str::trim);
    match signed {
        Some(host)
            if !host.is_empty() && !asked.host.is_empty() && !host.eq_ignore_ascii_case(asked.host) =>
        {
            let (seen, signed) = (answer.words(host), asked.host.to_owned());
            UploadFault::SignatureRewritten { status, error, words, seen, signed }
        }
        _ => UploadFault::SignatureRefused { status, error, words },
    }
}

/// A redirect to where the bucket is; told from one to a captive portal by its header or document.
fn elsewhere(answer: &TargetAnswer, said: &Said, asked: ObjectQuestion<'_>) -> Option<TargetError> {
    let is_known = asked.region.is_some() || !said.code.is_empty() || said.endpoint.is_some();
    ((300..400).contains(&answer.status) && is_known).then(|| {
        let (region, endpoint) = next_place(answer, said, asked);
        let (status, error, words) = (answer.status, String::new(), String::new());
        misconfigured(UploadFault::BucketElsewhere { status, error, words, region, endpoint })
    })
}

/// Region and address of where the store says that the bucket is.
fn next_place(
    answer: &TargetAnswer,
    said: &Said,
    asked: ObjectQuestion<'_>,
) -> (Option<String>, Option<String>) {
    let region = said.region.clone().or_else(|| asked.region.map(|text| answer.words(text)));
    let region = region.or_else(|| region_in(&said.message).map(|text| answer.words(&text)));
    let pointed = said.endpoint.as_deref().and_then(|host| address(&format!("https://{host}"), asked.bucket));
    let pointed = pointed.or_else(|| address(answer.location.as_deref()?, asked.bucket));
    (region, pointed.map(|text| answer.words(&text)))
}

/// Scheme, host and port of an address, without the bucket in front.
fn address(text: &str, bucket: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let host = url.host_str()?;
    let host = host.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('.')).unwrap_or(host);
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{host}{port}", url.scheme()))
}

/// The region that a refusal expects: `expecting 'eu-west-1'` (Amazon, MinIO), or the last of two scopes
/// `20270115/garage/s3/aws4_request` (Garage).
fn region_in(message: &str) -> Option<String> {
    let quoted = || message.split_once("expecting '")?.1.split_once('\'').map(|(region, _)| region);
    let scoped = || message.rsplit_once("/s3/aws4_request")?.0.rsplit('/').next();
    let plain = |text: &&str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    quoted().or_else(scoped).filter(plain).map(str::to_owned)
}

/// How sure it is that a store does not know the header with the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It names it.
    Named,
    /// It does not know something.
    Something,
}

/// Whether the object is refused for its checksum header and not for its bytes. Backblaze B2 says 400 to headers it does not
/// know, other stores 501 (older R2, and Amazon's words "a header you provided implies functionality …").
pub(super) fn is_checksum_unknown(answer: &TargetAnswer) -> Option<Unknown> {
    const NAMES: [&str; 5] = ["x-amz-checksum", "checksum-sha256", "checksumsha256", "x-amz-sdk", "trailer"];
    const UNKNOWN: [&str; 5] = [
        "header you provided implies",
        "unsupported header",
        "unknown header",
        "header not supported",
        "notimplemented",
    ];
    let said = Said::read(answer);
    let is_of_bytes = matches!(
        said.code.as_str(),
        "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" | "SignatureDoesNotMatch" | "SlowDown"
    );
    if is_of_bytes
        || !matches!(answer.status, 400 | 403 | 405 | 406 | 412 | 415 | 417 | 422 | 431 | 500 | 501)
    {
        return None;
    }
    let words = said.words(answer);
    // "Checksum algorithm provided is unsupported", but not "the checksum did not match".
    let is_kind_unknown = words.contains("checksum")
        && ["unsupported", "not support", "not implement", "unknown", "unrecogni", "algorithm"]
            .iter()
            .any(|word| words.contains(word));
    if is_kind_unknown || NAMES.iter().any(|name| words.contains(name)) {
        Some(Unknown::Named)
    } else if answer.status == 501 || (answer.status < 500 && UNKNOWN.iter().any(|text| words.contains(text)))
    {
        Some(Unknown::Something)
    } else {
        None
    }
}

/// What a refusal says of an object that may be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    /// It may not be written again: object lock, write once, a precondition.
    Kept,
    /// Perhaps; a key without a permission is refused like this, too.
    Perhaps,
}

/// Whether a refusal may mean that the object is there, because an earlier answer was lost. `None`: it does not.
pub(super) fn may_be_there(answer: &TargetAnswer) -> Option<There> {
    const KEPT: [&str; 16] = [
        "overwrit",
        "over-writ",
        "worm",
        "write once",
        "write-once",
        "object lock",
        "object-lock",
        "objectlock",
        "locked",
        "immutab",
        "already exist",
        "alreadyexist",
        "retention",
        "legal hold",
        "preconditionfailed",
        "may not be replaced",
    ];
    let said = Said::read(answer);
    let words = said.words(answer);
    let is_other =
        matches!(said.code.as_str(), "OperationAborted" | "ConditionalRequestConflict" | "NoSuchBucket");
    if is_other || !(400..500).contains(&answer.status) || is_full(answer.status, &words) {
        return None;
    }
    match answer.status {
        401 | 407 | 408 | 425 | 429 => None,
        409 | 412 => Some(There::Kept),
        _ if KEPT.iter().any(|text| words.contains(text)) => Some(There::Kept),
        403 if matches!(said.code.as_str(), "AccessDenied" | "Forbidden") && !is_about_signature(&said) => {
            Some(There::Perhaps)
        }
        _ => None,
    }
}

/// Whether an answer may be a refusal of the time of the signature. A query that is signed for another time is mostly
/// refused as forbidden, in words of its own.
pub(super) fn may_be_about_time(answer: &TargetAnswer) -> bool {
    matches!(answer.status, 400 | 401 | 403)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TargetId;
    use crate::targets::Settings;
    use proptest::prelude::*;

    const ASKED: ObjectQuestion<'_> =
        ObjectQuestion { bucket: "gate", host: "s3.example:9000", region: None };

    fn said(status: u16, body: &str) -> TargetAnswer {
        TargetAnswer {
            status,
            body: body.to_owned(),
            settings: Settings::of(TargetId::S3),
            ..TargetAnswer::default()
        }
    }

    fn judged(status: u16, body: &str) -> TargetError {
        judge(&said(status, body), ASKED, UnixMs(0)).unwrap_err()
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
            (403, "AccessDenied", "Doubtful"),
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
            (405, "MethodNotAllowed", "Doubtful"),
            (403, "Whatever", "Doubtful"),
            (401, "Whatever", "Misconfigured"),
        ] {
            let error = judged(status, &document(code, "it said &quot;no&quot;"));
            assert!(format!("{error:?}").starts_with(kind), "{status} {code}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(code) && text.contains("it said \"no\""), "{text}");
        }
    }

    #[test]
    fn the_region_and_the_address_that_the_store_names_are_the_next_step() {
        let with = |code: &str, rest: &str| format!("<Error><Code>{code}</Code>{rest}</Error>");
        let endpoint = "<Endpoint>gate.s3.eu-west-1.amazonaws.com</Endpoint>";
        let garage = "<Message>unexpected scope: 20270115/us-east-1/s3/aws4_request, expected: \
                      20270115/garage/s3/aws4_request</Message><Region></Region>";
        for (status, body, expected) in [
            (
                400,
                with("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
                "set S3_REGION=eu-west-1 and the S3_ENDPOINT of that region",
            ),
            (
                400,
                with("AuthorizationHeaderMalformed", "<Message>expecting &apos;eu-west-1&apos;</Message>"),
                "set S3_REGION=eu-west-1",
            ),
            (400, with("AuthorizationHeaderMalformed", garage), "set S3_REGION=garage"),
            (301, with("PermanentRedirect", endpoint), "set S3_ENDPOINT=https://s3.eu-west-1.amazonaws.com,"),
            (307, with("TemporaryRedirect", endpoint), "set S3_ENDPOINT=https://s3.eu-west-1.amazonaws.com,"),
            (301, with("Moved", endpoint), "set S3_ENDPOINT=https://s3.eu-west-1.amazonaws.com,"),
            (307, with("TemporaryRedirect", ""), "check S3_REGION and S3_ENDPOINT"),
            (400, with("InvalidRegionName", "<Message>one of: auto</Message>"), "check S3_REGION"),
        ] {
            let error = judged(status, &body);
            assert!(
                matches!(&error, TargetError::Misconfigured { fault } if fault.to_string().contains(expected)),
                "{error}"
            );
        }
        let location = Some("http://gate.s3-eu-1.example:8080/x?sig=1".to_owned());
        let answer = TargetAnswer { location, ..said(307, &with("TemporaryRedirect", "")) };
        let text = judge(&answer, ASKED, UnixMs(0)).unwrap_err().to_string();
        assert!(
            text.contains("set S3_ENDPOINT=http://s3-eu-1.example:8080, ") && !text.contains("sig"),
            "{text}"
        );
        let asked = ObjectQuestion { region: Some("eu-west-1"), ..ASKED };
        let text = judge(&said(301, ""), asked, UnixMs(0)).unwrap_err().to_string();
        assert!(text.contains("set S3_REGION=eu-west-1"), "{text}");
    }

    #[test]
    fn a_store_without_room_is_named_as_that_and_neither_key_nor_picture_is_to_blame() {
        for (status, body, kind) in [
            (403, document("QuotaExceeded", "You have exceeded your quota"), "Misconfigured"),
            (403, document("AccessDenied", "Cannot upload files, storage cap exceeded."), "Misconfigured"),
            (403, document("Forbidden", "Bucket size quota is reached"), "Misconfigured"),
            (400, document("XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded"), "Misconfigured"),
            (413, document("EntityTooLarge", "the storage limit of the account"), "Misconfigured"),
            (507, document("XMinioStorageFull", "Storage backend has reached its minimum"), "Busy"),
            (500, document("InternalError", "write: no space left on device"), "Busy"),
            (507, String::new(), "Busy"),
            (403, "Quota exceeded".to_owned(), "Misconfigured"),
        ] {
            let error = judged(status, &body);
            assert!(format!("{error:?}").starts_with(kind), "{body}: {error:?}");
            let text = error.to_string();
            assert!(text.contains("the store is full") && !text.contains("check S3_"), "{text}");
        }
        assert!(!judged(403, &document("AccessDenied", "no")).to_string().contains("full"));
        assert!(!judged(503, &document("SlowDown", "no")).to_string().contains("full"));
    }

    #[test]
    fn a_refused_signature_may_be_a_proxys_doing_and_the_words_say_so() {
        let text = judged(403, &document("SignatureDoesNotMatch", "no")).to_string();
        for word in ["S3_SECRET_ACCESS_KEY", "S3_REGION", "Host", "S3_ENDPOINT"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        let shown = |host: &str| {
            let request = format!("PUT\n/gate/x\n\nhost:{host}\n\nhost");
            judged(
                403,
                &format!(
                    "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>{request}</CanonicalRequest></Error>"
                ),
            )
            .to_string()
        };
        assert!(shown("minio:9000").contains("saw the host minio:9000 instead of s3.example:9000"));
        assert!(shown("s3.example:9000").contains("S3_SECRET_ACCESS_KEY"));
        assert!(
            judged(403, &document("AccessDenied", "Forbidden: Invalid signature"))
                .to_string()
                .contains("Host")
        );
    }

    #[test]
    fn a_checksum_that_a_store_does_not_know_is_told_from_one_that_does_not_fit() {
        for (status, body, expected) in [
            (400, document("InvalidArgument", "Unsupported header 'x-amz-checksum-sha256' received"), Some(Unknown::Named)),
            (501, document("NotImplemented", "Header 'x-amz-checksum-sha256' not implemented"), Some(Unknown::Named)),
            (400, document("InvalidRequest", "x-amz-sdk-checksum-algorithm is not supported"), Some(Unknown::Named)),
            (403, "unknown header X-Amz-Checksum-Sha256".to_owned(), Some(Unknown::Named)),
            (400, document("InvalidRequest", "trailers are not supported"), Some(Unknown::Named)),
            (400, document("InvalidRequest", "Checksum algorithm provided is unsupported"), Some(Unknown::Named)),
            (400, document("InvalidRequest", "the checksum did not match"), None),
            (
                400,
                "<Error><Code>InvalidArgument</Code><ArgumentName>x-amz-checksum-sha256</ArgumentName></Error>".to_owned(),
                Some(Unknown::Named),
            ),
            (
                501,
                document("NotImplemented", "A header you provided implies functionality that is not implemented"),
                Some(Unknown::Something),
            ),
            (
                400,
                document("InvalidArgument", "A header you provided implies functionality that is not implemented"),
                Some(Unknown::Something),
            ),
            (501, String::new(), Some(Unknown::Something)),
            (400, document("BadDigest", "x-amz-checksum-sha256 does not match"), None),
            (400, document("XAmzContentChecksumMismatch", "no"), None),
            (
                403,
                "<Error><Code>SignatureDoesNotMatch</Code><StringToSign>x-amz-checksum-sha256</StringToSign></Error>"
                    .to_owned(),
                None,
            ),
            (400, document("InvalidArgument", "no"), None),
            (403, document("AccessDenied", "no"), None),
            (503, document("SlowDown", "x-amz-checksum-sha256"), None),
            (200, document("NotImplemented", "x-amz-checksum-sha256"), None),
        ] {
            assert_eq!(is_checksum_unknown(&said(status, &body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_to_write_again_is_told_from_others() {
        for (status, body, expected) in [
            (409, String::new(), Some(There::Kept)),
            (412, document("PreconditionFailed", "at least one of the conditions"), Some(There::Kept)),
            (409, document("ObjectAlreadyExists", "no"), Some(There::Kept)),
            (409, document("FileImmutable", "the object is under WORM"), Some(There::Kept)),
            (
                400,
                document("InvalidRequest", "Object is WORM protected and cannot be overwritten"),
                Some(There::Kept),
            ),
            (403, document("AccessDenied", "object protected by object lock"), Some(There::Kept)),
            (405, document("MethodNotAllowed", "may not be overwritten"), Some(There::Kept)),
            (403, document("AccessDenied", "Access Denied."), Some(There::Perhaps)),
            (403, document("AccessDenied", "Forbidden: Invalid signature"), None),
            (403, document("QuotaExceeded", "no"), None),
            (409, document("OperationAborted", "a conflicting operation is in progress"), None),
            (400, document("InvalidArgument", "no"), None),
            (403, String::new(), None),
            (503, document("ServiceUnavailable", "already exists"), None),
            (200, String::new(), None),
        ] {
            assert_eq!(may_be_there(&said(status, &body)), expected, "{status} {body}");
        }
    }

    #[test]
    fn an_answer_without_a_document_is_judged_by_its_status() {
        assert!(matches!(judged(403, ""), TargetError::Doubtful { .. }));
        assert!(matches!(judged(401, ""), TargetError::Misconfigured { .. }));
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
            let answer = TargetAnswer { status, body, ..TargetAnswer::default() };
            let _ = (is_checksum_unknown(&answer), may_be_there(&answer));
            let asked = ObjectQuestion { region: region.as_deref(), ..ASKED };
            if let Err(error) = judge(&answer, asked, UnixMs(1)) {
                prop_assert!(error.to_string().chars().all(|c| !c.is_control()));
            }
        }
    }
}
