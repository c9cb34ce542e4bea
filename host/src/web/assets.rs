//! The files the pages refer to, served from memory.

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    routing::{MethodRouter, get},
};

use super::WebState;

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files' routes.
pub(super) fn routes() -> Router<WebState> {
    Router::new()
        .route(
            "/assets/style.css",
            file("text/css; charset=utf-8", include_str!("assets/style.css")),
        )
        .route("/assets/live.js", file(SCRIPT, include_str!("assets/live.js")))
        .route(
            "/assets/htmx.js",
            file(SCRIPT, include_str!("assets/vendor/htmx.min.js")),
        )
        .route(
            "/assets/htmx-ext-sse.js",
            file(SCRIPT, include_str!("assets/vendor/htmx-ext-sse.min.js")),
        )
        .route(
            "/assets/idiomorph-ext.js",
            file(SCRIPT, include_str!("assets/vendor/idiomorph-ext.min.js")),
        )
        .route("/assets/write.js", file(SCRIPT, include_str!("assets/write.js")))
        .route(
            "/assets/icon.svg",
            file("image/svg+xml", include_str!("assets/icon.svg")),
        )
}

fn file(kind: &'static str, text: &'static str) -> MethodRouter<WebState> {
    get(([(CONTENT_TYPE, kind), (CACHE_CONTROL, "max-age=300")], text))
}
