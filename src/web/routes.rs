//! The table of routes: everything that is served, who may have it, what it takes and gives. What is not in the table is
//! refused. The API's description is made of it (`openapi.rs`).

use actix_web::http::Method;
use actix_web::web;

use super::code::ErrorCode::*;
use super::parameters::{
    self, OF_CAMERA, OF_FILE, OF_LINK, OF_PUBLIC, OF_READING, OF_REFUSED, OF_SCRIPT, OF_SESSION, OF_TARGET,
    OF_TOKEN, OF_TRIGGER,
};
use super::route::{Gives, events, json, media, nothing};
use super::view::account::{
    AskerView, ChangePassword, LogIn, MadeToken, SessionList, SessionsEnded, SetUp, TokenList, TokenWish,
    WelcomeView,
};
use super::view::analyses::{
    AnalysesOwed, AnalysesView, AnalysisAnswerView, CorrectionWish, WatchedSeen, WatchedSeenCount,
};
use super::view::contact::{GpioView, SimulatedView};
use super::view::event::{EventPage, SeenCount, SeenWish};
use super::view::health::{Healthy, Unhealthy};
use super::view::image::{ImagePage, ImageView, Protect};
use super::view::latency::{LatencyKnown, LatencyTaken, Taken};
use super::view::link::{LinkList, LinkWish, MadeLink};
use super::view::quarantine::QuarantineList;
use super::view::receiver::{FileList, LastReceived, ReceivedPicture, Triggered};
use super::view::retention::{CleanUp, ReportView};
use super::view::simulation::Simulation;
use super::view::status::{StatsView, StatusView};
use super::view::streaming::{CameraSetUp, CameraStanding, Disconnected, FrameSeen, Links, SetUpCamera};
use super::view::target::TestView;
use super::view::upload::{DeadLetterPage, OwedAgain, RetryWish};
use super::{
    account, actions, analysis, assets, gpio, images, ingest, latency, links, live, metrics, mjpeg, overview,
    quarantine, receiver, sessions, socket, streaming, tokens, tryout, uploads,
};
use crate::store::Scope;

pub use super::route::{Access, Route};

/// The least scope of a token: a word of [`Scope`], or `-` for none.
macro_rules! scope {
    (-) => {
        None
    };
    ($scope:ident) => {
        Some(Scope::$scope)
    };
}

macro_rules! route {
    ($method:ident $path:literal $access:ident $scope:tt $handler:path) => {
        Route::new(Method::$method, $path, Access::$access, scope!($scope), stringify!($handler), || {
            web::method(Method::$method).to($handler)
        })
    };
}

const HTML: &str = "text/html";
const SCRIPT: &str = "text/javascript";
const JPEG: &str = "image/jpeg";
const TEXT: &str = "text/plain";
const MP4: &str = "video/mp4";

/// Everything that is served.
pub const ROUTES: &[Route] = &[
    route!(GET "/" Page Read assets::dashboard)
        .says("the dashboard")
        .gives(&[media(200, HTML, "the dashboard"), NOT_CHANGED, LOG_IN_PAGE]),
    route!(GET "/login" Public - assets::login)
        .says("the log-in page, or the set-up page while there is no password")
        .gives(&[media(200, HTML, "the page"), NOT_CHANGED]),
    route!(GET "/login.js" Public - assets::login_script)
        .says("script of the log-in page")
        .gives(&[media(200, SCRIPT, "script"), NOT_CHANGED]),
    route!(GET "/app.css" Public - assets::style)
        .says("style of all pages")
        .gives(&[media(200, "text/css", "style"), NOT_CHANGED]),
    route!(GET "/icon.svg" Public - assets::icon)
        .says("icon")
        .gives(&[media(200, "image/svg+xml", "icon"), NOT_CHANGED]),
    route!(GET "/app.js" Session Read assets::script)
        .says("script of the dashboard")
        .gives(&[media(200, SCRIPT, "script"), NOT_CHANGED]),
    route!(GET "/page/{script}" Session Read assets::part)
        .says("a module of the dashboard's script")
        .path(OF_SCRIPT)
        .gives(&[media(200, SCRIPT, "script"), NOT_CHANGED])
        .refuses(&[NotFound]),
    route!(GET "/live.js" Session Read assets::live_script)
        .says("script of the live picture")
        .gives(&[media(200, SCRIPT, "script"), NOT_CHANGED]),
    route!(GET "/stream.js" Session Read assets::stream_script)
        .says("the script of the live events, one connection for all tabs")
        .gives(&[media(200, SCRIPT, "script"), NOT_CHANGED]),
    route!(GET "/latency" Page Read assets::latency)
        .says("the page that measures the latency of a camera, ?camera=r1")
        .gives(&[media(200, HTML, "the page"), NOT_CHANGED, LOG_IN_PAGE]),
    route!(GET "/latency.js" Session Read assets::latency_script)
        .says("script of the latency page")
        .gives(&[media(200, SCRIPT, "script"), NOT_CHANGED]),
    route!(GET "/health" Public - overview::health)
        .says("whether the program can do its work")
        .gives(&[json::<Healthy>(200, "it can"), json::<Unhealthy>(503, "it cannot; the failing parts")]),
    route!(GET "/metrics" Session Read metrics::metrics)
        .says("numbers for Prometheus")
        .gives(&[media(200, "text/plain", "text format 0.0.4")]),
    route!(GET "/api/openapi.json" Session Read assets::openapi)
        .says("this description")
        .gives(&[media(200, "application/json", "OpenAPI 3.1"), NOT_CHANGED]),
    route!(POST "/api/login" Public - account::log_in)
        .says("log in")
        .takes::<LogIn>()
        .gives(&[json::<WelcomeView>(200, WELCOME)])
        .refuses(&[WrongPassword, TooManyRequests, StoreFailed, NoRandom]),
    route!(POST "/api/setup" Public - account::set_up)
        .says("set the first password")
        .more("The code stands in the program's log of its last start.")
        .takes::<SetUp>()
        .gives(&[json::<WelcomeView>(200, WELCOME)])
        .refuses(&[WrongCode, AlreadySetUp, PasswordRefused, TooManyRequests, StoreFailed, NoRandom]),
    route!(POST "/api/logout" Person - account::log_out)
        .says("log out")
        .gives(&[nothing(204, "the session has ended")]),
    route!(POST "/api/password" Person - account::change_password)
        .says("change the password; every session ends, a new one begins")
        .takes::<ChangePassword>()
        .gives(&[json::<WelcomeView>(200, WELCOME)])
        .refuses(&[WrongConfirmation, NoPassword, PasswordRefused, TooManyRequests, NoRandom]),
    route!(GET "/api/session" Session Read account::session)
        .says("who is asking, and their CSRF token")
        .gives(&[json::<AskerView>(200, "who is asking")]),
    route!(GET "/api/sessions" Person - sessions::list)
        .says("who is logged in")
        .gives(&[json::<SessionList>(200, "the newest first")]),
    route!(POST "/api/sessions/end-others" Person - sessions::end_others)
        .says("end every session but one's own")
        .gives(&[json::<SessionsEnded>(200, "how many")])
        .refuses(&[NoSession]),
    route!(DELETE "/api/sessions/{id}" Person - sessions::end)
        .says("end a session")
        .path(OF_SESSION)
        .gives(&[nothing(204, "ended")])
        .refuses(&[NotFound]),
    route!(GET "/api/tokens" Person - tokens::list)
        .says("tokens for programs")
        .gives(&[json::<TokenList>(200, "without their secrets")]),
    route!(POST "/api/tokens" Person - tokens::make)
        .says("make a token")
        .takes::<TokenWish>()
        .gives(&[json::<MadeToken>(201, "the secret is shown this once")])
        .refuses(&[PasswordRequired, WrongConfirmation, TooManyRequests, NoRandom]),
    route!(DELETE "/api/tokens/{id}" Person - tokens::revoke)
        .says("revoke a token")
        .path(OF_TOKEN)
        .gives(&[nothing(204, "revoked")])
        .refuses(&[NotFound]),
    route!(GET "/api/status" Session Read overview::status)
        .says("the state of every part")
        .gives(&[json::<StatusView>(200, "status")]),
    route!(GET "/api/stats" Session Read overview::stats)
        .says("counts, per camera, per target and in total")
        .gives(&[json::<StatsView>(200, "counts")]),
    route!(GET "/api/images" Session Read images::list)
        .says("pictures and clips, newest first")
        .query(parameters::IMAGES)
        .gives(&[json::<ImagePage>(200, "a page")]),
    route!(GET "/api/images/{filename}" Session Read images::file)
        .says("a picture or clip")
        .more("ETag, If-None-Match, Range and If-Range are honoured.")
        .path(OF_FILE)
        .query(parameters::THUMB)
        .gives(IMAGE_FILE)
        .refuses(&[NotFound, NoThumbnail, Unreadable, Stopping]),
    route!(DELETE "/api/images/{filename}" Session Full images::delete)
        .says("delete a picture")
        .path(OF_FILE)
        .query(parameters::FORCE)
        .gives(&[nothing(204, "deleted")])
        .refuses(&[NotFound, Protected, UploadOwed]),
    route!(POST "/api/images/{filename}/protect" Session Operate images::protect)
        .says("protect a picture from deletion, or no longer")
        .path(OF_FILE)
        .takes::<Protect>()
        .gives(&[json::<ImageView>(200, "the picture")])
        .refuses(&[NotFound]),
    route!(POST "/api/images/{filename}/retry" Session Operate images::retry)
        .says("deliver now what was put aside or waits")
        .path(OF_FILE)
        .gives(&[json::<ImageView>(200, "the picture")])
        .refuses(&[NotFound]),
    route!(POST "/api/images/{filename}/link" Session Operate links::make)
        .says("make a public link to a picture or clip")
        .more("Whoever has its address sees that one picture, without logging in, until it ends or is revoked.")
        .path(OF_FILE)
        .may_take::<LinkWish>()
        .gives(&[json::<MadeLink>(201, "the address is shown this once")])
        .refuses(&[NotFound, TooManyLinks, NoRandom]),
    route!(GET "/api/images/{filename}/links" Session Read links::of_image)
        .says("the public links of a picture or clip that hold")
        .path(OF_FILE)
        .gives(&[json::<LinkList>(200, "without their addresses")])
        .refuses(&[NotFound]),
    route!(GET "/api/links" Session Read links::list)
        .says("all public links that hold")
        .query(parameters::LINKS)
        .gives(&[json::<LinkList>(200, "the newest of them, without their addresses")]),
    route!(DELETE "/api/links/{id}" Session Operate links::revoke)
        .says("revoke a public link")
        .path(OF_LINK)
        .gives(&[nothing(204, "it leads nowhere from now on")])
        .refuses(&[NotFound]),
    route!(GET "/s/{token}.jpg" Link - links::open_picture)
        .says("the picture of a public link")
        .more("A link that has ended, was revoked or never was, and one whose picture is gone, are answered alike.")
        .path(OF_PUBLIC)
        .gives(PUBLIC_PICTURE)
        .refuses(&[NotFound, TooManyRequests, StoreFailed]),
    route!(HEAD "/s/{token}.jpg" Link - links::head_of_picture)
        .says("what the picture of a public link is, without it; not counted")
        .path(OF_PUBLIC)
        .gives(PUBLIC_PICTURE)
        .refuses(&[NotFound, TooManyRequests, StoreFailed]),
    route!(GET "/s/{token}.mp4" Link - links::open_clip)
        .says("the clip of a public link")
        .path(OF_PUBLIC)
        .gives(PUBLIC_CLIP)
        .refuses(&[NotFound, TooManyRequests, StoreFailed]),
    route!(HEAD "/s/{token}.mp4" Link - links::head_of_clip)
        .says("what the clip of a public link is, without it; not counted")
        .path(OF_PUBLIC)
        .gives(PUBLIC_CLIP)
        .refuses(&[NotFound, TooManyRequests, StoreFailed]),
    route!(GET "/api/images/{filename}/analysis" Session Read analysis::answer)
        .says("what the server that reads number plates said of a picture")
        .path(OF_FILE)
        .gives(&[json::<AnalysisAnswerView>(200, "its words")])
        .refuses(&[NotFound]),
    route!(POST "/api/images/{filename}/analyse" Session Operate analysis::analyse)
        .says("ask that server about a picture now, also again")
        .more("The answer comes with the live changes. What a person confirmed or corrected stays.")
        .path(OF_FILE)
        .gives(&[json::<ImageView>(200, "the picture")])
        .refuses(&[NotFound, AnalysisOff]),
    route!(POST "/api/images/{filename}/readings/{reading}" Session Operate analysis::correct)
        .says("confirm or correct what was read in a picture")
        .more("What was read is kept beside it.")
        .path(OF_READING)
        .takes::<CorrectionWish>()
        .gives(&[json::<ImageView>(200, "the picture")])
        .refuses(&[NotFound]),
    route!(GET "/api/analysis" Session Read analysis::overview)
        .says("how reading number plates stands: what waits, what it cost, what a person has to look at, the watch list")
        .gives(&[json::<AnalysesView>(200, "state")]),
    route!(POST "/api/analysis/retry" Session Operate analysis::retry)
        .says("ask again about everything that was put aside")
        .gives(&[json::<AnalysesOwed>(200, "how many pictures are asked about again")])
        .refuses(&[AnalysisOff]),
    route!(POST "/api/analysis/seen" Session Operate analysis::see)
        .says("texts of the watch list that were read were seen by a person, up to this one; ends their alarm")
        .takes::<WatchedSeen>()
        .gives(&[json::<WatchedSeenCount>(200, "how many of them were news, and how many are still unseen")]),
    route!(GET "/api/uploads/dead" Session Read uploads::dead)
        .says("uploads that were put aside, newest picture first")
        .more("They stay until they are sent again and taken, or their picture is deleted by hand.")
        .query(parameters::DEAD)
        .gives(&[json::<DeadLetterPage>(200, "a page"), media(200, "text/csv", "or the table")]),
    route!(POST "/api/uploads/retry" Session Operate uploads::retry)
        .says("send again everything that was put aside")
        .takes::<RetryWish>()
        .gives(&[json::<OwedAgain>(200, "how many are owed again")])
        .refuses(&[TargetOff]),
    route!(POST "/api/uploads/test/{target}" Session Operate tryout::try_out)
        .says("send a test picture to an upload target")
        .more(
            "The picture says TEST, is called test_<seconds>_<number>.jpg, is sent once, and stands in no list here; it \
             stays at the target. Answered within a minute, also when the target did not take it; one at a time.",
        )
        .path(OF_TARGET)
        .gives(&[json::<TestView>(200, "what was seen, step by step")])
        .refuses(&[NotFound, TooManyRequests]),
    route!(GET "/api/events" Session Read images::events)
        .says("the ledger, newest first")
        .query(parameters::EVENTS)
        .gives(&[json::<EventPage>(200, "a page")]),
    route!(POST "/api/events/seen" Session Operate images::see)
        .says("failed triggers up to this one were seen by a person; every dashboard is told")
        .takes::<SeenWish>()
        .gives(&[json::<SeenCount>(200, "how many of them were news, and how many are still unseen")]),
    route!(POST "/api/events/{id}/link" Session Operate links::make_of_trigger)
        .says("make a public link to the picture of a trigger")
        .more("It shows the best picture as soon as there is one, else that of the instant.")
        .path(OF_TRIGGER)
        .may_take::<LinkWish>()
        .gives(&[json::<MadeLink>(201, "the address is shown this once")])
        .refuses(&[NotFound, TooManyLinks, NoRandom]),
    route!(GET "/api/stream" Session Read live::stream)
        .says("live changes as server-sent events")
        .more("`x-events` has the shape of each event's data. After `resync` everything has to be read anew.")
        .query(&[])
        .gives(&[events("events, until the session ends", live::EVENTS)])
        .refuses(&[TooManyStreams]),
    route!(GET "/api/live/{camera}.mjpeg" Session Read mjpeg::stream)
        .says("the live picture as one JPEG after another, for an img element")
        .path(OF_CAMERA)
        .query(parameters::LIVE)
        .gives(&[media(
            200,
            "multipart/x-mixed-replace",
            "parts of image/jpeg until the viewer or the session ends; a slow viewer misses pictures; the last one is \
             sent again after 10 s without a new one",
        )])
        .refuses(&[NotFound, Disabled, TooManyViewers, NoFrame, Stopping]),
    route!(GET "/api/live/{camera}/ws" Session Read socket::open)
        .says("the live picture over a WebSocket")
        .more(socket::ABOUT)
        .path(OF_CAMERA)
        .query(parameters::LIVE_SOCKET)
        .gives(&[nothing(101, "the WebSocket is open")])
        .refuses(&[WebsocketOnly, NotFound, Disabled, TooManyViewers, Stopping]),
    route!(POST "/api/capture/{camera}" Session Operate actions::capture)
        .says("take a picture now")
        .path(OF_CAMERA)
        .gives(&[json::<ImageView>(201, "the picture")])
        .refuses(&[NotFound, Disabled, Busy, Kept, Stopping, NoFrame, Full]),
    route!(GET "/api/snapshot/{camera}" Session Read actions::snapshot)
        .says("a fresh picture that is not stored")
        .path(OF_CAMERA)
        .gives(&[media(200, JPEG, "the JPEG")])
        .refuses(&[NotFound, Disabled, Stopping, NoFrame]),
    route!(GET "/api/latency/{camera}" Session Read latency::known)
        .says("the latency of a camera, and the box's clock to measure it by")
        .path(OF_CAMERA)
        .query(&[])
        .gives(&[json::<LatencyKnown>(200, "what is known of it")])
        .refuses(&[NotFound]),
    route!(POST "/api/latency/{camera}" Session Full latency::take)
        .says("takes a measured latency over, now and after restarts; null forgets it")
        .path(OF_CAMERA)
        .takes::<Taken>()
        .gives(&[json::<LatencyTaken>(200, "what is in use now")])
        .refuses(&[NotFound, Set, CameraClock, NoStream]),
    route!(GET "/api/latency/{camera}/read" Session Read latency::read)
        .says(
            "measures the latency: reads the time code of the latency page from the camera's frames, as server-sent \
             events",
        )
        .more("The events have no names; the last one's state is done or failed.")
        .path(OF_CAMERA)
        .query(&[])
        .gives(&[events("how it goes", latency::EVENTS)])
        .refuses(&[NotFound, Disabled, CameraClock, NoStream, TooManyViewers, Stopping]),
    route!(POST "/upload" Device - ingest::upload)
        .says("a device brings a picture")
        .more(
            "The body is the JPEG, whatever it is called, or a form with it as part `file`, else the first part that is a \
             JPEG. Answered when it is safe. The same picture of a device twice is stored once. A device that cannot send \
             its token as bearer may send it as X-Token or, where nothing but an address can be set, as ?token=.",
        )
        .query(parameters::DEVICE)
        .takes_bytes(&[JPEG, "application/octet-stream", "multipart/form-data"])
        .gives(&[json::<ReceivedPicture>(200, "it is stored and will be delivered")])
        .refuses(&[NotJpeg, Torn, TooManyPixels, TooManyRequests, Kept, Stopping, Full]),
    route!(GET "/api/quarantine" Session Read quarantine::list)
        .says("what devices brought that was refused and kept")
        .gives(&[json::<QuarantineList>(200, "all of it")]),
    route!(GET "/api/quarantine/{name}" Session Read quarantine::file)
        .says("one of them as it came, to be saved and not to be shown")
        .path(OF_REFUSED)
        .gives(&[media(200, "application/octet-stream", "its bytes")])
        .refuses(&[NotFound]),
    route!(DELETE "/api/quarantine/{name}" Session Full quarantine::delete)
        .says("delete one of them")
        .path(OF_REFUSED)
        .gives(&[nothing(204, "deleted")])
        .refuses(&[NotFound]),
    route!(POST "/trigger" Session Operate receiver::trigger)
        .says("take a picture now, as the pages of older receivers ask for it")
        .more("A camera whose device brings the picture to /upload instead of answering with it has ten seconds.")
        .query(parameters::TRIGGER)
        .gives(&[json::<Triggered>(200, "the picture is stored")])
        .refuses(&[NotFound, Disabled, Busy, Kept, Stopping, NoFrame, Full]),
    route!(GET "/last_image" Session Read receiver::last_image)
        .says("the address of the picture that came last")
        .gives(&[json::<LastReceived>(200, "it"), media(200, TEXT, "its address alone, for Accept: text/plain")])
        .refuses(&[NotFound]),
    route!(GET "/uploads/{filename}" Session Read images::file)
        .says("a picture, as /api/images/{filename}")
        .path(OF_FILE)
        .query(parameters::THUMB)
        .gives(IMAGE_FILE)
        .refuses(&[NotFound, NoThumbnail, Unreadable, Stopping]),
    route!(GET "/list" Session Read receiver::list)
        .says("pictures, the one that came last first")
        .query(parameters::FILES)
        .gives(&[json::<FileList>(200, "the newest of them")]),
    route!(POST "/streaming/setup-camera" Stream Operate streaming::set_up)
        .says("take a camera's address over, once it answers there")
        .more(
            "The camera of CAMERA_n_STREAMING. It is asked GET / and must say yes; it is there again after a restart. Only \
             addresses in STREAM_ALLOW; redirects are not followed.",
        )
        .takes::<SetUpCamera>()
        .gives(&[json::<CameraSetUp>(200, "it is set up")])
        .refuses(&[NoSlot, BadCamera, CameraAway, CameraSilent]),
    route!(GET "/streaming/camera-status" Stream Read streaming::standing)
        .says("whether a camera is set up, and where")
        .gives(&[json::<CameraStanding>(200, "as it is")]),
    route!(GET "/streaming/links" Stream Read streaming::links)
        .says("addresses with a ticket, for img elements and WebSockets that can send no header")
        .more("A ticket may look and no more. It ends with the session or token of whoever had it made.")
        .gives(&[json::<Links>(200, "valid for five minutes")]),
    route!(GET "/streaming/snapshot" Stream Read streaming::snapshot)
        .says("a fresh picture of that camera that is not stored")
        .query(parameters::TICKET)
        .gives(&[media(200, JPEG, "the JPEG")])
        .refuses(&[NoSlot, NoCamera, Stopping, NoFrame]),
    route!(GET "/streaming/stream" Stream Read streaming::stream)
        .says("the camera's picture as one JPEG after another, for an img element")
        .query(parameters::TICKET)
        .gives(&[media(
            200,
            "multipart/x-mixed-replace",
            "parts of image/jpeg, boundary frame, as the camera brings them; a slow viewer misses pictures; the last one is \
             sent again after 10 s without a new one",
        )])
        .refuses(&[NoSlot, NoCamera, TooManyViewers, NoFrame]),
    route!(GET "/streaming/ws-stream" Stream Read streaming::open)
        .says("the same over a WebSocket")
        .more(streaming::ABOUT)
        .query(parameters::STREAM_SOCKET)
        .gives(&[nothing(101, "the WebSocket is open")])
        .refuses(&[WebsocketOnly, NoSlot, NoCamera, TooManyViewers]),
    route!(POST "/streaming/analyze-stream" Stream Operate streaming::analyze)
        .says("take a picture of that camera and look at it")
        .more(
            "Where ANALYSE_URL is set, the server that reads number plates is asked about it at once, within the same limits of \
             cost; the picture is not stored.",
        )
        .gives(&[json::<FrameSeen>(200, "its size, and what was read in it")])
        .refuses(&[NoSlot, NoCamera, Stopping, NoFrame]),
    route!(DELETE "/streaming/disconnect-camera" Stream Operate streaming::disconnect)
        .says("forget the camera; also where there is none")
        .gives(&[json::<Disconnected>(200, "none is set up")])
        .refuses(&[NoSlot]),
    route!(POST "/api/cleanup/run" Session Full actions::clean_up)
        .says("one retention run, or what it would do")
        .may_take::<CleanUp>()
        .gives(&[json::<ReportView>(200, "what it did")])
        .refuses(&[RetentionFailed]),
    route!(GET "/api/gpio/status" Session Read gpio::status)
        .says("the contacts")
        .gives(&[json::<GpioView>(200, "contacts")]),
    route!(POST "/api/gpio/sim/{camera}" Session Operate gpio::simulate)
        .says("move a simulated contact")
        .path(OF_CAMERA)
        .takes::<Simulation>()
        .gives(&[json::<SimulatedView>(200, "how it stands")])
        .refuses(&[NotFound, NoContact, Stopping]),
];

const WELCOME: &str =
    "logged in: the cookies session and device are set, mutations carry csrf_token in X-CSRF-Token";
const IMAGE_FILE: &[Gives] = &[
    media(200, JPEG, "the picture"),
    media(200, MP4, "the clip"),
    media(206, JPEG, "a part of the picture"),
    media(206, MP4, "a part of the clip"),
    NOT_CHANGED,
    nothing(416, "no such range"),
];
const PUBLIC_PICTURE: &[Gives] = &[
    media(200, JPEG, "the picture"),
    media(206, JPEG, "a part of it"),
    NOT_CHANGED,
    nothing(416, "no such range"),
];
const PUBLIC_CLIP: &[Gives] = &[
    media(200, MP4, "the clip"),
    media(206, MP4, "a part of it"),
    NOT_CHANGED,
    nothing(416, "no such range"),
];
const NOT_CHANGED: Gives = nothing(304, "not changed");
const LOG_IN_PAGE: Gives = media(401, HTML, "without a session the log-in page stands here");

/// What receivers before this program served, which is all there is on a port of their own.
pub(super) const OLDER: &[&str] =
    &["/health", ingest::UPLOAD, "/trigger", "/last_image", "/uploads/{filename}", "/list"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_routes_are_public() {
        let public: Vec<_> =
            ROUTES.iter().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
        assert_eq!(
            public,
            ["/login", "/login.js", "/app.css", "/icon.svg", "/health", "/api/login", "/api/setup"]
        );
    }

    #[test]
    fn whoever_has_its_address_gets_a_link_and_nothing_else() {
        let links: Vec<_> =
            ROUTES.iter().filter(|route| route.access == Access::Link).map(|route| route.path).collect();
        assert_eq!(links, ["/s/{token}.jpg", "/s/{token}.jpg", "/s/{token}.mp4", "/s/{token}.mp4"]);
        assert!(!OLDER.iter().any(|path| links.contains(path)));
    }

    #[test]
    fn what_older_receivers_served_is_in_the_table() {
        assert!(OLDER.iter().all(|path| ROUTES.iter().any(|route| route.path == *path)));
    }

    #[test]
    fn nothing_of_the_table_is_for_nobody() {
        assert!(ROUTES.iter().all(|route| route.access != Access::Nobody));
    }

    #[test]
    fn every_route_behind_the_gate_says_what_a_token_needs_and_those_for_persons_take_none() {
        for route in ROUTES {
            let takes_tokens = matches!(route.access, Access::Page | Access::Session | Access::Stream);
            assert_eq!(route.scope.is_some(), takes_tokens, "{} {}", route.method, route.path);
            assert!(!route.is_change() || route.scope != Some(Scope::Read), "{}", route.path);
        }
    }
}
