//! The mail module's tests: one file per subject, small builders here.

mod addresses;
mod composing;
mod corpus;
mod envelopes;
mod folding;
mod limits;
mod parsing;
mod sanitising;
mod streaming;

use super::{Composed, Disposition, Mailbox, Outgoing, OutgoingAttachment, Piece};

/// A message of the given lines, with CRLF.
fn raw(lines: &[&str]) -> Vec<u8> {
    lines.join("\r\n").into_bytes()
}

fn outgoing() -> Outgoing {
    Outgoing {
        sender: Mailbox::named("Ann Example", "ann@example.com"),
        to: vec![Mailbox::bare("bob@example.net")],
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: Vec::new(),
        subject: "Offer".to_owned(),
        text: "Hello Bob,\nhere it is.\n".to_owned(),
        html: None,
        in_reply_to: None,
        references: Vec::new(),
        message_id: "1@twinbox.example".to_owned(),
        date_ms: 1_790_000_000_000,
        boundary_seed: "seed1".to_owned(),
        attachments: Vec::new(),
    }
}

fn attachment(file_name: &str, size: usize) -> OutgoingAttachment {
    OutgoingAttachment {
        file_name: file_name.to_owned(),
        media_type: "application/pdf".to_owned(),
        size: size as u64,
        content_id: None,
        disposition: Disposition::Attachment,
    }
}

/// The whole message, with the attachments' content put in.
fn written(composed: &Composed, contents: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &composed.pieces {
        match piece {
            Piece::Bytes(bytes) => out.extend_from_slice(bytes),
            Piece::Attachment { index, .. } => {
                let mut lines = super::Base64Lines::new();
                for chunk in contents[*index].chunks(1000) {
                    out.extend(lines.push(chunk));
                }
                out.extend(lines.finish());
            }
        }
    }
    out
}
