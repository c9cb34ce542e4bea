//! What a message is: parsed, composed, made safe to show. Pure functions over bytes; no I/O, no clock, no randomness.
//!
//! - [`Envelope`]: what rules decide on, from Gmail's header fields or raw bytes alike ([`envelope`]);
//! - [`parse()`] and [`from_full`]: text, HTML and attachments, from raw bytes or from Gmail's payload tree;
//! - [`Sanitiser`], then [`fold_html`]: HTML that is safe to show with its quoted history folded (T07);
//! - [`Composed`] and [`Base64Lines`]: outbound mail whose exact size is known before any attachment is read (S20, S21);
//! - [`AttachmentDecoder`]: Gmail's attachment answer, decoded as it streams (S19);
//! - [`Mailbox`], [`normalise`]: addresses as written and as compared.
//!
//! Everything takes whatever bytes come: no panic, no recursion that follows the input (the component's stack is 64 KiB),
//! a limit for each thing that can grow.

pub mod address;
pub mod attachment_decoder;
pub mod base64_lines;
mod character_reference;
mod charset;
pub mod compose;
pub mod delivery_status;
pub mod envelope;
pub mod fold;
pub mod full;
mod header_field;
pub mod html;
pub mod parse;
pub mod part;
mod prefilter;
mod quotes;
pub mod sanitise;
mod style;
pub mod text;

pub use address::{
    MAX_ADDRESS_BYTES, Mailbox, NormalAddress, domain, is_consumer, normalise, parse_mailboxes,
};
pub use attachment_decoder::{AttachmentDecoder, AttachmentError};
pub use base64_lines::{Base64Lines, encoded_size};
pub use compose::{
    ComposeError, Composed, Outgoing, OutgoingAttachment, Piece, SENT_BY, references_for_reply,
    reply_subject, same_subject,
};
pub use envelope::{Envelope, message_ids};
pub use fold::{fold_html, quoted_from};
pub use full::{GmailBody, GmailPart, from_full};
pub use html::to_text;
pub use parse::{MAX_RAW_BYTES, ParseError, Parsed, parse, parse_in_place};
pub use part::{Attachment, Disposition, Place, Source};
pub use sanitise::{SafeHtml, Sanitiser};

#[cfg(test)]
mod tests;
