//! Stub.
use crate::{
    capture::Captures, config::Config, retention::Retention, status::Status, store::Store,
    trigger::SimContacts, upload::Poke,
};
/// x
pub const PASSWORD_KEY: &str = "p";
/// x
pub fn hash_password(_: &str) -> Result<String, std::io::Error> {
    Ok(String::new())
}
/// x
#[derive(Clone)]
pub struct Parts;
impl Parts {
    /// x
    pub fn new(
        _: &Config,
        _: &Store,
        _: &Status,
        _: &Captures,
        _: &Retention,
        _: SimContacts,
        _: Vec<Poke>,
    ) -> anyhow::Result<Self> {
        Ok(Parts)
    }
}
/// x
pub struct Bound;
/// x
pub fn bind(_: Parts) -> std::io::Result<Bound> {
    Ok(Bound)
}
impl Bound {
    /// x
    pub fn addr(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }
    /// x
    pub async fn run(self, c: tokio_util::sync::CancellationToken) -> std::io::Result<()> {
        c.cancelled().await;
        Ok(())
    }
}
