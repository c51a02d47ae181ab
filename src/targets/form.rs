//! `multipart/form-data` (RFC 7578) with a picture in it. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::store::DueUpload;

/// A body of several parts. The picture is not copied.
pub(super) struct Form {
    boundary: String,
    pieces: Vec<Bytes>,
}

/// The file in a form.
pub(super) struct FormFile<'a> {
    pub(super) field: &'a str,
    pub(super) filename: &'a str,
    pub(super) media_type: &'static str,
    pub(super) bytes: Bytes,
}

impl Form {
    /// Text fields in their order, then the picture as the part `field`, called `filename`.
    pub(super) fn new(upload: &DueUpload, fields: &[(&str, String)], field: &str, picture: Bytes) -> Self {
        let media_type = upload.filename.medium().media_type();
        let part = FormFile { field, filename: &upload.filename.to_string(), media_type, bytes: picture };
        Self::of(&upload.facts.id.to_string(), fields, part)
    }

    /// The same of any file; `mark` is one of its own, for the boundary.
    pub(super) fn of(mark: &str, fields: &[(&str, String)], part: FormFile<'_>) -> Self {
        let boundary = boundary(mark, fields, &part.bytes);
        let mut head = String::new();
        for (name, value) in fields {
            let name = escaped(name);
            head.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        head.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
            escaped(part.field),
            escaped(part.filename),
            part.media_type,
        ));
        let tail = format!("\r\n--{boundary}--\r\n");
        Self { boundary, pieces: vec![head.into(), part.bytes, tail.into()] }
    }

    /// `Content-Type`.
    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// `Content-Digest`: of the content of the message (RFC 9530 section 2), which is the whole body.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for piece in &self.pieces {
            hash.update(piece);
        }
        format!("sha-256=:{}:", STANDARD.encode(hash.finalize()))
    }

    /// The body.
    pub(super) fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }
}

/// A boundary that occurs in no part: the image's identity, lengthened until that is so.
fn boundary(mark: &str, fields: &[(&str, String)], picture: &[u8]) -> String {
    let mut boundary = format!("camera-capture-{mark}");
    let occurs = |boundary: &str| {
        fields.iter().any(|(_, value)| value.contains(boundary))
            || picture.windows(boundary.len()).any(|window| window == boundary.as_bytes())
    };
    while occurs(&boundary) {
        boundary.push('x');
    }
    boundary
}

/// A field name as browsers escape it in `Content-Disposition` (RFC 7578 section 2 and its practice).
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
