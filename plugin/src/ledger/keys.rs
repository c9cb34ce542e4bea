//! The keys of the rows.

/// Key of the connection's row.
pub const CONNECTION: &str = "connection";
/// Prefix of [`ledger_key`].
pub const LEDGER: &str = "ledger/";

/// Key of a message's row.
pub fn ledger_key(id: &str) -> String {
    format!("{LEDGER}{id}")
}

/// Key of a quarantined message.
pub fn quarantine_key(id: &str) -> String {
    format!("{QUARANTINE}{id}")
}

/// Key of a thread's row.
pub fn thread_key(id: &str) -> String {
    format!("thread/{id}")
}

/// Key of outbound mail.
pub fn outbound_key(id: &str) -> String {
    format!("out/{id}")
}

/// Key of a contact's address.
pub fn contact_key(address: &str) -> String {
    format!("{CONTACTS}{address}")
}

/// Prefix of [`held_key`] of one contact. No domain has a slash, so none is the beginning of another's.
pub fn held_prefix(address: &str) -> String {
    format!("held/{address}/")
}

/// Key of a message of a contact that the CRM has, by what [`row_key`] takes.
pub fn held_key(address: &str, id: &str) -> String {
    format!("{}{id}", held_prefix(address))
}

/// Key of a contact that is being released.
pub fn releasing_key(address: &str) -> String {
    format!("{RELEASING}{address}")
}

/// Key of the row of what is held: a message of the mailbox, or mail that came to the BCC address.
pub fn row_key(held: &str) -> String {
    if held.starts_with(BCC) {
        held.to_owned()
    } else {
        ledger_key(held)
    }
}

/// Key of a notice whose message is looked for.
pub fn notice_key(id: &str) -> String {
    format!("{NOTICES}{id}")
}

/// Prefix of [`notice_key`].
pub const NOTICES: &str = "notice/";
/// Prefix of [`contact_key`].
pub const CONTACTS: &str = "contact/";
/// Prefix of [`releasing_key`].
pub const RELEASING: &str = "releasing/";
/// Key of [`ReviewRow`].
pub const REVIEW: &str = "review";
/// Prefix of [`quarantine_key`].
pub const QUARANTINE: &str = "quarantine/";
/// Prefix of [`sent_key`].
pub const SENT: &str = "sent/";
/// Prefix of [`intent_key`].
pub const INTENTS: &str = "intent/";
/// Prefix of [`bcc_key`].
pub const BCC: &str = "bcc/";

/// Key of the row of mail that came to the BCC address.
pub fn bcc_key(fingerprint: &str) -> String {
    format!("{BCC}{fingerprint}")
}

/// Key of the [`Claim`]s of mail with this fingerprint.
pub fn claims_key(fingerprint: &str) -> String {
    format!("mail/{fingerprint}")
}

/// Key of the key under which the CRM has a message of the mailbox, where a [`Claim`] gave it another than its own.
pub fn claimed_key(id: &str) -> String {
    format!("claimed/{id}")
}

/// Key of [`AddressBookRow`].
pub const ADDRESS_BOOK: &str = "address-book";
/// Prefix of [`person_key`].
pub const PERSONS: &str = "person/";

/// Key of a person's row.
pub fn person_key(resource_name: &str) -> String {
    format!("{PERSONS}{resource_name}")
}

/// Key of the mark that outbound mail has a draft of which it is not settled whether it was sent.
pub fn intent_key(id: &str) -> String {
    format!("{INTENTS}{id}")
}

/// Key of the mark that a message was sent at this time.
pub fn sent_key(at: u64, id: &str) -> String {
    format!("{SENT}{at:013}/{id}")
}

/// The time in a key made by [`sent_key`].
pub fn sent_time(key: &str) -> Option<u64> {
    key.strip_prefix(SENT)
        .unwrap_or(key)
        .split('/')
        .next()?
        .parse()
        .ok()
}
