//! Attachments: from memory, or streamed from Gmail to the CRM without ever being whole (S19).

use super::StoppedAt;
use crate::{
    contract::{CrmError, Problem, PutOutcome},
    gmail::GmailError,
    mail::{self, AttachmentDecoder, Source},
    ports::{Host, Incoming, Sink},
    sync::{Pass, Stop, message::attachment},
};

/// Puts the attachments of the message with this key; answers what of them the CRM refused. `id` is the provider's;
/// `raw` is the message that attachments are in place in.
pub(in crate::sync) async fn put_attachments<H: Host>(
    pass: &Pass<'_, H>,
    id: &str,
    key: &str,
    attachments: &[mail::Attachment],
    raw: &[u8],
) -> Result<Vec<String>, StoppedAt> {
    let mut left_out = Vec::new();
    if !pass.features().attachments {
        return Ok(left_out);
    }
    for part in attachments {
        let stopped = |stop: Stop| StoppedAt {
            id: id.to_owned(),
            stop,
            is_unanswered: false,
        };
        let outcome = match &part.source {
            Source::Inline(bytes) => pass
                .host
                .put_attachment(key, attachment(part), bytes.clone())
                .await
                .map_err(|error| stopped(error.into()))?,
            Source::InPlace(place) => {
                let put = stream_place(pass, key, part, place.read(raw)).await;
                put.map_err(|error| stopped(error.into()))?
            }
            Source::Remote { attachment_id } => {
                match stream_attachment(pass, id, key, part, attachment_id).await {
                    Ok(outcome) => outcome,
                    Err(StreamError::Gmail(GmailError::Gone)) => PutOutcome::Refused("it is gone".to_owned()),
                    Err(StreamError::Gmail(error)) => return Err(StoppedAt::gmail(id, error)),
                    Err(StreamError::Crm(error)) => return Err(stopped(error.into())),
                    Err(StreamError::Content(reason)) => PutOutcome::Refused(reason),
                }
            }
        };
        match outcome {
            PutOutcome::Stored(_) | PutOutcome::Already(_) => {}
            PutOutcome::Refused(reason) => left_out.push(format!("{}: {reason}", part.file_name)),
            PutOutcome::Unknown => {
                let text = "did not say what became of an attachment".to_owned();
                return Err(stopped(Problem::CrmUnavailable(text).into()));
            }
        }
    }
    Ok(left_out)
}

/// From the raw message to the CRM, a part at a time.
async fn stream_place<H: Host>(
    pass: &Pass<'_, H>,
    key: &str,
    part: &mail::Attachment,
    parts: impl Iterator<Item = Vec<u8>>,
) -> Result<PutOutcome, CrmError> {
    let (mut sink, outcome) = pass.host.put_attachment_streamed(key, attachment(part));
    let pump = async {
        for bytes in parts {
            // Why it takes no more, the outcome says.
            if sink.write(bytes).await.is_err() {
                break;
            }
        }
        drop(sink);
    };
    futures_util::join!(pump, outcome).1
}

enum StreamError {
    Gmail(GmailError),
    Crm(CrmError),
    Content(String),
}

/// Gmail to CRM without ever being whole in memory: answer, base64, bytes (S19).
async fn stream_attachment<H: Host>(
    pass: &Pass<'_, H>,
    id: &str,
    key: &str,
    part: &mail::Attachment,
    attachment_id: &str,
) -> Result<PutOutcome, StreamError> {
    let body = pass
        .gmail
        .attachment(id, attachment_id)
        .await
        .map_err(StreamError::Gmail)?;
    let (mut sink, outcome) = pass.host.put_attachment_streamed(key, attachment(part));
    let pump = async {
        let result = decode_into(body, &mut sink).await;
        drop(sink);
        result
    };
    let (pumped, outcome) = futures_util::join!(pump, outcome);
    match pumped {
        Ok(size) if size == part.size => outcome.map_err(StreamError::Crm),
        Ok(size) => Err(StreamError::Content(format!(
            "Gmail announced {} bytes and gave {size}",
            part.size
        ))),
        Err(reason) => match outcome {
            Ok(refused @ PutOutcome::Refused(_)) => Ok(refused),
            _ => Err(StreamError::Content(reason)),
        },
    }
}

async fn decode_into<S: crate::ports::Source>(
    body: Incoming<S>,
    sink: &mut impl Sink,
) -> Result<u64, String> {
    let mut decoder = AttachmentDecoder::new();
    let mut pass_on = async |bytes: &[u8]| {
        let bytes = decoder.push(bytes).map_err(|error| error.to_string())?;
        if bytes.is_empty() {
            return Ok(());
        }
        sink.write(bytes)
            .await
            .map_err(|_| "the CRM takes no more".to_owned())
    };
    match body {
        Incoming::Whole(bytes) => pass_on(&bytes).await?,
        Incoming::Stream(mut stream) => {
            while let Some(bytes) = stream.next().await {
                pass_on(&bytes).await?;
            }
        }
    }
    decoder.finish().map_err(|error| error.to_string())
}
