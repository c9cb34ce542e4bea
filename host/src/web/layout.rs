//! What all pages have in common.

use maud::{DOCTYPE, Markup, html};

use crate::{
    people::Role,
    problem::{utc_rfc3339, utc_text},
};

/// Where a page belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Conversations,
    Compose,
    Contacts,
    Settings,
    /// For administrators.
    Operations,
    /// Nobody is signed in: there is nowhere to go.
    SignIn,
    None,
}

/// How htmx works here: nothing that the pages' policy forbids (inline style, `eval`), nothing of other sites, and no pages
/// kept in the browser's storage.
const HTMX: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"selfRequestsOnly":true,"historyCacheSize":0,"refreshOnHistoryMiss":true}"#;

/// The sections that have a place of their own.
const SECTIONS: [(Section, &str, &str); 5] = [
    (Section::Conversations, "/", "Conversations"),
    (Section::Compose, "/compose", "New mail"),
    (Section::Contacts, "/contacts", "Contacts"),
    (Section::Settings, "/settings", "Settings"),
    (Section::Operations, "/operations", "Operations"),
];

/// A whole page for whoever it is.
pub(super) fn page(title: &str, section: Section, main: &Markup) -> Markup {
    page_for(Role::User, title, section, main)
}

/// A whole page for somebody with this role.
pub(super) fn page_for(role: Role, title: &str, section: Section, main: &Markup) -> Markup {
    let sections = SECTIONS
        .into_iter()
        .filter(|(target, ..)| *target != Section::Operations || role == Role::Admin);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Twinbox" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/style.css";
                meta name="htmx-config" content=(HTMX);
                script src="/assets/htmx.js" defer {}
                script src="/assets/htmx-ext-sse.js" defer {}
                script src="/assets/idiomorph-ext.js" defer {}
                script src="/assets/live.js" defer {}
                script src="/assets/write.js" defer {}
            }
            body {
                header {
                    span.brand { "Twinbox" }
                    nav aria-label="Sections" {
                        @if section != Section::SignIn {
                            @for (target, path, name) in sections {
                                a href=(path) aria-current=[(target == section).then_some("page")] { (name) }
                            }
                        }
                    }
                }
                (main)
            }
        }
    }
}

/// The main part of a page whose parts with these ids stay up to date. An event has the page fetched anew, and the fresh
/// parts are laid over those that are there; whatever happens meanwhile is one more fetch. Forms in it that are boosted do
/// the same with what they are answered.
pub(super) fn live(class: &str, ids: &[&str], content: &Markup) -> Markup {
    live_on("sse:changed, htmx:sseOpen", class, ids, content)
}

/// The same for pages about connections.
pub(super) fn live_connections(class: &str, ids: &[&str], content: &Markup) -> Markup {
    live_on("sse:connection, sse:changed, htmx:sseOpen", class, ids, content)
}

fn live_on(events: &str, class: &str, ids: &[&str], content: &Markup) -> Markup {
    let parts: Vec<String> = ids.iter().map(|id| format!("#{id}:morph")).collect();
    html! {
        main class=(class) hx-ext="sse,morph" sse-connect="/events" hx-get="" hx-trigger=(events)
            hx-sync="this:queue last" hx-swap="none" hx-select-oob=(parts.join(","))
            hx-disinherit="hx-get hx-trigger hx-sync" {
            (content)
        }
    }
}

/// Looks for something in a list.
pub(super) fn find_form(list: &str, what: &str, find: &str) -> Markup {
    html! {
        form.find method="get" action=(list) role="search" {
            input type="search" name="find" value=(find) maxlength="200" placeholder=(what) aria-label=(what);
            button { "Find" }
        }
    }
}

/// A point in time. The page's script shows it in the reader's own zone.
pub(super) fn time(milliseconds: u64) -> Markup {
    html! { time datetime=(utc_rfc3339(milliseconds)) { (utc_text(milliseconds)) } }
}
