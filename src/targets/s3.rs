//! The `s3` target: `PUT` of an object into a bucket, signed with AWS Signature Version 4.
//!
//! The key depends on the picture alone, so a second attempt writes the same object again. Whether it arrived is looked
//! up in the answer, not taken for granted; and where a store refuses to write an object again, what is there is looked at
//! before anybody is blamed. A body goes in one piece: clips stay below 64 MB, and a single `PUT` takes 5 GB, so there are
//! no multipart uploads to be left half done.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use tracing::info;
use url::Url;

use super::ear::AnswerEar;
use super::facts::{Sender, header_text};
use super::http::{Http, Reply, WORDS_BYTES_MAX, put};
use super::s3_answer::{
    ObjectQuestion, Said, There, Unknown, is_checksum_unknown, judge, may_be_about_time, may_be_there,
};
use super::s3_object::{ObjectSeen, Sum};
use super::{Attempt, Deliver, TargetError, misconfigured, rejected};
use crate::clock;
use crate::config::target::{S3Style, S3TargetConfig};
use crate::config::{TargetConfig, UploadConfig};
use crate::model::{Because, UploadFault, secrets::Secrets};
use crate::store::DueUpload;

/// How long a signature holds. Stores allow a quarter of an hour of difference between the clocks anyway.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// Clocks that differ by less are no reason for a refusal.
const SKEW_MATTERS_MS: i64 = 60_000;

/// A bucket.
pub(super) struct S3 {
    bucket: Result<Bucket, String>,
    credentials: Credentials,
    config: S3TargetConfig,
    http: Http,
    sender: Sender,
    secrets: Secrets,
    /// The store's clock minus ours, milliseconds, as its last answer showed it.
    skew_ms: AtomicI64,
    /// The store refuses objects with the header that has their SHA-256.
    is_checksum_left_out: AtomicBool,
}

impl Deliver for S3 {
    fn http(&self) -> &Http {
        &self.http
    }

    fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    fn deliver<'a>(&'a self, upload: &'a DueUpload, picture: Bytes, ear: &'a AnswerEar) -> Attempt<'a> {
        Box::pin(self.send_picture(upload, picture, ear))
    }
}

impl S3 {
    /// A target as configured; nothing is contacted.
    pub(super) fn new(config: &UploadConfig, target: &TargetConfig, s3: &S3TargetConfig) -> Self {
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
            http: Http::new(config, target, url, &secrets),
            sender: Sender::new(config),
            credentials,
            config: s3.clone(),
            secrets,
            skew_ms: AtomicI64::new(0),
            is_checksum_left_out: AtomicBool::new(false),
            bucket,
        }
    }

    async fn send_picture(
        &self,
        upload: &DueUpload,
        picture: Bytes,
        ear: &AnswerEar,
    ) -> Result<(), TargetError> {
        let key = self.config.key.key(&upload.facts.camera, &upload.filename, upload.facts.id);
        let sum = Sum::of(upload, &picture);
        let has_checksum = !self.is_checksum_left_out.load(Ordering::Relaxed);
        let mut reply =
            self.put_in_time(&key, &self.headers(upload, &sum, has_checksum), &picture, ear).await?;
        if let Some(unknown) = is_checksum_unknown(&reply.answer).filter(|_| has_checksum) {
            let refusal = reply.answer;
            reply = self.put_in_time(&key, &self.headers(upload, &sum, false), &picture, ear).await?;
            if unknown == Unknown::Named || (200..300).contains(&reply.answer.status) {
                self.leave_checksum_out(&Said::read(&refusal).code, refusal.status);
            }
        }
        match self.judge(&reply) {
            Ok(()) if sum.is_shown_by(&reply) => Ok(()),
            Ok(()) => self.look_up(&key, &sum, &reply, ear).await,
            Err(error) => match may_be_there(&reply.answer) {
                Some(there) => self.unless_there(&key, &sum, there, error, ear).await,
                None => Err(error),
            },
        }
    }

    fn judge(&self, reply: &Reply) -> Result<(), TargetError> {
        let host = self.bucket.as_ref().map(Bucket::base_url).map(|url| match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        });
        let asked = ObjectQuestion {
            bucket: &self.config.bucket,
            host: host.as_deref().unwrap_or_default(),
            region: reply.header("x-amz-bucket-region"),
        };
        judge(&reply.answer, asked, clock::now())
    }

    /// What is signed and sent with the object, without the host. A store that does not know the SHA-256 gets the MD5, which
    /// all know (RFC 1864) and some want for buckets with object lock.
    fn headers(&self, upload: &DueUpload, sum: &Sum, has_checksum: bool) -> Vec<(String, String)> {
        let (name, value) =
            if has_checksum { ("x-amz-checksum-sha256", sum.sha256()) } else { ("content-md5", sum.md5()) };
        let mut headers = vec![
            ("content-type".to_owned(), upload.filename.medium().media_type().to_owned()),
            (name.to_owned(), value),
        ];
        for (name, value) in self.sender.facts(upload) {
            // Proxies drop names with an underscore.
            headers.push((format!("x-amz-meta-{}", name.replace('_', "-")), header_text(&value)));
        }
        headers
    }

    /// Remembers it while the program runs, and says so once.
    fn leave_checksum_out(&self, code: &str, status: u16) {
        if !self.is_checksum_left_out.swap(true, Ordering::Relaxed) {
            info!(
                status,
                code,
                "the store does not take x-amz-checksum-sha256; it is left out from now on, the ETag still proves each picture"
            );
        }
    }

    /// Sends the object, and once more if it was signed for a time that is not the store's; its answer tells which is.
    async fn put_in_time(
        &self,
        key: &str,
        headers: &[(String, String)],
        picture: &Bytes,
        ear: &AnswerEar,
    ) -> Result<Reply, TargetError> {
        let skew_ms = self.skew_ms.load(Ordering::Relaxed);
        let reply = self.put(key, headers, picture.clone(), ear).await?;
        let is_by_clock = (self.skew_ms.load(Ordering::Relaxed) - skew_ms).abs() >= SKEW_MATTERS_MS;
        if is_by_clock && may_be_about_time(&reply.answer) {
            return self.put(key, headers, picture.clone(), ear).await;
        }
        Ok(reply)
    }

    async fn put(
        &self,
        key: &str,
        headers: &[(String, String)],
        picture: Bytes,
        ear: &AnswerEar,
    ) -> Result<Reply, TargetError> {
        let mut action = self.bucket()?.put_object(Some(&self.credentials), key);
        let mut sent = HeaderMap::new();
        for (name, value) in headers {
            action.headers_mut().insert(name.as_str(), value.as_str());
            put(&mut sent, name, value)?;
        }
        let url = self.sign(&action);
        let request = self.http.client()?.put(url).headers(sent);
        let reply = self.http.send(request, vec![picture], WORDS_BYTES_MAX, ear).await?;
        self.learn_time(&reply);
        Ok(reply)
    }

    /// An answer that proves nothing: the object must be there in its whole length.
    async fn look_up(&self, key: &str, sum: &Sum, reply: &Reply, ear: &AnswerEar) -> Result<(), TargetError> {
        let object = match sum.seen_in(&self.look(key, ear).await?) {
            ObjectSeen::Same | ObjectSeen::SameLength | ObjectSeen::OtherTag => return Ok(()),
            ObjectSeen::Other(object) | ObjectSeen::Nothing(object) => object,
        };
        Err(misconfigured(UploadFault::ObjectUnproven { status: reply.answer.status, object }))
    }

    /// The store refused what may be there already, because an earlier answer was lost: then it has it. Otherwise this one
    /// picture is in doubt, and if another object has its name, it is put aside.
    async fn unless_there(
        &self,
        key: &str,
        sum: &Sum,
        there: There,
        error: TargetError,
        ear: &AnswerEar,
    ) -> Result<(), TargetError> {
        let found = match self.look(key, ear).await {
            Err(_) if there == There::Perhaps => return Err(error),
            found => found?,
        };
        let refusal = error.fault().clone();
        match (sum.seen_in(&found), there) {
            (ObjectSeen::Same | ObjectSeen::SameLength, _) => Ok(()),
            (_, There::Perhaps) => Err(error),
            (ObjectSeen::Other(_) | ObjectSeen::OtherTag, There::Kept) => {
                let cause = Because::new(refusal);
                Err(rejected(UploadFault::ObjectNameTaken { cause, bytes: sum.length() }))
            }
            (ObjectSeen::Nothing(_), There::Kept) if found.answer.status >= 500 => {
                Err(TargetError::Busy { fault: refusal, retry_after: None })
            }
            (ObjectSeen::Nothing(object), There::Kept) => {
                let fault = UploadFault::ObjectNotThere { cause: Because::new(refusal), object };
                Err(TargetError::Doubtful { fault })
            }
        }
    }

    async fn look(&self, key: &str, ear: &AnswerEar) -> Result<Reply, TargetError> {
        let action = self.bucket()?.head_object(Some(&self.credentials), key);
        let request = self.http.client()?.request(Method::HEAD, self.sign(&action));
        let found = self.http.ask(request, 0, ear).await?;
        self.learn_time(&found);
        Ok(found)
    }

    fn bucket(&self) -> Result<&Bucket, TargetError> {
        self.bucket
            .as_ref()
            .map_err(|error| misconfigured(UploadFault::S3AddressBad { error: error.clone() }))
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
