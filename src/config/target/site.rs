//! What is known of this site while its targets are read.

use url::Url;

/// What is known of all pictures, and may stand in what is sent.
pub(in crate::config) struct SiteFacts<'a> {
    /// `UPLOAD_METADATA`.
    pub(in crate::config) are_sent: bool,
    /// `SITE_NAME`, if it is right.
    pub(in crate::config) name: Option<&'a str>,
    /// Whether there is one, right or wrong.
    pub(in crate::config) has_name: bool,
    /// `PUBLIC_URL`, if it is right.
    pub(in crate::config) public_url: Option<&'a Url>,
    /// Whether what stands in `WEB_…` is right; else a problem was said of it.
    pub(in crate::config) is_web_right: bool,
}
