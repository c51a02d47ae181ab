//! Addresses of servers that take pictures.

use url::Url;

use super::problem::Wrong;

/// Longest address, bytes; servers refuse longer ones.
const URL_BYTES_MAX: usize = 4096;

/// An address that can be posted to; it may carry user, password and query.
pub(super) fn http_address(text: &str) -> Result<Url, Wrong> {
    // Not named from the text: which of them stand in a password is nobody's business.
    let wrong = |what: &str| {
        let accepted = "http://host/path or https://host/path";
        let is_login = text.contains('@');
        let hint = if is_login {
            "; in a user or password write # as %23, / as %2F, ? as %3F, @ as %40"
        } else {
            ""
        };
        Wrong::new(what, format!("{accepted}{hint}"))
    };
    let text = text.trim();
    if text.len() > URL_BYTES_MAX {
        return Err(wrong("too long"));
    }
    let url = Url::parse(text).map_err(|_| wrong("not an address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("neither http nor https"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(wrong("has no host"));
    }
    if url.port() == Some(0) {
        return Err(wrong("has port 0"));
    }
    if url.fragment().is_some() {
        return Err(wrong("has a #, which is never sent"));
    }
    Ok(url)
}

/// The address of a store: scheme, host, port and perhaps a path, but no log-in and no query.
pub(super) fn store_address(text: &str) -> Result<Url, Wrong> {
    let url = http_address(text)?;
    let accepted = "https://host or https://host:port, without the bucket";
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("has a user or password; the keys have variables of their own", accepted));
    }
    if url.query().is_some() {
        return Err(Wrong::new("has a ?", accepted));
    }
    Ok(url)
}
