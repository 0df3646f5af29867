//! The built-in page: files of `dashboards/mission-control`, part of the binary.
//!
//! Nothing is built or fetched for it, and nothing of it may run but these files: what a route or a header is called is
//! shown as text, and should that ever fail, the browser runs no script that is not in the list below.

use axum::{
    Router,
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};

/// What the page may load and talk to: its own origin, and nothing written inline.
const MAY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                   base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// What the page is made of, by the names that the browser asks for.
        const FILES: &[(&str, &str)] = &[$((
            concat!("/page/", $name),
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/mission-control/", $name)),
        )),*];
    };
}

files![
    "style.css",
    "panels.css",
    "icon.svg",
    "main.js",
    "actions.js",
    "chart.js",
    "connection.js",
    "decisions.js",
    "dom.js",
    "flow.js",
    "format.js",
    "freeze.js",
    "keys.js",
    "money.js",
    "radar.js",
    "routes.js",
    "sentence.js",
    "services.js",
    "theme.js",
    "timeline.js",
    "words.js",
];

const INDEX: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/mission-control/index.html"));

/// Answers the page to who reads HTML, and `text` to all others.
pub(super) fn index(headers: &HeaderMap, text: &'static str) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut response = if accepts.into_iter().any(|value| value.contains("text/html")) {
        file("index.html", INDEX)
    } else {
        text.into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Serves the files that the page asks for.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().fold(Router::new(), |router, &(name, text)| {
        router.route(name, get(async move || file(name, text)))
    })
}

fn file(name: &str, text: &'static str) -> Response {
    let kind = match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    let headers: [(HeaderName, &'static str); 6] = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, MAY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        // Another version of the gateway has another page.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of it, in bytes.
    const MOST: usize = 200_000;

    #[test]
    fn all_of_it_is_small() {
        let bytes = INDEX.len() + FILES.iter().map(|(_, text)| text.len()).sum::<usize>();
        assert!(bytes < MOST, "{bytes} bytes");
    }

    #[test]
    fn nothing_is_inline_and_nothing_is_asked_of_others() {
        for (name, text) in FILES.iter().copied().chain([("index.html", INDEX)]) {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML"]
            {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
            for forbidden in ["eval(", "document.write", "new Function", "@import", "style=\""] {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
        }
        assert!(!INDEX.contains("<script>") && !INDEX.contains("<style"), "inline");
    }

    #[test]
    fn all_files_are_served_and_no_more_are_asked_for() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../dashboards/mission-control");
        let mut there: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "index.html")
            .map(|name| format!("/page/{name}"))
            .collect();
        there.sort_unstable();
        let mut served: Vec<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        served.sort_unstable();
        assert_eq!(there, served);
        let is_module = |name: &str| matches!(name.rsplit_once('.'), Some((_, "js")));
        for (name, text) in FILES.iter().filter(|(name, _)| is_module(name)) {
            for part in text.split("from \"./").skip(1) {
                let wanted = format!("/page/{}", part.split('"').next().unwrap());
                assert!(served.contains(&wanted), "{name} imports {wanted}");
            }
        }
    }

    #[test]
    fn browsers_get_the_page_and_others_a_list() {
        let kind = |accept: &'static str| {
            let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            let response = index(&headers, "list");
            response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned()
        };
        assert_eq!(kind("text/html,application/xhtml+xml,*/*;q=0.8"), "text/html; charset=utf-8");
        assert_eq!(kind("*/*"), "text/plain; charset=utf-8");
        assert_eq!(kind("application/json"), "text/plain; charset=utf-8");
    }
}
