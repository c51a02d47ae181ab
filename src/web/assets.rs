//! The pages and what they load: embedded in the binary, served with an ETag. A debug build reads them from the source
//! tree, so that editing them needs no rebuild.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::State;
use super::error::ApiError;
use super::files::is_known;
use crate::model::hex;

/// A browser asks each time whether it still has the right version, and mostly has.
const CACHE: &str = "no-cache";

/// How `login.html` says that it asks for the password.
const MODE_LOGIN: &str = "data-mode=\"login\"";

/// How it says that it asks for the set-up code and a first password.
const MODE_SETUP: &str = "data-mode=\"setup\"";

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($constant:ident $name:literal $kind:literal) => {
        static $constant: Asset =
            Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../../web/", $name)) };
    };
}

asset!(INDEX "index.html" "text/html; charset=utf-8");
asset!(LOGIN "login.html" "text/html; charset=utf-8");
asset!(APP_JS "app.js" "text/javascript; charset=utf-8");
asset!(LIVE_JS "live.js" "text/javascript; charset=utf-8");
asset!(STREAM_JS "stream.js" "text/javascript; charset=utf-8");
asset!(LATENCY "latency.html" "text/html; charset=utf-8");
asset!(LATENCY_JS "latency.js" "text/javascript; charset=utf-8");
asset!(LOGIN_JS "login.js" "text/javascript; charset=utf-8");
asset!(CSS "app.css" "text/css; charset=utf-8");
asset!(ICON "icon.svg" "image/svg+xml");
asset!(OPENAPI "openapi.json" "application/json");

macro_rules! parts {
    ($($name:literal)*) => {
        &[$(Asset {
            name: concat!("page/", $name),
            kind: "text/javascript; charset=utf-8",
            bytes: include_bytes!(concat!("../../web/page/", $name)),
        }),*]
    };
}

/// The modules of the dashboard, which `app.js` puts together.
static PARTS: &[Asset] = parts!(
    "api.js" "cameras.js" "changes.js" "contacts.js" "devices.js" "dialogs.js" "dom.js" "events.js" "gallery.js" "links.js" "lists.js"
    "load.js" "picture.js" "plates.js" "quarantine.js" "settings.js" "state.js" "storage.js" "summary.js" "targets.js" "time.js" "top.js" "tryout.js"
    "words.js"
);

impl Asset {
    fn bytes(&self) -> Bytes {
        if cfg!(debug_assertions) {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web").join(self.name);
            if let Ok(bytes) = std::fs::read(path) {
                return bytes.into();
            }
        }
        Bytes::from_static(self.bytes)
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        answer(request, StatusCode::OK, self.kind, self.bytes())
    }
}

fn answer(request: &HttpRequest, status: StatusCode, kind: &str, bytes: Bytes) -> HttpResponse {
    let etag = format!("\"{}\"", &hex(&Sha256::digest(&bytes))[..32]);
    let is_known = status == StatusCode::OK && is_known(request, &etag);
    let mut answer = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { status });
    answer.insert_header((header::CACHE_CONTROL, CACHE)).insert_header((header::ETAG, etag));
    if is_known { answer.finish() } else { answer.content_type(kind).body(bytes) }
}

pub(super) async fn dashboard(request: HttpRequest) -> HttpResponse {
    INDEX.answer(&request)
}

pub(super) async fn login(request: HttpRequest) -> HttpResponse {
    login_page(&request, StatusCode::OK).await
}

/// The log-in page, or the set-up page while there is no password.
pub(super) async fn login_page(request: &HttpRequest, status: StatusCode) -> HttpResponse {
    let needs_setup = match request.app_data::<web::Data<State>>() {
        // When the store cannot say, logging in is tried; that will tell what is wrong.
        Some(state) => state.auth.needs_setup().await.unwrap_or(false),
        None => false,
    };
    let bytes = LOGIN.bytes();
    let page = match std::str::from_utf8(&bytes) {
        Ok(text) if needs_setup => Bytes::from(text.replacen(MODE_LOGIN, MODE_SETUP, 1)),
        Ok(_) | Err(_) => bytes,
    };
    answer(request, status, LOGIN.kind, page)
}

pub(super) async fn script(request: HttpRequest) -> HttpResponse {
    APP_JS.answer(&request)
}

pub(super) async fn part(request: HttpRequest, script: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let part = PARTS.iter().find(|part| part.name.strip_prefix("page/") == Some(script.as_str()));
    part.map(|part| part.answer(&request))
        .ok_or_else(|| ApiError::not_found("the dashboard has no such script"))
}

pub(super) async fn live_script(request: HttpRequest) -> HttpResponse {
    LIVE_JS.answer(&request)
}

pub(super) async fn stream_script(request: HttpRequest) -> HttpResponse {
    STREAM_JS.answer(&request)
}

pub(super) async fn login_script(request: HttpRequest) -> HttpResponse {
    LOGIN_JS.answer(&request)
}

pub(super) async fn latency(request: HttpRequest) -> HttpResponse {
    LATENCY.answer(&request)
}

pub(super) async fn latency_script(request: HttpRequest) -> HttpResponse {
    LATENCY_JS.answer(&request)
}

pub(super) async fn style(request: HttpRequest) -> HttpResponse {
    CSS.answer(&request)
}

pub(super) async fn icon(request: HttpRequest) -> HttpResponse {
    ICON.answer(&request)
}

pub(super) async fn openapi(request: HttpRequest) -> HttpResponse {
    OPENAPI.answer(&request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts() -> impl Iterator<Item = &'static Asset> {
        [&APP_JS, &LIVE_JS, &STREAM_JS, &LATENCY_JS, &LOGIN_JS].into_iter().chain(PARTS)
    }

    /// All that is loaded; the description of the API is for programs.
    fn all() -> impl Iterator<Item = &'static Asset> {
        [&INDEX, &LOGIN, &LATENCY, &CSS, &ICON].into_iter().chain(scripts())
    }

    #[test]
    fn the_dashboard_begins_with_less_than_100_kb_and_all_assets_together_stay_under_160_kb() {
        let index = std::str::from_utf8(INDEX.bytes).unwrap();
        let begins =
            |asset: &&Asset| asset.name == INDEX.name || index.contains(&format!("\"/{}\"", asset.name));
        let total =
            |assets: &mut dyn Iterator<Item = &Asset>| assets.map(|asset| asset.bytes.len()).sum::<usize>();
        let (first, all) = (total(&mut all().filter(begins)), total(&mut all()));
        assert!(first < 100_000 && all < 160_000, "{first}, {all}");
    }

    #[test]
    fn every_module_of_the_dashboard_is_served() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web/page");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("page/{}", entry.unwrap().file_name().into_string().unwrap()))
            .collect();
        files.sort();
        assert_eq!(PARTS.iter().map(|part| part.name).collect::<Vec<_>>(), files);
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for page in [&INDEX, &LOGIN, &LATENCY] {
            let text = std::str::from_utf8(page.bytes).unwrap();
            for forbidden in ["<style", " style=", " onclick=", "javascript:", "http://", "https://"] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", page.name);
            }
            assert!(!text.contains("<script>"), "{}", page.name);
        }
        for script in scripts() {
            let text = std::str::from_utf8(script.bytes).unwrap();
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"] {
                assert!(!text.contains(forbidden), "{}: {forbidden}", script.name);
            }
        }
    }

    #[test]
    fn the_log_in_page_can_become_the_set_up_page() {
        assert_eq!(std::str::from_utf8(LOGIN.bytes).unwrap().matches(MODE_LOGIN).count(), 1);
    }
}
