//! Who is asking: the address, and who the gate has let in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::{HttpMessage as _, HttpRequest, web};

use super::State;
use super::error::ApiError;
use super::forwarded;
use super::throttle::Guesser;
use crate::config::{DeviceConfig, Network};
use crate::store::Scope;

/// Name of the cookie by which a browser is known that was let in before.
pub(super) const DEVICE_COOKIE: &str = "device";

/// Who is asking.
#[derive(Clone, Debug)]
pub(super) enum Principal {
    /// A browser with a session.
    Session { id_hash: [u8; 32], csrf: String },
    /// A program with a token.
    Token { hash: [u8; 32], id: i64, scope: Scope },
    /// A program with a token that another program signed; for what is streamed alone.
    Jwt { scope: Scope, until_s: i64 },
    /// A browser or program on this machine, where no password is asked for.
    Local,
}

/// A device that may bring pictures and do nothing else.
#[derive(Clone, Debug)]
pub(super) struct Bringer(pub(super) Arc<DeviceConfig>);

/// The address at the other end of the connection: the visitor's or that of a proxy.
pub(super) fn connection(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical())
}

/// The address of the visitor, for the throttle and the log: behind a trusted proxy the one that it names.
pub(super) fn peer(request: &HttpRequest) -> IpAddr {
    forwarded::client(connection(request), request.headers(), trusted(request))
}

fn trusted(request: &HttpRequest) -> &[Network] {
    request.app_data::<web::Data<State>>().map_or(&[], |state| &state.config.web.trusted_proxies)
}

/// Whether the visitor speaks TLS with the proxy in front.
pub(super) fn is_https(request: &HttpRequest) -> bool {
    forwarded::is_https(connection(request), request.headers(), trusted(request))
}

/// Who was let in; every handler behind the gate has one.
pub(super) fn admitted(request: &HttpRequest) -> Result<Principal, ApiError> {
    request.extensions().get::<Principal>().cloned().ok_or_else(ApiError::unauthorized)
}

/// Which device was let in; every handler for devices has one.
pub(super) fn device(request: &HttpRequest) -> Result<Arc<DeviceConfig>, ApiError> {
    let bringer = request.extensions().get::<Bringer>().cloned();
    bringer.map(|Bringer(device)| device).ok_or_else(ApiError::unauthorized)
}

/// Who is about to guess.
pub(super) async fn visitor(request: &HttpRequest, state: &State) -> Result<Guesser, ApiError> {
    let (connection, peer) = (connection(request), peer(request));
    let is_proxy = connection.is_loopback()
        || state.config.web.trusted_proxies.iter().any(|network| network.contains(connection));
    // Then it is not known who is behind it.
    let is_shared = is_proxy && peer == connection;
    let cookie = request.cookie(DEVICE_COOKIE);
    state.auth.visitor(peer, is_shared, cookie.as_ref().map(|cookie| cookie.value())).await
}
