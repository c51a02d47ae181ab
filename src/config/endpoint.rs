//! Addresses of servers that take pictures.

use url::{Host, Url};

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

/// Domains of makers whose stores are not called `s3…`; the place (`fra1.`, `acc.r2.`, `storage.`) stands before them.
const STORES: [&str; 13] = [
    "aliyuncs.com",
    "cloudflarestorage.com",
    "contabostorage.com",
    "digitaloceanspaces.com",
    "dream.io",
    "exo.io",
    "googleapis.com",
    "linodeobjects.com",
    "myhuaweicloud.com",
    "myqcloud.com",
    "storjshare.io",
    "vultrobjects.com",
    "your-objectstorage.com",
];

/// How the address of a store and the name of a bucket stand to each other. Dashboards show the address with the bucket in it,
/// and who copies that would have everything in `bucket/bucket/`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// It is the address of a store.
    No,
    /// The path ends with the bucket; this is the address without it.
    InPath(Url),
    /// The host is that of the bucket, of a store that is known by its name; this is the address without it.
    InHost(Url),
    /// The host begins with the name of the bucket, which may be its own; this is the address without it.
    PerhapsInHost(Url),
    /// The path begins with the bucket and goes on; this is the address without path, and what goes on.
    WithFolder(Url, String),
}

/// Whether a store's address has the bucket in it.
pub(super) fn holds_bucket(endpoint: &Url, bucket: &str) -> Holds {
    let mut shorter = endpoint.clone();
    let segments: Vec<_> = endpoint.path().split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.split_first() {
        _ if segments.last() == Some(&bucket) => {
            shorter.set_path(&segments[..segments.len() - 1].join("/"));
            return Holds::InPath(shorter);
        }
        Some((first, folder)) if *first == bucket => {
            shorter.set_path("");
            return Holds::WithFolder(shorter, folder.join("/"));
        }
        _ => {}
    }
    let Some(Host::Domain(host)) = endpoint.host() else { return Holds::No };
    let Some(rest) = host.strip_prefix(bucket).and_then(|rest| rest.strip_prefix('.')) else {
        return Holds::No;
    };
    if shorter.set_host(Some(rest)).is_err() {
        return Holds::No;
    }
    let is_place_of = |domain: &str| rest.strip_suffix(domain).is_some_and(|place| place.ends_with('.'));
    let is_store = rest.split('.').any(|label| label == "s3" || label.starts_with("s3-"))
        || STORES.into_iter().any(is_place_of);
    if is_store { Holds::InHost(shorter) } else { Holds::PerhapsInHost(shorter) }
}

/// The address of a Discord webhook as it is meant, and what is to be said about the one that was given.
pub(super) fn webhook(mut url: Url) -> (Url, Option<String>) {
    let segments: Vec<String> =
        url.path().split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    let behind = segments.iter().rposition(|segment| segment == "webhooks").map(|at| segments.len() - at - 1);
    let host = url.host_str().unwrap_or_default();
    let is_discord = ["discord.com", "discordapp.com", "discord.gg"]
        .into_iter()
        .any(|name| host.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('.')));
    match behind {
        Some(2) => {
            url.set_path(&segments.join("/"));
            (url, None)
        }
        Some(3)
            if ["slack", "github"].contains(&segments[segments.len() - 1].to_ascii_lowercase().as_str()) =>
        {
            let (end, front) = (&segments[segments.len() - 1], &segments[..segments.len() - 1]);
            url.set_path(&front.join("/"));
            let words = format!(
                "has /{} at its end, which is for messages of another form and is left out; delete it there",
                end.to_ascii_lowercase()
            );
            (url, Some(words))
        }
        _ if is_discord => {
            let words = "is an address of Discord, but not that of a webhook (https://discord.com/api/webhooks/number/token); \
                         make one in the channel's settings, Integrations, and copy its address";
            (url, Some(words.to_owned()))
        }
        _ => (url, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_bucket_is_found_wherever_it_stands_in_the_address_of_a_store() {
        for (endpoint, expected) in [
            ("https://s3.example", Holds::No),
            ("https://s3.example/store", Holds::No),
            ("https://gateway.example", Holds::No),
            ("https://s3.example/gates", Holds::No),
            ("http://127.0.0.1:9000/", Holds::No),
            (
                "https://acc.r2.cloudflarestorage.com/gate",
                Holds::InPath(url("https://acc.r2.cloudflarestorage.com")),
            ),
            ("http://127.0.0.1:9000/gate/", Holds::InPath(url("http://127.0.0.1:9000"))),
            ("https://s3.example/store/gate", Holds::InPath(url("https://s3.example/store"))),
            ("https://s3.example/gate/gate", Holds::InPath(url("https://s3.example/gate"))),
            (
                "https://gate.s3.eu-central-1.amazonaws.com",
                Holds::InHost(url("https://s3.eu-central-1.amazonaws.com")),
            ),
            (
                "https://gate.s3-eu-west-1.amazonaws.com",
                Holds::InHost(url("https://s3-eu-west-1.amazonaws.com")),
            ),
            (
                "https://gate.fra1.digitaloceanspaces.com",
                Holds::InHost(url("https://fra1.digitaloceanspaces.com")),
            ),
            ("https://gate.s3.own.example:9000", Holds::InHost(url("https://s3.own.example:9000"))),
            ("https://gate.storage.googleapis.com", Holds::InHost(url("https://storage.googleapis.com"))),
            // The place, and not the bucket.
            ("https://gate.vultrobjects.com", Holds::PerhapsInHost(url("https://vultrobjects.com"))),
            ("https://gate.example.org", Holds::PerhapsInHost(url("https://example.org"))),
            (
                "https://s3.example/gate/in/day",
                Holds::WithFolder(url("https://s3.example"), "in/day".to_owned()),
            ),
        ] {
            assert_eq!(holds_bucket(&url(endpoint), "gate"), expected, "{endpoint}");
        }
    }

    #[test]
    fn a_webhooks_address_is_that_of_its_token() {
        const HOOK: &str = "https://discord.com/api/webhooks/17/token";
        for (text, expected, word) in [
            (HOOK.to_owned(), HOOK.to_owned(), ""),
            (format!("{HOOK}/"), HOOK.to_owned(), ""),
            (format!("{HOOK}?thread_id=9"), format!("{HOOK}?thread_id=9"), ""),
            (format!("{HOOK}/slack"), HOOK.to_owned(), "/slack"),
            (format!("{HOOK}/Slack/"), HOOK.to_owned(), "/slack"),
            (format!("{HOOK}/github?thread_id=9"), format!("{HOOK}?thread_id=9"), "/github"),
            (
                "http://proxy.example/x/api/v10/webhooks/17/token/slack".to_owned(),
                "http://proxy.example/x/api/v10/webhooks/17/token".to_owned(),
                "/slack",
            ),
            ("http://proxy.example/slack".to_owned(), "http://proxy.example/slack".to_owned(), ""),
            (
                "https://discord.com/channels/1/2".to_owned(),
                "https://discord.com/channels/1/2".to_owned(),
                "Integrations",
            ),
            ("https://discord.gg/abc".to_owned(), "https://discord.gg/abc".to_owned(), "Integrations"),
            (
                "https://ptb.discord.com/api/webhooks/17".to_owned(),
                "https://ptb.discord.com/api/webhooks/17".to_owned(),
                "token",
            ),
        ] {
            let (meant, words) = webhook(url(&text));
            assert_eq!(meant.as_str(), expected, "{text}");
            assert_eq!(words.is_some(), !word.is_empty(), "{text}: {words:?}");
            assert!(words.unwrap_or_default().contains(word), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_address_panics_and_what_is_left_holds_the_bucket_once_less(
            path in "(/(gate|x|%67|)){0,4}", host in "(gate\\.|s3\\.|x\\.){0,3}(example|gate)",
        ) {
            let text = format!("https://{host}{path}");
            let endpoint = url(&text);
            let count = |url: &Url| url.as_str().matches("gate").count();
            match holds_bucket(&endpoint, "gate") {
                Holds::No => {}
                Holds::InPath(shorter) | Holds::InHost(shorter) | Holds::PerhapsInHost(shorter) => {
                    prop_assert_eq!(count(&shorter) + 1, count(&endpoint));
                }
                Holds::WithFolder(shorter, folder) => {
                    prop_assert_eq!(shorter.path(), "/");
                    prop_assert!(!folder.is_empty());
                }
            }
            // Only that it returns matters.
            let _ = webhook(endpoint);
        }
    }
}
