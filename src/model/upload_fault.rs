//! Why a picture was not delivered, for programs. Whose fault it is and what follows is said by `targets::TargetError`.

use serde::{Deserialize, Serialize};

use super::coded::{Because, Param, coded};

coded! {
    /// Why a picture was not delivered. Codes and names of parameters are stable: they are in databases and in the API.
    pub enum UploadFault {
        /// The file cannot be read just now.
        "file_unreadable" => FileUnreadable { file: String, error: String },
        /// This program may not read the file.
        "file_forbidden" => FileForbidden { file: String, error: String, advice: Option<String> },
        /// The disk does not give the file.
        "file_damaged" => FileDamaged { file: String, error: String },
        /// There was no file when it was to be sent.
        "file_gone" => FileGone { file: String, error: String },
        /// The file is another than the one that was stored.
        "file_changed" => FileChanged { file: String },
        /// Folder and database were compared, and there was no such file.
        "file_missing" => FileMissing,
        /// A person deleted the picture.
        "deleted" => Deleted,
        /// The disk with the pictures is not there.
        "disk_away" => DiskAway { folder: String },
        /// An attempt did not end.
        "stuck" => Stuck { file: String, target: String, seconds: u64 },
        /// This program failed.
        "program_fault" => ProgramFault,
        /// Different pictures were refused in a row.
        "all_refused" => AllRefused { cause: Because<UploadFault> },

        /// The server that reads number plates says something that is no answer of the kind that is set.
        "analysis_unlike" => AnalysisUnlike { status: u16, words: String },

        /// This machine makes no connections.
        "no_client" => NoClient { error: String },
        /// This machine makes no secured ones.
        "no_tls_client" => NoTlsClient { error: String },
        /// There is nobody who could vouch for a certificate.
        "no_authorities" => NoAuthorities,
        /// A secured connection needs a name or address.
        "no_tls_name" => NoTlsName { host: String },
        /// `UPLOAD_CA_FILE` cannot be read.
        "ca_file_unreadable" => CaFileUnreadable { file: String, error: String },
        /// It holds no certificate.
        "ca_file_empty" => CaFileEmpty { file: String },
        /// `UPLOAD_HEADERS` has a bad name.
        "headers_bad_name" => HeadersBadName,
        /// `UPLOAD_HEADERS` has a bad value.
        "headers_bad_value" => HeadersBadValue,
        /// No header can be called so.
        "header_bad_name" => HeaderBadName { name: String },
        /// No header can have that value.
        "header_bad_value" => HeaderBadValue { name: String },
        /// `S3_ENDPOINT` and `S3_BUCKET` make no address.
        "s3_address_bad" => S3AddressBad { error: String },

        /// The name of a machine on the way has no address.
        "name_unknown" => NameUnknown { host: String, proxy: Option<String> },
        /// The connection was refused.
        "nothing_listens" => NothingListens { hop: String, proxy: Option<String>, target: Option<String> },
        /// No connection came about in time.
        "connect_timeout" => ConnectTimeout { hop: String, proxy: Option<String>, target: Option<String> },
        /// No connection came about.
        "no_connection" => NoConnection { hop: String, proxy: Option<String>, target: Option<String>, error: String },
        /// A look at the way met an error.
        "hop_unreachable" => HopUnreachable { hop: String, proxy: Option<String>, error: String },
        /// A look at the way met silence.
        "hop_silent" => HopSilent { hop: String, proxy: Option<String> },
        /// The proxy wants a log-in.
        "proxy_login" => ProxyLogin { hop: String, proxy: String },
        /// The proxy lets nobody through to the target.
        "proxy_refused" => ProxyRefused { hop: String, proxy: String, target: String, error: String },

        /// The port speaks TLS, and was spoken to without.
        "tls_wanted" => TlsWanted { target: String, status: u16, setting: String },
        /// The connection ended before it was secured.
        "tls_closed" => TlsClosed { target: String, setting: String },
        /// The port does not speak TLS.
        "tls_missing" => TlsMissing { target: String, setting: String },
        /// Its TLS is too old.
        "tls_too_old" => TlsTooOld { target: String },
        /// It does not serve that name.
        "tls_name_unknown" => TlsNameUnknown { target: String, host: String, setting: String },
        /// It wants a certificate of its client.
        "tls_client_certificate" => TlsClientCertificate { target: String },
        /// TLS failed otherwise.
        "tls_failed" => TlsFailed { target: String, error: String },
        /// The certificate is not the pinned one.
        "certificate_changed" => CertificateChanged { target: String, pin: String, seen: String },
        /// The certificate is over.
        "certificate_expired" =>
            CertificateExpired { host: String, days: Option<u64>, pin: Option<String>, seen: Option<String> },
        /// The certificate does not hold yet.
        "certificate_too_new" =>
            CertificateTooNew { host: String, days: Option<u64>, pin: Option<String>, seen: Option<String> },
        /// No name stands in the certificate.
        "certificate_nameless" =>
            CertificateNameless { host: String, alternative: String, pin: Option<String>, seen: Option<String> },
        /// The certificate is of other names.
        "certificate_of_others" => CertificateOfOthers {
            host: String, names: String, setting: String, alternative: String, pin: Option<String>, seen: Option<String>,
        },
        /// Nobody who is trusted vouches for the certificate.
        "certificate_unknown_issuer" => CertificateUnknownIssuer {
            host: String, file: Option<String>, pin: Option<String>, seen: Option<String>,
        },
        /// The signature of the certificate cannot be checked.
        "certificate_bad_signature" => CertificateBadSignature {
            host: String, error: String, pin: Option<String>, seen: Option<String>,
        },
        /// The certificate of a server may vouch for others.
        "certificate_of_authority" => CertificateOfAuthority {
            host: String, alternative: String, pin: Option<String>, seen: Option<String>,
        },
        /// The certificate is not taken for another reason.
        "certificate_untrusted" => CertificateUntrusted {
            host: String, error: String, alternative: String, pin: Option<String>, seen: Option<String>,
        },

        /// The connection broke.
        "connection_broke" => ConnectionBroke { target: String, error: String, setting: Option<String> },
        /// The picture was not taken in time.
        "line_too_slow" => LineTooSlow { target: String, sent: u64, bytes: u64, least: u64 },
        /// Nothing came after the picture.
        "no_answer" => NoAnswer { target: String, seconds: u64, longer: u64 },
        /// The answer stopped.
        "answer_stalled" => AnswerStalled { target: String },
        /// The answer broke off.
        "answer_cut" => AnswerCut,
        /// The answer came before the picture was sent.
        "answer_early" => AnswerEarly { status: u16, left: u64, bytes: u64 },

        /// A web page came instead of an answer.
        "web_page" => WebPage { status: u16, words: String, rule: Option<String> },
        /// It is elsewhere.
        "redirected" => Redirected { status: u16, to: Option<String>, setting: String },
        /// It does not let us in.
        "login_refused" => LoginRefused { status: u16, words: String, setting: String },
        /// It knows no such path.
        "path_refused" => PathRefused { status: u16, words: String, setting: String },
        /// It refused or failed, and its status says why.
        "answered" => Answered { status: u16, words: String },
        /// A success that says no in its words.
        "not_taken" => NotTaken { status: u16, words: String },
        /// An answer without what `UPLOAD_SUCCESS` wants.
        "rule_unmet" => RuleUnmet {
            status: u16, rule: String, is_json: bool, place: Option<String>, value: Option<String>, words: String,
        },
        /// A relay that does not say whether it took the picture.
        "relay_undecided" => RelayUndecided { status: u16, words: String, setting: String },
        /// What answers is no relay.
        "relay_unlike" => RelayUnlike { status: u16, words: String, setting: String },

        /// What answers is no webhook.
        "webhook_unlike" => WebhookUnlike { status: u16, words: String },
        /// The message came without the picture.
        "picture_left_out" => PictureLeftOut { status: u16, bytes: u64 },
        /// The channel wants some patience.
        "rate_limited" => RateLimited,
        /// The picture was too large and is made smaller.
        "picture_shrunk" => PictureShrunk { status: u16, bytes: u64, less: u64 },
        /// The picture is too large and cannot be made smaller.
        "picture_too_large" => PictureTooLarge { bytes: u64, most: u64 },
        /// The clip is too large.
        "clip_too_large" => ClipTooLarge { bytes: u64, most: u64 },
        /// The webhook is gone.
        "webhook_gone" => WebhookGone { status: u16, words: String },
        /// A forum takes no message outside of its posts.
        "thread_needed" => ThreadNeeded { status: u16, words: String },
        /// The number of the post is wrong.
        "thread_bad" => ThreadBad { status: u16, words: String },
        /// The channel takes no messages.
        "channel_bad" => ChannelBad { status: u16, words: String },
        /// The webhook may not write there.
        "channel_forbidden" => ChannelForbidden { status: u16, words: String },

        /// An S3 store refused or failed, and its own code says why.
        "store_answered" => StoreAnswered { status: u16, error: String, words: String },
        /// It has no room.
        "store_full" => StoreFull { status: u16, error: String, words: String },
        /// A proxy changed the host that was signed.
        "signature_rewritten" =>
            SignatureRewritten { status: u16, error: String, words: String, seen: String, signed: String },
        /// It signs otherwise.
        "signature_refused" => SignatureRefused { status: u16, error: String, words: String },
        /// It does not know the access key.
        "access_key_refused" => AccessKeyRefused { status: u16, error: String, words: String },
        /// The temporary key is over.
        "session_token_refused" => SessionTokenRefused { status: u16, error: String, words: String },
        /// The account is closed.
        "account_closed" => AccountClosed { status: u16, error: String, words: String },
        /// The key may not put objects.
        "put_forbidden" => PutForbidden { status: u16, error: String, words: String },
        /// There is no such bucket.
        "no_bucket" => NoBucket { status: u16, error: String, words: String },
        /// The bucket is elsewhere.
        "bucket_elsewhere" => BucketElsewhere {
            status: u16, error: String, words: String, region: Option<String>, endpoint: Option<String>,
        },
        /// The clocks differ too much.
        "clock_differs" => ClockDiffers { status: u16, error: String, words: String },
        /// A success that proves nothing.
        "object_unproven" => ObjectUnproven { status: u16, object: ObjectOddity },
        /// Another object has the name.
        "object_name_taken" => ObjectNameTaken { cause: Because<UploadFault>, bytes: u64 },
        /// A refusal to write the object again, which is not there.
        "object_not_there" => ObjectNotThere { cause: Because<UploadFault>, object: ObjectOddity },
    }
}

/// What a look at an object in a store showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum ObjectOddity {
    /// The look was answered with another status than 200.
    Status {
        /// That.
        status: u16,
    },
    /// Nobody says how long it is.
    NoLength,
    /// It has another length.
    Length {
        /// That.
        bytes: u64,
        /// The picture's.
        wanted: u64,
    },
    /// It is another file of that length.
    Content,
}

impl Param for ObjectOddity {
    fn reword(&mut self, _: &mut dyn FnMut(&str) -> String) {}

    #[cfg(test)]
    fn sample(_: &str, number: u64) -> Self {
        match number % 4 {
            0 => Self::NoLength,
            1 => Self::Content,
            2 => Self::Length { bytes: number, wanted: number / 2 },
            _ => Self::Status { status: 404 },
        }
    }
}
