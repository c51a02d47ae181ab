//! Whether an object in a bucket is the picture. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

use super::http::Reply;
use crate::model::{ObjectOddity, hex};
use crate::store::DueUpload;

/// What must be there afterwards.
pub(super) struct Sum {
    length: u64,
    md5: [u8; 16],
    sha256: [u8; 32],
}

/// What a look at an object shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObjectSeen {
    /// Its checksum is that of the picture.
    Same,
    /// Only its length is seen, and it is the same.
    SameLength,
    /// Its length is the same, but its ETag looks like the MD5 of other bytes. A store may make its ETags in another way.
    OtherTag,
    /// It is not the picture.
    Other(ObjectOddity),
    /// Nothing.
    Nothing(ObjectOddity),
}

impl Sum {
    pub(super) fn of(upload: &DueUpload, picture: &[u8]) -> Self {
        Self {
            length: upload.bytes,
            md5: Md5::digest(picture).into(),
            // That of the file, which has just been compared with it.
            sha256: upload.sha256,
        }
    }

    /// As `x-amz-checksum-sha256` has it.
    pub(super) fn sha256(&self) -> String {
        STANDARD.encode(self.sha256)
    }

    /// As `Content-MD5` has it.
    pub(super) fn md5(&self) -> String {
        STANDARD.encode(self.md5)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Whether an answer shows that these bytes arrived. The ETag is their MD5 unless the store encrypts with a key of
    /// its own (AWS: SSE-KMS); then it repeats the checksum.
    pub(super) fn is_shown_by(&self, reply: &Reply) -> bool {
        self.is_tag(tag(reply)) || reply.header("x-amz-checksum-sha256") == Some(&self.sha256())
    }

    /// What the answer to a `HEAD` shows. The object tells its SHA-256 as we sent it along (`x-amz-meta-sha256`).
    pub(super) fn seen_in(&self, found: &Reply) -> ObjectSeen {
        let status = found.answer.status;
        if status != 200 {
            return ObjectSeen::Nothing(ObjectOddity::Status { status });
        }
        let Some(length) = found.header("content-length").and_then(|text| text.trim().parse::<u64>().ok())
        else {
            return ObjectSeen::Nothing(ObjectOddity::NoLength);
        };
        if length != self.length {
            return ObjectSeen::Other(ObjectOddity::Length { bytes: length, wanted: self.length });
        }
        let of_store = found.header("x-amz-checksum-sha256").map(|text| text == self.sha256());
        let of_ours = found
            .header("x-amz-meta-sha256")
            .map(|text| text.trim().eq_ignore_ascii_case(&hex(&self.sha256)));
        let tag = tag(found);
        match of_store.or(of_ours) {
            Some(true) => ObjectSeen::Same,
            Some(false) => ObjectSeen::Other(ObjectOddity::Content),
            None if self.is_tag(tag) => ObjectSeen::Same,
            None if is_md5(tag) && !is_encrypted(found) => ObjectSeen::OtherTag,
            None => ObjectSeen::SameLength,
        }
    }

    fn is_tag(&self, tag: &str) -> bool {
        tag.eq_ignore_ascii_case(&hex(&self.md5))
    }
}

fn tag(reply: &Reply) -> &str {
    reply.header("etag").unwrap_or_default().trim_matches('"')
}

/// Whether an ETag may be the MD5 of an object; that of one in parts ends in their number.
fn is_md5(tag: &str) -> bool {
    tag.len() == 32 && tag.bytes().all(|b| b.is_ascii_hexdigit())
}

/// With keys of the store's own or of the customer, the ETag is no MD5.
fn is_encrypted(found: &Reply) -> bool {
    found.header("x-amz-server-side-encryption").is_some_and(|kind| kind.starts_with("aws:"))
        || found.header("x-amz-server-side-encryption-customer-algorithm").is_some()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::targets::TargetAnswer;
    use crate::targets::http::put;

    fn seen(status: u16, headers: &[(&str, &str)]) -> ObjectSeen {
        let sum = Sum { length: 3, md5: Md5::digest(b"abc").into(), sha256: [7; 32] };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            put(&mut map, name, value).unwrap();
        }
        sum.seen_in(&Reply {
            answer: TargetAnswer { status, ..TargetAnswer::default() },
            headers: map,
            is_cut: false,
            early: None,
        })
    }

    #[test]
    fn an_object_is_the_picture_by_its_checksum_and_without_one_by_its_length() {
        const THREE: (&str, &str) = ("content-length", "3");
        let own = hex(&[7; 32]);
        let (same_tag, other_tag) = (
            ("etag", "\"900150983cd24fb0d6963f7d28e17f72\""),
            ("etag", "\"d41d8cd98f00b204e9800998ecf8427e\""),
        );
        for (headers, expected) in [
            (&[THREE][..], ObjectSeen::SameLength),
            (&[THREE, ("x-amz-meta-sha256", &own)], ObjectSeen::Same),
            (&[THREE, ("x-amz-meta-sha256", &own), other_tag], ObjectSeen::Same),
            (
                &[THREE, ("x-amz-checksum-sha256", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")],
                ObjectSeen::Same,
            ),
            (&[THREE, same_tag], ObjectSeen::Same),
            (&[THREE, other_tag], ObjectSeen::OtherTag),
            (&[THREE, other_tag, ("x-amz-server-side-encryption", "AES256")], ObjectSeen::OtherTag),
            (&[THREE, other_tag, ("x-amz-server-side-encryption", "aws:kms")], ObjectSeen::SameLength),
            (&[THREE, ("etag", "\"d41d8cd98f00b204e9800998ecf8427e-2\"")], ObjectSeen::SameLength),
            (&[THREE, ("etag", "W/\"x\"")], ObjectSeen::SameLength),
        ] {
            assert_eq!(seen(200, headers), expected, "{headers:?}");
        }
        for headers in [
            &[("content-length", "4"), ("x-amz-meta-sha256", own.as_str()), same_tag][..],
            &[THREE, ("x-amz-meta-sha256", "00"), same_tag],
            &[THREE, ("x-amz-checksum-sha256", "AAAA"), ("x-amz-meta-sha256", &own)],
        ] {
            assert!(matches!(seen(200, headers), ObjectSeen::Other(_)), "{headers:?}");
        }
        for (status, headers) in
            [(404, &[THREE][..]), (403, &[]), (200, &[]), (200, &[("content-length", "x")])]
        {
            assert!(matches!(seen(status, headers), ObjectSeen::Nothing(_)), "{status} {headers:?}");
        }
    }
}
