//! Where a connection to a target begins.

/// The first machine on the way to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Host and port as they are shown.
    pub address: String,
    /// The setting it comes from, if it is a proxy.
    pub proxy: Option<String>,
}

impl Hop {
    /// What it is called in words.
    pub fn name(&self) -> String {
        match &self.proxy {
            Some(setting) => format!("the proxy {} ({setting})", self.address),
            None => self.address.clone(),
        }
    }
}
