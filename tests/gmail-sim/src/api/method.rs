//! The methods: name, price, scopes, and the path each answers.
//!
//! Scopes and paths are held to the discovery document by a test; prices are `quota.json`'s.

use axum::http::Method as Verb;
use percent::decode_segment;

use super::Request;
use crate::oauth::Scope::{
    self, Compose, Insert, Labels, Mail, Metadata, Modify, Readonly, Send, SettingsBasic,
};

macro_rules! methods {
    ($($variant:ident $name:literal $old:literal $new:literal [$($scope:ident)*];)*) => {
        /// A method of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Method { $($variant),* }

        impl Method {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The discovery document's name, without `gmail.users.`.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Quota units: old table, new table.
            pub(crate) fn units(self) -> (u64, u64) {
                match self { $(Self::$variant => ($old, $new)),* }
            }

            /// Any one of these suffices.
            pub(crate) fn scopes(self) -> &'static [Scope] {
                match self { $(Self::$variant => &[$($scope),*]),* }
            }
        }
    };
}

methods! {
    GetProfile "getProfile" 1 1 [Mail Modify Readonly Metadata Compose];
    Watch "watch" 100 100 [Mail Modify Readonly Metadata];
    Stop "stop" 50 50 [Mail Modify Readonly Metadata];
    HistoryList "history.list" 2 2 [Mail Modify Readonly Metadata];
    MessagesList "messages.list" 5 5 [Mail Modify Readonly Metadata];
    MessagesGet "messages.get" 5 20 [Mail Modify Readonly Metadata];
    MessagesSend "messages.send" 100 100 [Mail Modify Compose Send];
    MessagesInsert "messages.insert" 25 25 [Mail Modify Insert];
    MessagesImport "messages.import" 25 25 [Mail Modify Insert];
    MessagesModify "messages.modify" 5 5 [Mail Modify];
    MessagesTrash "messages.trash" 5 20 [Mail Modify];
    MessagesUntrash "messages.untrash" 5 5 [Mail Modify];
    MessagesDelete "messages.delete" 10 10 [Mail];
    MessagesBatchModify "messages.batchModify" 50 50 [Mail Modify];
    MessagesBatchDelete "messages.batchDelete" 50 50 [Mail];
    AttachmentsGet "messages.attachments.get" 5 20 [Mail Modify Readonly];
    ThreadsList "threads.list" 10 10 [Mail Modify Readonly Metadata];
    ThreadsGet "threads.get" 10 40 [Mail Modify Readonly Metadata];
    ThreadsModify "threads.modify" 10 10 [Mail Modify];
    ThreadsTrash "threads.trash" 10 20 [Mail Modify];
    ThreadsUntrash "threads.untrash" 10 10 [Mail Modify];
    ThreadsDelete "threads.delete" 20 20 [Mail];
    DraftsList "drafts.list" 5 5 [Mail Modify Compose Readonly];
    DraftsGet "drafts.get" 5 20 [Mail Modify Compose Readonly];
    DraftsCreate "drafts.create" 10 10 [Mail Modify Compose];
    DraftsUpdate "drafts.update" 15 15 [Mail Modify Compose];
    DraftsSend "drafts.send" 100 100 [Mail Modify Compose];
    DraftsDelete "drafts.delete" 10 10 [Mail Modify Compose];
    LabelsList "labels.list" 1 1 [Mail Modify Readonly Metadata Labels];
    LabelsGet "labels.get" 1 1 [Mail Modify Readonly Metadata Labels];
    LabelsCreate "labels.create" 5 5 [Mail Modify Labels];
    LabelsPatch "labels.patch" 5 5 [Mail Modify Labels];
    LabelsUpdate "labels.update" 5 5 [Mail Modify Labels];
    LabelsDelete "labels.delete" 5 5 [Mail Modify Labels];
    SendAsList "settings.sendAs.list" 1 1 [Mail Modify Readonly SettingsBasic];
    SendAsGet "settings.sendAs.get" 1 1 [Mail Modify Readonly SettingsBasic];
}

impl Method {
    /// The largest message an upload to this method may carry; `None` where there is no upload.
    pub(crate) fn upload_limit(self, limits: &crate::Limits) -> Option<usize> {
        match self {
            Self::MessagesSend | Self::DraftsCreate | Self::DraftsUpdate | Self::DraftsSend => {
                Some(limits.send_bytes)
            }
            Self::MessagesInsert | Self::MessagesImport => Some(limits.insert_bytes),
            _ => None,
        }
    }
}

/// How the body of a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As JSON.
    Json,
    /// Through `/upload` or `/resumable/upload`.
    Upload,
}

/// A request that has been recognised.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// `me` or an address.
    pub(crate) user: String,
    /// The other path parameters.
    pub(crate) ids: Vec<String>,
    pub(crate) way: Way,
}

/// Recognises a request by verb and path.
pub(crate) fn route(request: &Request) -> Option<Route> {
    let (way, rest) = [
        ("/gmail/v1/users/", Way::Json),
        ("/upload/gmail/v1/users/", Way::Upload),
        ("/resumable/upload/gmail/v1/users/", Way::Upload),
    ]
    .into_iter()
    .find_map(|(prefix, way)| Some((way, request.path.strip_prefix(prefix)?)))?;
    let segments: Vec<String> = rest.split('/').map(decode_segment).collect();
    let (user, rest) = segments.split_first()?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    // A resumable session continues with PUT (or POST) on the path it began at.
    let continued =
        way == Way::Upload && request.query.get("upload_id").is_some() && request.verb == Verb::PUT;
    let verb = if continued && !is_draft_update(&rest) {
        &Verb::POST
    } else {
        &request.verb
    };
    let (method, ids) = find(verb, &rest)?;
    let ids = ids.into_iter().map(str::to_owned).collect();
    let uploads = method.upload_limit(&crate::Limits::default()).is_some();
    (way == Way::Json || uploads).then(|| Route {
        method,
        user: user.clone(),
        ids,
        way,
    })
}

fn is_draft_update(path: &[&str]) -> bool {
    matches!(path, ["drafts", id] if *id != "send")
}

fn find<'a>(verb: &Verb, path: &[&'a str]) -> Option<(Method, Vec<&'a str>)> {
    let (get, post, put) = (*verb == Verb::GET, *verb == Verb::POST, *verb == Verb::PUT);
    let (patch, delete) = (*verb == Verb::PATCH, *verb == Verb::DELETE);
    let (method, ids) = match path {
        ["profile"] if get => (Method::GetProfile, vec![]),
        ["watch"] if post => (Method::Watch, vec![]),
        ["stop"] if post => (Method::Stop, vec![]),
        ["history"] if get => (Method::HistoryList, vec![]),
        ["messages"] if get => (Method::MessagesList, vec![]),
        ["messages"] if post => (Method::MessagesInsert, vec![]),
        ["messages", "send"] if post => (Method::MessagesSend, vec![]),
        ["messages", "import"] if post => (Method::MessagesImport, vec![]),
        ["messages", "batchModify"] if post => (Method::MessagesBatchModify, vec![]),
        ["messages", "batchDelete"] if post => (Method::MessagesBatchDelete, vec![]),
        ["messages", id] if get => (Method::MessagesGet, vec![*id]),
        ["messages", id] if delete => (Method::MessagesDelete, vec![*id]),
        ["messages", id, "modify"] if post => (Method::MessagesModify, vec![*id]),
        ["messages", id, "trash"] if post => (Method::MessagesTrash, vec![*id]),
        ["messages", id, "untrash"] if post => (Method::MessagesUntrash, vec![*id]),
        ["messages", id, "attachments", part] if get => (Method::AttachmentsGet, vec![*id, *part]),
        ["threads"] if get => (Method::ThreadsList, vec![]),
        ["threads", id] if get => (Method::ThreadsGet, vec![*id]),
        ["threads", id] if delete => (Method::ThreadsDelete, vec![*id]),
        ["threads", id, "modify"] if post => (Method::ThreadsModify, vec![*id]),
        ["threads", id, "trash"] if post => (Method::ThreadsTrash, vec![*id]),
        ["threads", id, "untrash"] if post => (Method::ThreadsUntrash, vec![*id]),
        ["drafts"] if get => (Method::DraftsList, vec![]),
        ["drafts"] if post => (Method::DraftsCreate, vec![]),
        ["drafts", "send"] if post => (Method::DraftsSend, vec![]),
        ["drafts", id] if get => (Method::DraftsGet, vec![*id]),
        ["drafts", id] if put => (Method::DraftsUpdate, vec![*id]),
        ["drafts", id] if delete => (Method::DraftsDelete, vec![*id]),
        ["labels"] if get => (Method::LabelsList, vec![]),
        ["labels"] if post => (Method::LabelsCreate, vec![]),
        ["labels", id] if get => (Method::LabelsGet, vec![*id]),
        ["labels", id] if patch => (Method::LabelsPatch, vec![*id]),
        ["labels", id] if put => (Method::LabelsUpdate, vec![*id]),
        ["labels", id] if delete => (Method::LabelsDelete, vec![*id]),
        ["settings", "sendAs"] if get => (Method::SendAsList, vec![]),
        ["settings", "sendAs", address] if get => (Method::SendAsGet, vec![*address]),
        _ => return None,
    };
    Some((method, ids))
}

mod percent {
    use url::form_urlencoded;

    /// Percent-decodes a path segment; a plus stays a plus.
    pub(super) fn decode_segment(segment: &str) -> String {
        if !segment.contains(['%', '&', '=']) {
            return segment.to_owned();
        }
        let kept = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
        form_urlencoded::parse(kept.as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    }
}
