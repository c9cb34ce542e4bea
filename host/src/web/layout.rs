//! What all pages have in common.

use axum::response::Html as HtmlResponse;

use super::html::{Html, html};
use crate::problem::{utc_rfc3339, utc_text};

/// Where a page belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Conversations,
    Compose,
    Contacts,
    Settings,
    /// Nobody is signed in: there is nowhere to go.
    SignIn,
    None,
}

/// A whole page.
pub(super) fn page(title: &str, section: Section, main: &Html) -> HtmlResponse<String> {
    let sections = [
        (Section::Conversations, "/", "Conversations"),
        (Section::Compose, "/compose", "New mail"),
        (Section::Contacts, "/contacts", "Contacts"),
        (Section::Settings, "/settings", "Settings"),
    ];
    let shown = if section == Section::SignIn {
        &[][..]
    } else {
        &sections
    };
    let links: Vec<Html> = shown
        .iter()
        .map(|&(target, path, name)| {
            let current = (target == section).then(|| html!(" aria-current=\"page\""));
            html!("<a href=\"" (path) "\"" (current) ">" (name) "</a>")
        })
        .collect();
    let page = html!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\"><title>" (title) " · Twinbox</title>"
        "<link rel=\"icon\" href=\"/assets/icon.svg\"><link rel=\"stylesheet\" href=\"/assets/style.css\">"
        "<script src=\"/assets/live.js\" defer></script><script src=\"/assets/write.js\" defer></script></head><body>"
        "<header><span class=\"brand\">Twinbox</span><nav aria-label=\"Sections\">" (links) "</nav></header>"
        (main) "</body></html>"
    );
    HtmlResponse(page.into_string())
}

/// A point in time. The page's script shows it in the reader's own zone.
pub(super) fn time(milliseconds: u64) -> Html {
    html!(
        "<time datetime=\"" (utc_rfc3339(milliseconds)) "\">" (utc_text(milliseconds)) "</time>"
    )
}
