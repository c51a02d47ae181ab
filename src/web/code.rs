//! Why a request was refused, as a word for programs: a closed set, each with its one status.

use actix_web::http::StatusCode;

/// Word, status and meaning of every refusal.
macro_rules! codes {
    ($($(#[doc = $says:literal])+ $code:ident $status:literal $word:literal,)+) => {
        /// Why a request was refused. Two of them may share a word where the same thing is answered differently.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[doc = $says])+ $code,)+
        }

        impl ErrorCode {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The status of the answer.
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$code => $status,)+
                }
            }

            /// As in the API.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$code => $word,)+
                }
            }

            /// What it means, as a sentence.
            pub fn says(self) -> &'static str {
                match self {
                    $(Self::$code => concat!($($says),+).trim_ascii(),)+
                }
            }
        }
    };
}

codes! {
    /// A parameter or the body is not what this route takes; the message says what is.
    BadRequest 400 "bad_request",
    /// This address is for a WebSocket.
    WebsocketOnly 400 "websocket_only",
    /// Log in first, or send a valid token; a device sends its own, or comes from its address.
    Unauthorized 401 "unauthorized",
    /// The password is wrong.
    WrongPassword 401 "wrong_password",
    /// The header X-CSRF-Token is missing, or is not that of this session.
    Csrf 403 "csrf",
    /// The request comes from a page of another site.
    ForeignOrigin 403 "foreign_origin",
    /// A token may not do this at all; log in instead.
    PersonOnly 403 "person_only",
    /// The scope of this token is too small.
    Scope 403 "scope",
    /// The set-up code is wrong.
    WrongCode 403 "wrong_code",
    /// The password, asked for once more, is wrong.
    WrongConfirmation 403 "wrong_password",
    /// The password is wanted once more.
    PasswordRequired 403 "password_required",
    /// There is no such thing.
    NotFound 404 "not_found",
    /// No camera is set up.
    NoCamera 404 "no_camera",
    /// This path does not take that method.
    MethodNotAllowed 405 "method_not_allowed",
    /// The body did not arrive in time.
    Timeout 408 "timeout",
    /// The first password has been set, or none is needed.
    AlreadySetUp 409 "already_set_up",
    /// No password is set or asked for on this computer.
    NoPassword 409 "no_password",
    /// Whoever asks has no session of their own.
    NoSession 409 "no_session",
    /// The camera is switched off.
    Disabled 409 "disabled",
    /// No camera is to be set up over the network (CAMERA_n_STREAMING).
    NoSlot 409 "no_slot",
    /// The camera has no contact.
    NoContact 409 "no_contact",
    /// A setting says it already, and a setting wins.
    Set 409 "set",
    /// The camera's own clock is used, so there is nothing to measure.
    CameraClock 409 "camera_clock",
    /// The camera has no stream to measure.
    NoStream 409 "no_stream",
    /// No server reads number plates here (ANALYSE_URL).
    AnalysisOff 409 "analysis_off",
    /// Nothing is delivered to that target at the moment.
    TargetOff 409 "target_off",
    /// The picture is protected from deletion.
    Protected 409 "protected",
    /// The picture has not been delivered yet.
    UploadOwed 409 "upload_owed",
    /// The picture has as many public links as it can have; revoke some.
    TooManyLinks 409 "too_many_links",
    /// The body is too long.
    TooLarge 413 "too_large",
    /// The body is not labelled as JSON.
    NotJson 415 "not_json",
    /// This computer does not know itself under that name (Host).
    ForeignHost 421 "foreign_host",
    /// The new password is too short, too long or too easily guessed; the message says which.
    PasswordRefused 422 "password_refused",
    /// What was sent is no JPEG.
    NotJpeg 422 "not_jpeg",
    /// What was sent ends before the picture does.
    Torn 422 "torn",
    /// The picture has more pixels than are taken.
    TooManyPixels 422 "too_many_pixels",
    /// What was sent names no camera that may be contacted; the message says why.
    BadCamera 422 "bad_camera",
    /// No small version of the picture can be made.
    NoThumbnail 422 "no_thumbnail",
    /// Too often; Retry-After says when to come again.
    TooManyRequests 429 "too_many_requests",
    /// The store failed; the log has the reason.
    StoreFailed 500 "store",
    /// The retention run failed.
    RetentionFailed 500 "retention",
    /// The picture is there and cannot be read; the message has its owner and what to type.
    Unreadable 500 "unreadable",
    /// Nothing that answers as a camera does is there.
    CameraAway 502 "camera_away",
    /// As many captures as can be are under way.
    Busy 503 "busy",
    /// The picture was taken and is kept; its row is written as soon as the database takes it.
    Kept 503 "kept",
    /// The program is shutting down.
    Stopping 503 "stopping",
    /// As many viewers as can be look at this camera.
    TooManyViewers 503 "too_many_viewers",
    /// As many dashboards as can be are open.
    TooManyStreams 503 "too_many_streams",
    /// The machine has no random numbers yet.
    NoRandom 503 "no_random",
    /// The camera gave no picture in time.
    NoFrame 504 "no_frame",
    /// Nothing answered there in time.
    CameraSilent 504 "camera_silent",
    /// The picture could not be stored, or the database's disk is full.
    StoreFull 507 "store",
    /// There is no room on the disk.
    Full 507 "full",
}

impl ErrorCode {
    /// The status, as the server wants it.
    pub(super) fn status_code(self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_one_word_with_a_status_of_errors_and_a_sentence() {
        let mut seen = BTreeSet::new();
        for code in ErrorCode::ALL {
            let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(code.word().chars().all(is_word), "{code:?}");
            assert!((400..600).contains(&code.status_code().as_u16()), "{code:?}");
            assert!(seen.insert((code.word(), code.status())), "{code:?} is there twice");
            assert!(code.says().ends_with('.'), "{code:?}");
        }
    }
}
