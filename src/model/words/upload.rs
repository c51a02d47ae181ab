//! Why a picture was not delivered.

use std::fmt;

use crate::model::{ObjectOddity, UploadFault};

/// What to do about a webhook that is gone or never was.
const NEW_WEBHOOK: &str = "make a new webhook in the channel's settings (Integrations) and put its address into DISCORD_WEBHOOK_URL";

/// What to do about times that do not fit.
const CLOCK: &str = "is the clock of this machine right? if it is, the server needs a new certificate";

/// The first machine on the way, as it is called.
fn hop(address: &str, proxy: Option<&String>) -> String {
    match proxy {
        Some(setting) => format!("the proxy {address} ({setting})"),
        None => address.to_owned(),
    }
}

/// Where a proxy was to lead to.
fn aim(target: Option<&String>) -> String {
    target.map_or_else(String::new, |target| format!("; it is on the way to {target}"))
}

/// An answer with its words.
fn answered(status: u16, words: &str) -> String {
    let colon = if words.is_empty() { "" } else { ": " };
    format!("answered {status}{colon}{words}")
}

/// An answer with the code and the words of an S3 store.
fn stored(status: u16, error: &str, words: &str) -> String {
    let space = if error.is_empty() { "" } else { " " };
    let colon = if words.is_empty() { "" } else { ": " };
    format!("answered {status}{space}{error}{colon}{words}")
}

/// A certificate that is not taken, and why.
fn untrusted(
    f: &mut fmt::Formatter<'_>,
    host: &str,
    why: &str,
    (pin, seen): (&Option<String>, &Option<String>),
) -> fmt::Result {
    write!(f, "the certificate of {host} is not trusted: {why}")?;
    match (pin, seen) {
        (Some(pin), Some(seen)) => write!(
            f,
            "; or take this very one whatever is written in it, if its SHA-256 fingerprint is the same at the server, \
             with {pin}={seen}"
        ),
        _ => Ok(()),
    }
}

impl fmt::Display for UploadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::FileUnreadable { file, error } | Self::FileForbidden { file, error, advice: None } => {
                write!(f, "{file} cannot be read: {error}")
            }
            Self::FileForbidden { file, error, advice: Some(advice) } => {
                write!(f, "{file} cannot be read: {error}; {advice}")
            }
            Self::FileDamaged { file, error } => {
                write!(f, "{file} cannot be read: {error}; look at the disk or card (dmesg, fsck)")
            }
            Self::FileGone { file, error } => write!(f, "{file}: {error}"),
            Self::FileChanged { file } => {
                write!(f, "{file}: the file is not what was stored (length or SHA-256)")
            }
            Self::FileMissing => f.write_str("its file is gone from the disk"),
            Self::Deleted => f.write_str("deleted by an operator before it was delivered"),
            Self::DiskAway { folder } => write!(f, "{folder} is away; is the disk mounted?"),
            Self::Stuck { file, target, seconds } => write!(
                f,
                "the upload of {file} to {target} did not end within {seconds} s and was dropped; it is sent again by itself"
            ),
            Self::ProgramFault => {
                f.write_str("the attempt failed by a fault of this program; the log has it")
            }
            Self::AllRefused { cause } => write!(
                f,
                "refused different pictures one after the other in the same way, so the target or its settings are to \
                 blame, not the pictures; they wait. It said: {cause}"
            ),

            Self::AnalysisUnlike { status, words } => write!(
                f,
                "answered {status}, but not as ANALYSE_FORMAT says; look at ANALYSE_FORMAT and ANALYSE_URL. It said: {words}"
            ),

            Self::NoClient { error } => write!(f, "no connection can be made on this machine: {error}"),
            Self::NoTlsClient { error } => {
                write!(f, "no secure connection can be made on this machine: {error}")
            }
            Self::NoAuthorities => f.write_str(
                "no secure connection can be made on this machine, because it has no certificates of authorities; install \
                 the package ca-certificates",
            ),
            Self::NoTlsName { host } => {
                write!(f, "{host} is no name that a secured connection could be made with")
            }
            Self::CaFileUnreadable { file, error } => write!(f, "UPLOAD_CA_FILE, {file}: {error}"),
            Self::CaFileEmpty { file } => write!(
                f,
                "UPLOAD_CA_FILE, {file}: no certificate in it; it must be PEM, with BEGIN CERTIFICATE (openssl x509 -inform \
                 der -in FILE makes it of another form)"
            ),
            Self::HeadersBadName => f.write_str("UPLOAD_HEADERS has a bad name"),
            Self::HeadersBadValue => f.write_str("UPLOAD_HEADERS has a bad value"),
            Self::HeaderBadName { name } => write!(f, "{name:?} is no header name"),
            Self::HeaderBadValue { name } => write!(f, "the value of {name} is no header"),
            Self::S3AddressBad { error } => {
                write!(f, "no address can be made of S3_ENDPOINT and S3_BUCKET: {error}")
            }

            Self::NameUnknown { host, proxy } => {
                write!(
                    f,
                    "the name {host} was not found; is this machine on line, and is the name right?"
                )?;
                proxy.as_ref().map_or(Ok(()), |setting| write!(f, " it is the proxy in {setting}"))
            }
            Self::NothingListens { hop: at, proxy, target } => write!(
                f,
                "nothing listens at {} (connection refused){}",
                hop(at, proxy.as_ref()),
                aim(target.as_ref())
            ),
            Self::ConnectTimeout { hop: at, proxy, target } => {
                write!(f, "{} did not answer in time{}", hop(at, proxy.as_ref()), aim(target.as_ref()))
            }
            Self::NoConnection { hop: at, proxy, target, error } => {
                write!(f, "no answer from {}: {error}{}", hop(at, proxy.as_ref()), aim(target.as_ref()))
            }
            Self::HopUnreachable { hop: at, proxy, error } => {
                write!(f, "{} cannot be reached: {error}", hop(at, proxy.as_ref()))
            }
            Self::HopSilent { hop: at, proxy } => write!(f, "{} does not answer", hop(at, proxy.as_ref())),
            Self::ProxyLogin { hop: at, proxy } => write!(
                f,
                "{} wants a log-in (407); set {proxy} to http://user:password@host:port",
                hop(at, Some(proxy))
            ),
            Self::ProxyRefused { hop: at, proxy, target, error } => write!(
                f,
                "{} did not let a connection to {target} through: {error}; allow it there, or set {proxy} to another proxy",
                hop(at, Some(proxy))
            ),

            Self::TlsWanted { target, status, setting } => write!(
                f,
                "{target} wants TLS on this port (it answered {status} to a request without); set {setting} to https://"
            ),
            Self::TlsClosed { target, setting } => write!(
                f,
                "{target} closed the connection before it was secured; does that port speak TLS? if not, set {setting} to \
                 http://"
            ),
            Self::TlsMissing { target, setting } => write!(
                f,
                "{target} does not speak TLS; is its address http:// instead of https://? set {setting} to http://, or to \
                 the port of the secured service"
            ),
            Self::TlsTooOld { target } => write!(
                f,
                "{target} refused the secured connection: it offers only versions or ciphers of TLS that are too old; TLS \
                 1.2 with ECDHE and AES-GCM or ChaCha20 is the least that is taken; switch that on at the server, or put a \
                 proxy with a newer TLS before it"
            ),
            Self::TlsNameUnknown { target, host, setting } => write!(
                f,
                "the server at {target} does not serve the name {host}; use the name of its certificate in {setting}"
            ),
            Self::TlsClientCertificate { target } => write!(
                f,
                "{target} wants a certificate of its client, which this version does not have; switch that off at the \
                 server"
            ),
            Self::TlsFailed { target, error } => write!(f, "no secured connection with {target}: {error}"),
            Self::CertificateChanged { target, pin, seen } => write!(
                f,
                "the certificate of {target} is not the one in {pin}: either the server has a new one, or another machine \
                 answers in its place; no picture was sent to it; ask at the server for the SHA-256 fingerprint of its \
                 certificate, and only if it is the one seen, set {pin}={seen}"
            ),
            Self::CertificateExpired { host, days, pin, seen } => {
                let why = match days {
                    Some(days) => format!("it expired {days} days ago; {CLOCK}"),
                    None => format!("it has expired; {CLOCK}"),
                };
                untrusted(f, host, &why, (pin, seen))
            }
            Self::CertificateTooNew { host, days, pin, seen } => {
                let why = match days {
                    Some(days) => format!("it is not valid yet, only in {days} days; {CLOCK}"),
                    None => format!("it is not valid yet; {CLOCK}"),
                };
                untrusted(f, host, &why, (pin, seen))
            }
            Self::CertificateNameless { host, alternative, pin, seen } => {
                let why = format!(
                    "no name stands in it where one is looked for (subjectAltName; the one in CN does not count any more); \
                     make a new one with -addext subjectAltName={alternative}"
                );
                untrusted(f, host, &why, (pin, seen))
            }
            Self::CertificateOfOthers { host, names, setting, alternative, pin, seen } => {
                let why = format!(
                    "it is made out to {names}, not to {host}; use that name in {setting}, or make one with \
                     subjectAltName={alternative}"
                );
                untrusted(f, host, &why, (pin, seen))
            }
            Self::CertificateUnknownIssuer { host, file: Some(file), pin, seen } => {
                let why = format!(
                    "who made it is neither among this machine's authorities nor in {file}; that file needs the certificate \
                     of the authority that made it (with all between), or the server's own as it is now"
                );
                untrusted(f, host, &why, (pin, seen))
            }
            Self::CertificateUnknownIssuer { host, file: None, pin, seen } => {
                let why = "who made it is not among this machine's authorities; the certificate of a private authority, or \
                           the server's own if it signed it itself, goes into UPLOAD_CA_FILE";
                untrusted(f, host, why, (pin, seen))
            }
            Self::CertificateBadSignature { host, error, pin, seen } => {
                let why = format!(
                    "its signature cannot be checked ({error}); make a new one with SHA-256 and a key of at least 2048 bits \
                     (RSA) or 256 bits (ECDSA)"
                );
                untrusted(f, host, &why, (pin, seen))
            }
            Self::CertificateOfAuthority { host, alternative, pin, seen } => {
                let why = "it may vouch for others (CA:TRUE), which no server's may";
                untrusted(f, host, &made_anew(why, alternative), (pin, seen))
            }
            Self::CertificateUntrusted { host, error, alternative, pin, seen } => {
                untrusted(f, host, &made_anew(error, alternative), (pin, seen))
            }

            Self::ConnectionBroke { target, error, setting } => {
                write!(f, "the connection to {target} broke: {error}")?;
                setting.as_ref().map_or(Ok(()), |setting| {
                    write!(f, "; if that port speaks TLS, the address in {setting} must begin with https://")
                })
            }
            Self::LineTooSlow { target, sent, bytes, least } => write!(
                f,
                "{target} did not take the picture in time: {sent} of {bytes} bytes went out, and then too few; the line \
                 must carry at least {least} bytes per second; smaller pictures need less time"
            ),
            Self::NoAnswer { target, seconds, longer } => write!(
                f,
                "{target} did not answer in time: everything was sent, and then there was no answer for {seconds} s; \
                 UPLOAD_TIMEOUT={longer} gives it longer"
            ),
            Self::AnswerStalled { target } => write!(f, "{target} did not answer in time"),
            Self::AnswerCut => f.write_str("the connection broke before the answer was whole"),
            Self::AnswerEarly { status, left, bytes } => write!(
                f,
                "answered {status} before it had the picture: {left} of {bytes} bytes were still to be sent"
            ),

            Self::WebPage { status, words, rule } => {
                write!(
                    f,
                    "answered {status} with a web page instead of taking the picture; is it a captive portal or the wrong \
                     address? {}",
                    answered(*status, words)
                )?;
                rule.as_ref().map_or(Ok(()), |rule| write!(f, "; nor is it what UPLOAD_SUCCESS={rule} wants"))
            }
            Self::Redirected { status, to, setting } => write!(
                f,
                "redirected ({status}) to {}; pictures follow no redirects, set {setting} to the final address",
                to.as_deref().unwrap_or("nowhere")
            ),
            Self::LoginRefused { status, words, setting } => {
                write!(f, "{}; check {setting}", answered(*status, words))
            }
            Self::PathRefused { status, words, setting } => {
                write!(f, "{}; check the path in {setting}", answered(*status, words))
            }
            Self::Answered { status, words } => f.write_str(&answered(*status, words)),
            Self::NotTaken { status, words } => {
                write!(f, "answered {status}, but did not take the picture: {words}")
            }
            Self::RuleUnmet { status, rule, is_json, place, value, words } => {
                let seen = match (is_json, place, value) {
                    (false, ..) => " (it is no JSON)".to_owned(),
                    (true, Some(place), Some(value)) => format!(" ({place} is {value})"),
                    (true, Some(place), None) => format!(" (there is no {place})"),
                    (true, None, _) => String::new(),
                };
                let said = if words.is_empty() { "it said nothing" } else { "it said " };
                write!(
                    f,
                    "answered {status}, but by UPLOAD_SUCCESS={rule} that is no delivery{seen}: {said}{words}; if it was \
                     one, change UPLOAD_SUCCESS"
                )
            }
            Self::RelayUndecided { status, words, setting } => write!(
                f,
                "answered {status} without \"success\": {words}; is {setting} the upload address of another box?"
            ),
            Self::RelayUnlike { status, words, setting } => write!(
                f,
                "answered {status} without JSON: {words}; is {setting} the upload address of another box?"
            ),

            Self::WebhookUnlike { status, words } => write!(
                f,
                "answered {status} without JSON: {words}; is DISCORD_WEBHOOK_URL the address of a webhook?"
            ),
            Self::PictureLeftOut { status, bytes } => {
                write!(f, "answered {status}, but the message is without the picture ({bytes} bytes)")
            }
            Self::RateLimited => f.write_str("the channel takes no message yet (rate limit)"),
            Self::PictureShrunk { status, bytes, less } => write!(
                f,
                "answered {status}: {bytes} bytes are too large; the next try has at most {less}"
            ),
            Self::PictureTooLarge { bytes, most } => write!(
                f,
                "a picture that cannot be made smaller of {bytes} bytes is larger than the channel takes ({most}, \
                 DISCORD_MAX_BYTES)"
            ),
            Self::ClipTooLarge { bytes, most } => write!(
                f,
                "a clip of {bytes} bytes is larger than the channel takes ({most}, DISCORD_MAX_BYTES)"
            ),
            Self::WebhookGone { status, words } => write!(f, "answered {status}: {words}; {NEW_WEBHOOK}"),
            Self::ThreadNeeded { status, words } => write!(
                f,
                "answered {status}: {words}; it is a forum channel: put ?thread_id=number with the number of one of its \
                 posts behind DISCORD_WEBHOOK_URL"
            ),
            Self::ThreadBad { status, words } => {
                write!(f, "answered {status}: {words}; check thread_id in DISCORD_WEBHOOK_URL")
            }
            Self::ChannelBad { status, words } => write!(
                f,
                "answered {status}: {words}; check the channel, and thread_id in DISCORD_WEBHOOK_URL if there is one"
            ),
            Self::ChannelForbidden { status, words } => write!(
                f,
                "answered {status}: {words}; check the permissions of the channel, or make the webhook of \
                 DISCORD_WEBHOOK_URL anew"
            ),

            Self::StoreAnswered { status, error, words } => f.write_str(&stored(*status, error, words)),
            Self::StoreFull { status, error, words } => write!(
                f,
                "{}; the store is full or its quota is used up (the keys are right): make room there, or raise the quota",
                stored(*status, error, words)
            ),
            Self::SignatureRewritten { status, error, words, seen, signed } => write!(
                f,
                "{}; the store saw the host {seen} instead of {signed}, so a proxy on the way rewrites Host: let it pass \
                 Host on as it came, or set S3_ENDPOINT to the address that the store knows itself by",
                stored(*status, error, words)
            ),
            Self::SignatureRefused { status, error, words } => write!(
                f,
                "{}; check S3_SECRET_ACCESS_KEY, and S3_REGION if the store is strict about it; if they are right, a proxy \
                 before the store rewrites Host or the path: let it pass both on as they came (nginx: proxy_set_header Host \
                 $http_host), or set S3_ENDPOINT to the address that the store knows itself by",
                stored(*status, error, words)
            ),
            Self::AccessKeyRefused { status, error, words } => {
                write!(f, "{}; check S3_ACCESS_KEY_ID", stored(*status, error, words))
            }
            Self::SessionTokenRefused { status, error, words } => write!(
                f,
                "{}; check S3_SESSION_TOKEN, temporary keys run out",
                stored(*status, error, words)
            ),
            Self::AccountClosed { status, error, words } => write!(
                f,
                "{}; the account is closed for now, look into the store's console",
                stored(*status, error, words)
            ),
            Self::PutForbidden { status, error, words } => write!(
                f,
                "{}; the key must be allowed to put objects into S3_BUCKET (s3:PutObject)",
                stored(*status, error, words)
            ),
            Self::NoBucket { status, error, words } => write!(
                f,
                "{}; check S3_BUCKET, and S3_STYLE; buckets are not made by this program",
                stored(*status, error, words)
            ),
            Self::BucketElsewhere { status, error, words, region, endpoint } => {
                let said = match (error.as_str(), words.as_str()) {
                    ("", "") => format!("answered {status}: the bucket is elsewhere"),
                    (error, words) => stored(*status, error, words),
                };
                write!(f, "{said}; ")?;
                match (region, endpoint) {
                    (Some(region), Some(to)) => write!(f, "set S3_REGION={region} and S3_ENDPOINT={to}"),
                    (Some(region), None) => {
                        write!(f, "set S3_REGION={region} and the S3_ENDPOINT of that region")
                    }
                    (None, Some(to)) => {
                        write!(f, "set S3_ENDPOINT={to}, and S3_REGION to the region of that address")
                    }
                    (None, None) => f.write_str("check S3_REGION and S3_ENDPOINT"),
                }
            }
            Self::ClockDiffers { status, error, words } => write!(
                f,
                "{}; the clock of this machine or of the store is wrong",
                stored(*status, error, words)
            ),
            Self::ObjectUnproven { status, object } => write!(
                f,
                "answered {status}, but nothing shows that the picture arrived: its ETag is not the MD5 of the picture, it \
                 does not repeat the checksum, and {object}; is S3_ENDPOINT an S3 store, and may the key read objects \
                 (s3:GetObject)?"
            ),
            Self::ObjectNameTaken { cause, bytes } => write!(
                f,
                "{cause}; another object has this name ({bytes} bytes were to be sent, and it is not the same): boxes that \
                 share a bucket need an S3_PREFIX of their own"
            ),
            Self::ObjectNotThere { cause, object } => write!(f, "{cause}; {object}"),
        }
    }
}

/// A certificate that has a fault, and what to do.
fn made_anew(fault: &str, alternative: &str) -> String {
    format!(
        "{fault}; put this very certificate into UPLOAD_CA_FILE, or make one with basicConstraints=critical,CA:FALSE and \
         subjectAltName={alternative}"
    )
}

impl fmt::Display for ObjectOddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status } => write!(f, "a look at the object was answered {status}"),
            Self::NoLength => f.write_str("a look at the object there shows no length"),
            Self::Length { bytes, wanted } => {
                write!(f, "the object there has {bytes} bytes instead of {wanted}")
            }
            Self::Content => f.write_str("the object there has the same length but another SHA-256"),
        }
    }
}
