//! Why a camera gives no pictures, for programs.

use super::coded::coded;

coded! {
    /// Why a camera gives no pictures. Codes and names of parameters are stable: they are in the API.
    pub enum CameraFault {
        /// It has not been connected yet.
        "connecting" => Connecting { address: String },
        /// Its name has no address.
        "name_unknown" => NameUnknown { host: String, number: u64, snapshot: bool },
        /// It must not be contacted there.
        "off_limits" => OffLimits { reason: String },
        /// The connection was refused.
        "nothing_listens" => NothingListens { address: String, snapshot: bool },
        /// No way leads there.
        "no_route" => NoRoute { address: String },
        /// It does not answer.
        "no_answer" => NoAnswer { address: String, seconds: Option<u64> },
        /// Its web server does not answer.
        "no_web_answer" => NoWebAnswer { address: String, seconds: u64, is_tls: bool },
        /// No connection came about.
        "no_connection" => NoConnection { address: String, error: String, snapshot: bool },
        /// Something on this machine did not work.
        "machine_fault" => MachineFault { address: String, error: String },
        /// This machine makes no secured connections.
        "no_tls_client" => NoTlsClient { error: String },
        /// It broke the connection off, or the network did.
        "connection_broke" => ConnectionBroke { address: String, error: Option<String>, is_silent: bool },
        /// It closed the connection while it sent video.
        "closed" => Closed { address: String },
        /// It closed the connection before.
        "closed_early" => ClosedEarly { address: String },
        /// It closed the connection when it was told who asks.
        "closed_after_login" => ClosedAfterLogin { address: String, number: u64 },
        /// Its video did not come in time.
        "too_slow" => TooSlow { address: String, seconds: u64, next: u64 },
        /// It began an answer and did not end it.
        "answer_stalled" => AnswerStalled { address: String, seconds: u64 },
        /// The library could not open a session.
        "session_failed" => SessionFailed { address: String },

        /// It wants a user name and password.
        "login_missing" => LoginMissing { address: String, number: u64, kinds: Option<String> },
        /// It refused them.
        "login_refused" => LoginRefused { address: String, number: u64, kinds: Option<String> },
        /// It refused them in HTTP around RTSP.
        "tunnel_login_refused" => TunnelLoginRefused { address: String, number: u64 },
        /// It does not say how to log in.
        "login_unsaid" => LoginUnsaid { address: String, number: u64 },
        /// It wants a log-in of an unknown kind.
        "login_strange" => LoginStrange { address: String, kinds: String },
        /// Nobody may see the stream without a log-in.
        "stream_forbidden" => StreamForbidden { address: String, number: u64 },
        /// The user may not see the stream, or the log-in is wrong.
        "user_forbidden" => UserForbidden { address: String, number: u64 },
        /// The user may not see the picture.
        "picture_forbidden" => PictureForbidden { address: String, number: u64 },

        /// There is no such stream.
        "no_stream" => NoStream { address: String, number: u64, url: String, status: u16 },
        /// It has no session free.
        "no_session" => NoSession { address: String },
        /// It does not send in that way.
        "transport_refused" => TransportRefused { address: String, number: u64, transport: String },
        /// It is starting or busy.
        "busy" => Busy { address: String, status: u16 },
        /// It speaks another RTSP.
        "version_unknown" => VersionUnknown { address: String, number: u64 },
        /// It refused to say what it has.
        "describe_refused" => DescribeRefused { address: String, number: u64, url: String, status: u16 },
        /// It refused to set its video up.
        "setup_refused" => SetupRefused { address: String, number: u64, transport: String, status: u16 },
        /// It refused to send.
        "play_refused" => PlayRefused { address: String, number: u64, status: u16 },
        /// It answered with a status that is none.
        "status_unknown" => StatusUnknown { address: String, status: u16 },
        /// It does not take RTSP inside HTTP.
        "tunnel_refused" => TunnelRefused { address: String, number: u64, status: Option<u16> },
        /// The stream is elsewhere.
        "stream_elsewhere" => StreamElsewhere { address: String, number: u64, to: Option<String> },

        /// What answers is a web server.
        "port_is_http" => PortIsHttp { address: String, number: u64 },
        /// What answers wants TLS.
        "port_is_tls" => PortIsTls { address: String, number: u64 },
        /// It slipped in its own stream.
        "stream_garbled" => StreamGarbled { address: String, number: u64 },
        /// What came is no RTSP.
        "not_rtsp" => NotRtsp { address: String, number: u64 },
        /// A web page came.
        "web_page" => WebPage { address: String, number: u64 },
        /// An answer with two lengths.
        "length_contradictory" => LengthContradictory { address: String },
        /// A line without end.
        "line_too_long" => LineTooLong { address: String, most_kb: u64 },
        /// Headers without end.
        "headers_too_long" => HeadersTooLong { address: String, most: u64, most_kb: u64 },
        /// An answer without end.
        "answer_too_long" => AnswerTooLong { address: String, bytes: u64, most_kb: u64 },
        /// More media than a camera has.
        "media_too_many" => MediaTooMany { address: String, count: u64, most: u64 },
        /// A description without end.
        "description_too_long" => DescriptionTooLong { address: String, most: u64 },
        /// Data before any was asked for.
        "data_unasked" => DataUnasked { address: String, megabytes: u64 },
        /// A picture without end.
        "picture_endless" => PictureEndless { address: String, megabytes: u64 },
        /// Messages that nobody asked for.
        "messages_unasked" => MessagesUnasked { address: String },
        /// Packets that are no video.
        "packet_flood" => PacketFlood { address: String },
        /// More pictures than anything can take.
        "pictures_too_many" => PicturesTooMany { address: String, most: u64 },

        /// Nothing is offered.
        "nothing_offered" => NothingOffered { address: String, number: u64 },
        /// No video is offered.
        "no_video" => NoVideo { address: String, number: u64 },
        /// The video is of an unknown kind.
        "codec_unknown" => CodecUnknown { address: String, number: u64, codec: String },
        /// It sends to everybody on the network.
        "multicast" => Multicast { address: String, number: u64 },
        /// It sends datagrams only.
        "datagrams_only" => DatagramsOnly { address: String, number: u64 },
        /// None of its datagrams arrives.
        "datagrams_lost" => DatagramsLost { address: String, number: u64 },
        /// It is connected and sends no picture.
        "no_picture" => NoPicture { address: String, seconds: u64 },
        /// It has sent no picture since the trigger.
        "no_picture_since" => NoPictureSince { address: String },
        /// It has sent no picture since it was connected.
        "no_first_picture" => NoFirstPicture { address: String, tenths: u64 },
        /// It sends damaged pictures only.
        "only_damaged" => OnlyDamaged { address: String, seconds: u64 },
        /// It sends no keyframe.
        "no_keyframe" => NoKeyframe { address: String, seconds: u64, usual: Option<u64> },
        /// A group of its pictures has no room.
        "group_too_large" => GroupTooLarge { address: String },
        /// Its pictures are too large.
        "picture_too_large" => PictureTooLarge { address: String, number: u64, error: String, snapshot: bool },
        /// The size of its JPEG pictures is not known.
        "jpeg_size_unknown" => JpegSizeUnknown { address: String },

        /// Nobody who is trusted vouches for its certificate.
        "certificate_unknown" =>
            CertificateUnknown { address: String, number: u64, file: Option<String>, seen: String },
        /// Its certificate is not the pinned one.
        "certificate_changed" => CertificateChanged { address: String, number: u64, seen: String },
        /// Its certificate is over.
        "certificate_expired" => CertificateExpired { address: String, number: u64, days: u64, seen: String },
        /// Its certificate does not hold yet.
        "certificate_too_new" => CertificateTooNew { address: String, number: u64, days: u64, seen: String },
        /// Its certificate is of other names.
        "certificate_of_others" => CertificateOfOthers {
            address: String, number: u64, names: String, setting: String, seen: String,
        },
        /// It cannot prove that the certificate is its own.
        "certificate_unproven" => CertificateUnproven { address: String, error: String },
        /// It does not speak TLS.
        "tls_missing" => TlsMissing { address: String, setting: String, plain: String },
        /// Its TLS is too old.
        "tls_too_old" => TlsTooOld { address: String, setting: String, plain: String },
        /// It wants a certificate of its client.
        "tls_client_certificate" => TlsClientCertificate { address: String },
        /// It closed the connection before it was secured.
        "tls_closed" => TlsClosed { address: String, setting: String, plain: String },
        /// It did not answer in TLS.
        "tls_silent" => TlsSilent { address: String, setting: String, plain: String, seconds: u64 },
        /// TLS failed otherwise.
        "tls_failed" => TlsFailed { address: String, error: String },

        /// It redirects.
        "redirected" => Redirected { address: String, number: u64, to: Option<String> },
        /// It redirects without end.
        "redirected_in_circles" => RedirectedInCircles { address: String, number: u64, count: u64 },
        /// A stream came instead of a picture.
        "stream_of_pictures" => StreamOfPictures { address: String, number: u64, kind: String },
        /// The answer is too large.
        "answer_too_large" => AnswerTooLarge { address: String, number: u64, most_mib: u64 },
        /// There is no such picture.
        "no_such_picture" => NoSuchPicture { address: String, number: u64, url: String },
        /// It failed by itself.
        "camera_failed" => CameraFailed { address: String, status: u16 },
        /// It answered with another status.
        "status" => Status { address: String, number: u64, status: u16 },
        /// The picture broke off.
        "picture_broke_off" => PictureBrokeOff { address: String, received: u64, bytes: Option<u64> },
        /// The picture is empty.
        "picture_empty" => PictureEmpty { address: String },
        /// A web page came instead of a picture.
        "page_not_picture" => PageNotPicture { address: String, number: u64, title: Option<String> },
        /// The picture came packed.
        "picture_packed" => PicturePacked { address: String },
        /// A picture of another format came.
        "not_jpeg" => NotJpeg { address: String, number: u64, format: String },
        /// Something else came.
        "not_picture" => NotPicture { address: String, number: u64, kind: String },
        /// The picture is cut off.
        "picture_cut_off" => PictureCutOff { address: String, bytes: u64 },
        /// The picture is damaged.
        "picture_damaged" => PictureDamaged { address: String, bytes: u64 },
        /// It accepts connections and sends nothing.
        "nothing_sent" => NothingSent { address: String, seconds: u64 },
        /// The picture did not come in time.
        "picture_too_slow" => PictureTooSlow { address: String, bytes: u64, seconds: u64 },
        /// The connection broke before an answer.
        "broke_before_answer" => BrokeBeforeAnswer { address: String, error: String },
        /// It gives the same picture again and again.
        "picture_repeated" => PictureRepeated { address: String, count: u64 },
        /// It gives pictures that were taken before.
        "pictures_stale" => PicturesStale { address: String, count: u64 },
    }
}

impl CameraFault {
    /// Whether another transport may help.
    pub fn is_about_transport(&self) -> bool {
        matches!(
            self,
            Self::TransportRefused { .. }
                | Self::SetupRefused { .. }
                | Self::TunnelLoginRefused { .. }
                | Self::TunnelRefused { .. }
                | Self::StreamGarbled { .. }
                | Self::Multicast { .. }
                | Self::DatagramsOnly { .. }
                | Self::DatagramsLost { .. }
        )
    }
}
