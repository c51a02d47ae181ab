//! The `s3` target: `PUT` of an object into a bucket, signed with AWS Signature Version 4.
//!
//! The key depends on the picture alone, so a second attempt writes the same object again. Whether it arrived is looked
//! up in the answer, not taken for granted. A body goes in one piece: clips stay below 64 MB, and a single `PUT` takes
//! 5 GB, so there are no multipart uploads to be left half done.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use md5::{Digest, Md5};
use reqwest::Method;
use reqwest::header::HeaderMap;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use url::Url;

use super::facts::{Sender, header_text};
use super::http::{Http, Reply, WORDS_BYTES_MAX, put};
use super::response::Settings;
use super::s3_answer::{Said, judge, may_be_about_time};
use super::{TargetError, misconfigured};
use crate::clock;
use crate::config::{S3Style, S3TargetConfig, UploadConfig};
use crate::model::{TargetKind, hex, secrets::Secrets};
use crate::store::DueUpload;

/// How long a signature holds. Stores allow a quarter of an hour of difference between the clocks anyway.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// Clocks that differ by less are no reason for a refusal.
const SKEW_MATTERS_MS: i64 = 60_000;

/// A bucket.
pub struct S3 {
    bucket: Result<Bucket, String>,
    credentials: Credentials,
    config: S3TargetConfig,
    http: Http,
    sender: Sender,
    secrets: Secrets,
    /// The store's clock minus ours, milliseconds, as its last answer showed it.
    skew_ms: AtomicI64,
}

impl S3 {
    /// A target as configured; nothing is contacted.
    pub(super) fn new(config: &UploadConfig, s3: &S3TargetConfig) -> Self {
        let style = match s3.style {
            S3Style::Path => UrlStyle::Path,
            S3Style::Virtual => UrlStyle::VirtualHost,
        };
        let bucket = Bucket::new(s3.endpoint.clone(), style, s3.bucket.clone(), s3.region.clone())
            .map_err(|error| error.to_string());
        let (key, secret) = (s3.access_key_id.reveal(), s3.secret_access_key.reveal());
        // The signature of a request is a permission for a quarter of an hour.
        let mut secrets = Secrets::of_url(&s3.endpoint).with(key).with(secret).with_hashes();
        let credentials = match &s3.session_token {
            Some(token) => {
                secrets = secrets.with(token.reveal());
                Credentials::new_with_token(key, secret, token.reveal())
            }
            None => Credentials::new(key, secret),
        };
        let url = bucket.as_ref().map_or(&s3.endpoint, Bucket::base_url);
        Self {
            http: Http::new(config, TargetKind::S3, url, Settings::S3, &secrets),
            sender: Sender::new(config),
            credentials,
            config: s3.clone(),
            secrets,
            skew_ms: AtomicI64::new(0),
            bucket,
        }
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(super) async fn deliver(&self, upload: &DueUpload, picture: Bytes) -> Result<(), TargetError> {
        let key = self.config.key.key(&upload.filename, upload.id);
        let sum = Sum::of(upload, &picture);
        let headers = self.headers(upload, &sum);
        let skew_ms = self.skew_ms.load(Ordering::Relaxed);
        let mut reply = self.put(&key, &headers, picture.clone()).await?;
        let is_by_clock = (self.skew_ms.load(Ordering::Relaxed) - skew_ms).abs() >= SKEW_MATTERS_MS;
        if is_by_clock && may_be_about_time(&reply.answer) {
            // Signed for a time that is not the store's; its answer has told us which is.
            reply = self.put(&key, &headers, picture).await?;
        }
        judge(&reply.answer, reply.header("x-amz-bucket-region"), clock::now())?;
        if sum.is_shown_by(&reply) { Ok(()) } else { self.look_up(&key, &sum, &reply).await }
    }

    /// What is signed and sent with the object, without the host.
    fn headers(&self, upload: &DueUpload, sum: &Sum) -> Vec<(String, String)> {
        let mut headers = vec![
            ("content-type".to_owned(), upload.filename.medium().media_type().to_owned()),
            ("x-amz-checksum-sha256".to_owned(), sum.sha256.clone()),
        ];
        for (name, value) in self.sender.facts(upload) {
            // Proxies drop names with an underscore.
            headers.push((format!("x-amz-meta-{}", name.replace('_', "-")), header_text(&value)));
        }
        headers
    }

    async fn put(
        &self,
        key: &str,
        headers: &[(String, String)],
        picture: Bytes,
    ) -> Result<Reply, TargetError> {
        let mut action = self.bucket()?.put_object(Some(&self.credentials), key);
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            action.headers_mut().insert(name.as_str(), value.as_str());
            put(&mut sent, name, value)?;
        }
        let url = self.sign(&action);
        let request = self.http.client()?.put(url).headers(sent);
        let reply = self.http.send(request, vec![picture], WORDS_BYTES_MAX).await?;
        self.learn_time(&reply);
        Ok(reply)
    }

    /// An answer that proves nothing: the object must be there in its whole length.
    async fn look_up(&self, key: &str, sum: &Sum, reply: &Reply) -> Result<(), TargetError> {
        let action = self.bucket()?.head_object(Some(&self.credentials), key);
        let request = self.http.client()?.request(Method::HEAD, self.sign(&action));
        let found = self.http.ask(request, 0).await?;
        self.learn_time(&found);
        let status = found.answer.status;
        let length = found.header("content-length").and_then(|text| text.trim().parse::<u64>().ok());
        let what = match (status, length) {
            (200, Some(length)) if length == sum.length => return Ok(()),
            (200, Some(length)) => format!("the object there has {length} bytes instead of {}", sum.length),
            (200, None) => "a look at the object there shows no length".to_owned(),
            _ => format!("a look at the object was answered {status}"),
        };
        let status = reply.answer.status;
        Err(misconfigured(format!(
            "answered {status}, but nothing shows that the picture arrived: its ETag is not the MD5 of the picture, it does \
             not repeat the checksum, and {what}; is S3_ENDPOINT an S3 store, and may the key read objects (s3:GetObject)?"
        )))
    }

    fn bucket(&self) -> Result<&Bucket, TargetError> {
        self.bucket.as_ref().map_err(|error| {
            misconfigured(format!("no address can be made of S3_ENDPOINT and S3_BUCKET: {error}"))
        })
    }

    /// Signs with the store's time.
    fn sign<'a>(&self, action: &impl S3Action<'a>) -> Url {
        let now = clock::now().plus_ms(self.skew_ms.load(Ordering::Relaxed));
        let time = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::UNIX_EPOCH);
        action.sign_with_time(SIGNED_FOR, &time)
    }

    /// Remembers how far the store's clock is from ours.
    fn learn_time(&self, reply: &Reply) {
        let by_header = reply.header("date").and_then(|text| {
            let at = httpdate::parse_http_date(text).ok()?;
            let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
            i64::try_from(since.as_millis()).ok()
        });
        let by_document = || {
            let text = Said::read(&reply.answer).server_time?;
            text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
        };
        if let Some(at) = by_header.or_else(by_document) {
            self.skew_ms.store(at.saturating_sub(clock::now().0), Ordering::Relaxed);
        }
    }
}

/// What must be there afterwards.
struct Sum {
    length: u64,
    /// Hexadecimal, as an ETag has it.
    md5: String,
    /// Base64, as the checksum headers have it.
    sha256: String,
}

impl Sum {
    fn of(upload: &DueUpload, picture: &[u8]) -> Self {
        Self {
            length: upload.bytes,
            md5: hex(&Md5::digest(picture)),
            // That of the file, which has just been compared with it.
            sha256: STANDARD.encode(upload.sha256),
        }
    }

    /// Whether an answer shows that these bytes arrived. The ETag is their MD5 unless the store encrypts with a key of
    /// its own (AWS: SSE-KMS); then it repeats the checksum.
    fn is_shown_by(&self, reply: &Reply) -> bool {
        let etag = reply.header("etag").unwrap_or_default();
        etag.trim_matches('"').eq_ignore_ascii_case(&self.md5)
            || reply.header("x-amz-checksum-sha256") == Some(self.sha256.as_str())
    }
}
