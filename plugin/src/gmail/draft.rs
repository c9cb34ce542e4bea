//! `drafts.create` as a multipart upload (RFC 2387): JSON metadata, then the message, streamed when it
//! carries attachments, so that it is never whole in memory.

use serde::Serialize;

use super::{
    API_ORIGIN,
    client::{Gmail, json, parse},
    error::{GmailError, Outcome},
    model::Draft,
    units::Call,
};
use crate::{
    contract::CrmError,
    mail::{Base64Lines, Composed, Piece},
    ports::{Host, Incoming, Request, Sink, Source},
};

/// The longest upload that is sent whole, in bytes.
const INLINE_UPLOAD: u64 = 256 * 1024;
/// The longest answer to an upload, in bytes.
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// What a draft is made of.
pub struct Upload<'a> {
    /// The message.
    pub message: &'a Composed,
    /// The thread it goes into.
    pub thread_id: Option<&'a str>,
    /// The CRM's id of the mail, and of its attachments in the composed order.
    pub outbound_id: &'a str,
    /// See `outbound_id`.
    pub attachment_ids: &'a [String],
    /// Random letters for the boundary.
    pub boundary: &'a str,
}

/// Why there is no draft.
#[derive(Debug)]
pub enum UploadError {
    /// Gmail's reason.
    Gmail(GmailError),
    /// The CRM did not give an attachment, or not all of it.
    Attachment(CrmError),
}

impl From<GmailError> for UploadError {
    fn from(error: GmailError) -> Self {
        Self::Gmail(error)
    }
}

impl<H: Host> Gmail<'_, H> {
    /// Creates a draft. Not tried again: a second try could leave two.
    pub async fn create_draft(&self, upload: &Upload<'_>) -> Result<Draft, UploadError> {
        let head = head(upload);
        let tail = format!("\r\n--{}--\r\n", upload.boundary);
        let length = head.len() as u64 + upload.message.size() + tail.len() as u64;
        let request = Request {
            method: "POST",
            url: format!("{API_ORIGIN}/upload/gmail/v1/users/me/drafts?uploadType=multipart"),
            content_type: Some(format!("multipart/related; boundary={}", upload.boundary)),
            body: Vec::new(),
            inline_limit: ANSWER_LIMIT,
        };
        self.turn(Call::DraftsCreate).await?;
        let response = if length <= INLINE_UPLOAD {
            let mut body = Buffer(Vec::new());
            self.write_all(upload, &head, &tail, &mut body).await?;
            self.judge(
                self.host()
                    .send(Request {
                        body: body.0,
                        ..request
                    })
                    .await,
            )
            .await?
        } else {
            let (mut sink, answer) = self.host().send_streamed(request, length);
            let writing = async {
                let written = self.write_all(upload, &head, &tail, &mut sink).await;
                drop(sink);
                written
            };
            let (written, answer) = futures_util::join!(writing, answer);
            if let Err(error @ UploadError::Attachment(_)) = written {
                return Err(error);
            }
            self.judge(answer).await?
        };
        Ok(parse(response.body)?)
    }

    async fn write_all(
        &self,
        upload: &Upload<'_>,
        head: &str,
        tail: &str,
        sink: &mut impl Sink,
    ) -> Result<(), UploadError> {
        write(sink, head.as_bytes().to_vec()).await?;
        for piece in &upload.message.pieces {
            match piece {
                Piece::Bytes(bytes) => write(sink, bytes.clone()).await?,
                Piece::Attachment { index, size } => {
                    self.write_attachment(upload, *index, *size, sink).await?;
                }
            }
        }
        write(sink, tail.as_bytes().to_vec()).await
    }

    async fn write_attachment(
        &self,
        upload: &Upload<'_>,
        index: usize,
        size: u64,
        sink: &mut impl Sink,
    ) -> Result<(), UploadError> {
        let id = upload
            .attachment_ids
            .get(index)
            .ok_or(UploadError::Attachment(CrmError::NotFound))?;
        let content = self
            .host()
            .open_attachment(upload.outbound_id, id)
            .await
            .map_err(UploadError::Attachment)?;
        let mut encoder = Base64Lines::new();
        let mut seen = 0;
        match content {
            Incoming::Whole(bytes) => {
                seen += bytes.len() as u64;
                write(sink, encoder.push(&bytes)).await?;
            }
            Incoming::Stream(mut stream) => {
                while let Some(bytes) = stream.next().await {
                    seen += bytes.len() as u64;
                    write(sink, encoder.push(&bytes)).await?;
                }
            }
        }
        if seen != size {
            let message = format!("attachment {id} has {seen} bytes, not {size}");
            return Err(UploadError::Attachment(CrmError::Unavailable(message)));
        }
        write(sink, encoder.finish()).await
    }
}

/// What goes with the raw message of a new draft.
#[derive(Serialize)]
struct Metadata<'u> {
    message: InThread<'u>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InThread<'u> {
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'u str>,
}

fn head(upload: &Upload<'_>) -> String {
    let metadata = json(&Metadata {
        message: InThread {
            thread_id: upload.thread_id,
        },
    });
    let metadata = String::from_utf8_lossy(&metadata);
    let boundary = upload.boundary;
    format!(
        "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n\
         --{boundary}\r\ncontent-type: message/rfc822\r\n\r\n"
    )
}

struct Buffer(Vec<u8>);

impl Sink for Buffer {
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), crate::ports::Closed> {
        self.0.extend_from_slice(&bytes);
        Ok(())
    }
}

async fn write(sink: &mut impl Sink, bytes: Vec<u8>) -> Result<(), UploadError> {
    if bytes.is_empty() {
        return Ok(());
    }
    sink.write(bytes).await.map_err(|_| {
        let message = "the upload was cut off".to_owned();
        UploadError::Gmail(GmailError::Unavailable {
            message,
            outcome: Outcome::Unknown,
        })
    })
}
