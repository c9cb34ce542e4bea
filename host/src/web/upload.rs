//! A form with files, read as it comes: files go to nameless temporary files, never whole into memory.
//!
//! The first field of a browser's form has to be the CSRF token: nothing is kept before it was checked.

use std::{collections::HashMap, io};

use axum::{
    extract::multipart::{Field, Multipart, MultipartError},
    http::StatusCode,
};
use bytes::BytesMut;
use futures_util::stream;
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use super::{
    WebState,
    failure::Failure,
    guard::{TOO_LARGE, Visitor},
};
use crate::{
    body::Body,
    contract::{Disposition, Problem},
    crm::NewAttachment,
    hex::hex,
};

/// The most bytes of all files, before they are encoded (S21).
pub(super) const FILES_LIMIT: u64 = 25 << 20;
/// The most files.
const COUNT_LIMIT: usize = 100;
/// The longest field that is not a file, in bytes.
const FIELD_LIMIT: usize = 1 << 20;
/// The most fields that are not files.
const FIELDS_LIMIT: usize = 20;
/// Bytes read from a file at once.
const CHUNK: usize = 64 << 10;

/// A form that was read. A browser's has a token, which was checked.
pub(crate) struct Upload {
    fields: HashMap<String, String>,
    /// The files, in order.
    pub(crate) files: Vec<Spooled>,
    /// Bytes of all files, also of those that were not kept.
    pub(crate) size: u64,
}

/// A file that was sent to us.
pub(crate) struct Spooled {
    name: String,
    media_type: String,
    size: u64,
    /// Of its bytes.
    digest: Sha256,
    file: File,
}

impl Upload {
    /// Reads the form. Files over the limit are counted and not kept, so that the answer can say so.
    pub(super) async fn read(
        site: &WebState,
        visitor: &Visitor,
        mut form: Multipart,
    ) -> Result<Self, Failure> {
        let first = form.next_field().await.map_err(broken)?;
        let token = first.filter(|field| field.name() == Some("csrf"));
        let token = text(token.ok_or_else(Failure::forbidden)?).await?;
        visitor.check(&token, &site.keys)?;
        Self::rest(form).await
    }

    /// Reads the form of a program, which brought its token beside it.
    pub(crate) async fn of_a_program(form: Multipart) -> Result<Self, Failure> {
        Self::rest(form).await
    }

    async fn rest(mut form: Multipart) -> Result<Self, Failure> {
        let mut upload = Self {
            fields: HashMap::new(),
            files: Vec::new(),
            size: 0,
        };
        while let Some(field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name == "files" {
                upload.take_file(field).await?;
            } else if upload.fields.len() < FIELDS_LIMIT {
                upload.fields.insert(name, text(field).await?);
            } else {
                return Err(Failure::bad_form(StatusCode::BAD_REQUEST));
            }
        }
        Ok(upload)
    }

    /// A field; empty when it is absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    async fn take_file(&mut self, mut field: Field<'_>) -> Result<(), Failure> {
        let name = field.file_name().unwrap_or_default().to_owned();
        let media_type = media_type(field.content_type().unwrap_or_default());
        let mut spooled: Option<Spooled> = None;
        while let Some(bytes) = field.chunk().await.map_err(broken)? {
            self.size += bytes.len() as u64;
            if self.size > FILES_LIMIT || bytes.is_empty() {
                continue;
            }
            let target = match &mut spooled {
                Some(target) => target,
                None => spooled.insert(Spooled::new(&name, &media_type).await?),
            };
            target.file.write_all(&bytes).await.map_err(storage)?;
            target.digest.update(&bytes);
            target.size += bytes.len() as u64;
        }
        // A form without chosen files sends one without a name.
        if spooled.is_none() && !name.is_empty() && self.size <= FILES_LIMIT {
            spooled = Some(Spooled::new(&name, &media_type).await?);
        }
        if let Some(mut spooled) = spooled {
            if self.files.len() == COUNT_LIMIT {
                return Err(Failure::invalid(
                    format!("There are more than {COUNT_LIMIT} files."),
                    "Send fewer files, or put them into one archive.",
                ));
            }
            spooled.file.flush().await.map_err(storage)?;
            spooled.file.rewind().await.map_err(storage)?;
            self.files.push(spooled);
        }
        Ok(())
    }
}

impl Spooled {
    async fn new(name: &str, media_type: &str) -> Result<Self, Failure> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile)
            .await
            .map_err(io::Error::other)
            .and_then(|file| file)
            .map_err(storage)?;
        Ok(Self {
            name: base_name(name),
            media_type: media_type.to_owned(),
            size: 0,
            digest: Sha256::new(),
            file: File::from_std(file),
        })
    }

    /// What it is called and what its bytes are, to compare it by.
    pub(super) fn outline(&self) -> (&str, &str, String) {
        let digest = self.digest.clone().finalize();
        (&self.name, &self.media_type, hex(&digest))
    }

    /// The attachment and its bytes.
    pub(super) fn into_attachment(self) -> (NewAttachment, Body) {
        let attachment = NewAttachment {
            name: self.name,
            media_type: self.media_type,
            content_id: None,
            disposition: Disposition::Attached,
        };
        let bytes = stream::try_unfold(self.file, |mut file| async move {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let read = file.read_buf(&mut chunk).await?;
            Ok::<_, io::Error>((read > 0).then(|| (chunk.freeze(), file)))
        });
        (attachment, Body::Stream(Box::pin(bytes)))
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Failure> {
    let mut text = BytesMut::new();
    while let Some(bytes) = field.chunk().await.map_err(broken)? {
        if text.len() + bytes.len() > FIELD_LIMIT {
            return Err(Failure::new(
                TOO_LARGE,
                super::Trouble::new(
                    "too-large",
                    "The text is longer than 1 MB.",
                    "Shorten it, or send it as a file.",
                ),
            ));
        }
        text.extend_from_slice(&bytes);
    }
    // Forms send line breaks as CRLF.
    Ok(String::from_utf8_lossy(&text).replace("\r\n", "\n"))
}

/// Browsers may send a path (RFC 7578, 4.2).
fn base_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    if name.trim().is_empty() {
        "file".to_owned()
    } else {
        name
    }
}

fn media_type(claimed: &str) -> String {
    let essence = claimed.split(';').next().unwrap_or_default().trim();
    let is_token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match essence.split_once('/') {
        Some((kind, sub)) if is_token(kind) && is_token(sub) && essence.len() <= 127 => {
            essence.to_ascii_lowercase()
        }
        _ => "application/octet-stream".to_owned(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn broken(error: MultipartError) -> Failure {
    match error.status() {
        TOO_LARGE => Failure::problem(
            TOO_LARGE,
            &Problem::TooLarge(crate::contract::SizeExcess {
                size: super::send::REQUEST_LIMIT as u64,
                limit: FILES_LIMIT,
            }),
        ),
        status => Failure::bad_form(status),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn storage(error: io::Error) -> Failure {
    tracing::warn!(%error, "an uploaded file could not be kept");
    Failure::problem(
        StatusCode::SERVICE_UNAVAILABLE,
        &Problem::StorageUnavailable(error.kind().to_string()),
    )
}
