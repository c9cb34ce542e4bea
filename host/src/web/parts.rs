//! The body of a message in its frame, and its attachments.

use std::collections::HashMap;

use axum::{
    body::Body,
    extract::{Path, Query},
    http::{
        HeaderValue,
        header::{
            CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};

use super::{
    Desk,
    escape::segment,
    failure::Failure,
    sanitise::{Context, RemoteImages, safe_body},
};
use crate::{contract::Attachment, crm::StoredMessage};

/// Images that browsers show and that hold no script; SVG does.
const IMAGES: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "image/bmp",
];
/// The largest image that is shown without being asked for, bytes.
const LARGEST_PREVIEW: u64 = 5 << 20;
const BODY_START: &str = "<!doctype html><html><head><meta charset=\"utf-8\">\
     <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Message</title><style>\
     html{background:#fff;color:#1b1b1f}body{font:15px/1.5 system-ui,sans-serif;margin:12px;\
     overflow-wrap:anywhere}img{max-width:100%;height:auto}table{max-width:100%}pre{white-space:pre-wrap}\
     details>summary{color:#555;cursor:pointer}img[data-remote-src]{min-width:1em;min-height:1em;\
     outline:1px dashed #999}</style></head><body>";

/// `GET /messages/{id}/body`; with `images=show` its remote images are fetched.
pub(super) async fn body(
    desk: Desk,
    Path(id): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Response, Failure> {
    let stored = desk.crm.message(&desk.tenant, &id).await?;
    let html = stored.message.content.html.filter(|_| !stored.deleted);
    let html = html.ok_or_else(Failure::not_found)?;
    let images = match query.get("images").map(String::as_str) {
        Some("show") => RemoteImages::Shown,
        _ => RemoteImages::Blocked,
    };
    let context = Context {
        message: &id,
        attachments: &stored.message.attachments,
        images,
    };
    let safe = safe_body(&html, &context);
    let page = format!("{BODY_START}{}</body></html>", safe.html);
    Ok((
        [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, body_policy(images)),
            (X_FRAME_OPTIONS, "SAMEORIGIN"),
            (REFERRER_POLICY, "no-referrer"),
        ],
        page,
    )
        .into_response())
}

/// `GET /messages/{id}/parts/{part}`: a download; images are shown.
pub(super) async fn part(desk: Desk, Path((id, part)): Path<(String, String)>) -> Result<Response, Failure> {
    part_of(&desk, &id, &part).await
}

/// A message's HTML, safe to show, remote images blocked.
pub(crate) fn safe_html(stored: &StoredMessage) -> Option<String> {
    let html = stored
        .message
        .content
        .html
        .as_deref()
        .filter(|_| !stored.deleted)?;
    let context = Context {
        message: &stored.id,
        attachments: &stored.message.attachments,
        images: RemoteImages::Blocked,
    };
    Some(safe_body(html, &context).html)
}

/// The bytes of an attachment.
pub(crate) async fn part_of(desk: &Desk, id: &str, part: &str) -> Result<Response, Failure> {
    if desk.crm.message(&desk.tenant, id).await?.deleted {
        return Err(Failure::not_found());
    }
    let (attachment, body) = desk.crm.attachment_body(&desk.tenant, id, part).await?;
    let (kind, how) = match image(&attachment) {
        Some(kind) => (kind, "inline"),
        None => ("application/octet-stream", "attachment"),
    };
    let body = match body {
        crate::body::Body::Inline(bytes) => Body::from(bytes),
        other => Body::from_stream(other.into_stream()),
    };
    Ok((
        [
            (CONTENT_TYPE, HeaderValue::from_static(kind)),
            (CONTENT_DISPOSITION, disposition(how, &attachment)),
            (
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; sandbox; frame-ancestors 'none'"),
            ),
        ],
        body,
    )
        .into_response())
}

/// Whether it is an image that the page may show.
pub(super) fn is_shown(attachment: &Attachment) -> bool {
    image(attachment).is_some() && attachment.size <= LARGEST_PREVIEW
}

fn image(attachment: &Attachment) -> Option<&'static str> {
    let mut images = IMAGES.iter().copied();
    images.find(|kind| attachment.media_type.eq_ignore_ascii_case(kind))
}

/// The name people are shown for an attachment; mail may give none.
pub(super) fn file_name(attachment: &Attachment) -> String {
    let name = attachment.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    match name.trim() {
        "" | "." | ".." => format!("attachment-{}", attachment.part),
        name => name.to_owned(),
    }
}

/// Policy of a body. The frame has no scripts whatever it allows; `allow-same-origin` lets the page's
/// own script fit the frame's height, and links open in a new tab.
fn body_policy(images: RemoteImages) -> &'static str {
    match images {
        RemoteImages::Blocked => {
            "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'none'; \
             base-uri 'none'; frame-ancestors 'self'; \
             sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
        }
        RemoteImages::Shown => {
            "default-src 'none'; img-src 'self' data: https: http:; style-src 'unsafe-inline'; \
             form-action 'none'; base-uri 'none'; frame-ancestors 'self'; \
             sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox"
        }
    }
}

/// RFC 6266, with the name in UTF-8 (RFC 8187) and in ASCII for what does not know that.
fn disposition(how: &str, attachment: &Attachment) -> HeaderValue {
    let name = file_name(attachment);
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii() && !matches!(c, '"' | '\\' | '%') {
                c
            } else {
                '_'
            }
        })
        .collect();
    HeaderValue::try_from(format!(
        "{how}; filename=\"{plain}\"; filename*=UTF-8''{}",
        segment(&name)
    ))
    .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Disposition;

    #[test]
    fn a_file_name_cannot_leave_its_header_or_its_directory() {
        let attachment = Attachment {
            part: "1".into(),
            name: "../a\"b\r\nX: é.pdf".into(),
            media_type: "application/pdf".into(),
            size: 0,
            content_id: None,
            disposition: Disposition::Attached,
        };
        assert_eq!(
            disposition("attachment", &attachment),
            "attachment; filename=\"a_bX: _.pdf\"; filename*=UTF-8''a%22bX%3A%20%C3%A9.pdf"
        );
        let unnamed = Attachment {
            name: "..".into(),
            ..attachment
        };
        assert_eq!(file_name(&unnamed), "attachment-1");
    }
}
