//! What a Pub/Sub message from Gmail says: `{"emailAddress": "…", "historyId": …}` in base64, inside the
//! wrapped form of a push request or an element of a pull's answer.
//!
//! `historyId` is documented as text and comes as a number; `data` comes in either alphabet of RFC 4648,
//! padded or not. All forms are read.

use base64::{
    Engine,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

/// The longest address, in bytes (RFC 5321, 4.5.3.1: 64 and 255 about an `@`).
const ADDRESS_LIMIT: usize = 320;
/// The longest history id, in digits: real ones fit 64 bits.
const ID_LIMIT: usize = 32;

/// A mailbox has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The mailbox.
    pub address: String,
    /// Its history id after the change, a decimal number without leading zeros. A hint, never a cursor.
    pub history_id: String,
}

impl Notification {
    /// Reads the body of a push request, the wrapped form, of at most [`BODY_LIMIT`](super::BODY_LIMIT) bytes.
    pub fn read(body: &[u8]) -> Result<Self, Unreadable> {
        Envelope::read(body)?.notification()
    }
}

/// Why a message is no notification; for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is over its limit.
    #[error("it is too large")]
    TooLarge,
    /// It is not the JSON of a Pub/Sub message.
    #[error("the envelope is not a Pub/Sub message")]
    Envelope,
    /// `data` is not base64.
    #[error("the data is not base64")]
    Base64,
    /// `data` is not a notification of Gmail's.
    #[error("the data is not a notification")]
    Data,
    /// The address or the history id cannot be one.
    #[error("the address or the history id cannot be one")]
    Values,
}

/// The wrapped form that a push subscription posts.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope {
    message: Message,
    /// `projects/{p}/subscriptions/{s}`.
    #[serde(default)]
    pub(super) subscription: String,
}

/// A `PubsubMessage`.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    data: String,
}

impl Envelope {
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        if body.len() > super::BODY_LIMIT {
            return Err(Unreadable::TooLarge);
        }
        serde_json::from_slice(body).map_err(|_| Unreadable::Envelope)
    }

    pub(super) fn notification(&self) -> Result<Notification, Unreadable> {
        self.message.notification()
    }
}

impl Message {
    pub(super) fn notification(&self) -> Result<Notification, Unreadable> {
        if self.data.len() > super::BODY_LIMIT {
            return Err(Unreadable::TooLarge);
        }
        let bytes = decode(&self.data).ok_or(Unreadable::Base64)?;
        let Data { address, history_id } = serde_json::from_slice(&bytes).map_err(|_| Unreadable::Data)?;
        let history_id = history_id.text().ok_or(Unreadable::Values)?;
        let is_address = address.contains('@')
            && address.len() <= ADDRESS_LIMIT
            && !address.contains(|c: char| c.is_control() || c.is_whitespace());
        if !is_address {
            return Err(Unreadable::Values);
        }
        Ok(Notification { address, history_id })
    }
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "emailAddress")]
    address: String,
    #[serde(rename = "historyId")]
    history_id: HistoryId,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum HistoryId {
    Number(u64),
    Text(String),
}

impl HistoryId {
    fn text(self) -> Option<String> {
        let text = match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        };
        let is_number =
            !text.is_empty() && text.len() <= ID_LIMIT && text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = text.trim_start_matches('0');
        is_number.then(|| if digits.is_empty() { "0" } else { digits }.to_owned())
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let by = |alphabet: &Alphabet| {
        let either = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        GeneralPurpose::new(alphabet, either).decode(text).ok()
    };
    by(&STANDARD).or_else(|| by(&URL_SAFE))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    use super::*;

    fn read(data: &str) -> Result<Notification, Unreadable> {
        let body = serde_json::json!({"message": {"data": data, "messageId": "1"}, "subscription": "s"});
        Envelope::read(body.to_string().as_bytes())?.notification()
    }

    fn said(json: &str) -> Result<Notification, Unreadable> {
        read(&general_purpose::STANDARD.encode(json))
    }

    #[test]
    fn push_payloads_are_read_in_either_alphabet_padded_or_not() {
        let json = r#"{"emailAddress":"ann?>~ÿ@example.com","historyId":9876543210}"#;
        let expected = Notification {
            address: "ann?>~ÿ@example.com".into(),
            history_id: "9876543210".into(),
        };
        let standard = general_purpose::STANDARD.encode(json);
        let url_safe = general_purpose::URL_SAFE.encode(json);
        assert_ne!(standard, url_safe, "the alphabets differ here");
        assert!(standard.ends_with('='));
        for data in [&standard, &url_safe] {
            assert_eq!(read(data), Ok(expected.clone()));
            assert_eq!(read(data.trim_end_matches('=')), Ok(expected.clone()));
        }
    }

    #[test]
    fn push_history_ids_are_numbers_or_text_of_any_size() {
        for (id, expected) in [
            ("1710", "1710"),
            ("\"1710\"", "1710"),
            ("\"007\"", "7"),
            ("18446744073709551615", "18446744073709551615"),
            ("\"18446744073709551616\"", "18446744073709551616"),
        ] {
            let read = said(&format!("{{\"emailAddress\":\"a@b\",\"historyId\":{id}}}"));
            assert_eq!(read.unwrap().history_id, expected);
        }
    }

    #[test]
    fn push_payloads_that_say_nothing_are_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"emailAddress":"a@b"}"#,
            r#"{"historyId":1}"#,
            r#"{"emailAddress":"a@b","historyId":1.5}"#,
            r#"{"emailAddress":"a@b","historyId":-1}"#,
            r#"{"emailAddress":"a@b","historyId":null}"#,
        ] {
            assert_eq!(said(json), Err(Unreadable::Data), "{json}");
        }
        for json in [
            r#"{"emailAddress":"a@b","historyId":"1e3"}"#,
            r#"{"emailAddress":"a@b","historyId":""}"#,
            r#"{"emailAddress":"nobody","historyId":1}"#,
            r#"{"emailAddress":"a@b\r\nx: y","historyId":1}"#,
        ] {
            assert_eq!(said(json), Err(Unreadable::Values), "{json}");
        }
        assert_eq!(read("%%%"), Err(Unreadable::Base64));
        assert_eq!(Envelope::read(b"{}").unwrap_err(), Unreadable::Envelope);
        let large = vec![b' '; super::super::BODY_LIMIT + 1];
        assert_eq!(Envelope::read(&large).unwrap_err(), Unreadable::TooLarge);
    }

    proptest! {
        #[test]
        fn push_any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::read(&body);
        }

        #[test]
        fn push_any_data_is_read_or_refused(data in ".{0,200}") {
            if let Ok(notification) = said(&data) {
                prop_assert!(notification.history_id.bytes().all(|byte| byte.is_ascii_digit()));
            }
            let _ = read(&data);
        }

        #[test]
        fn push_any_address_and_id_come_out_as_they_went_in(local in "[a-z0-9.+]{1,20}", id in any::<u64>()) {
            let json = serde_json::json!({"emailAddress": format!("{local}@example.com"), "historyId": id});
            let read = said(&json.to_string()).unwrap();
            prop_assert_eq!(read.address, format!("{local}@example.com"));
            prop_assert_eq!(read.history_id, id.to_string());
        }
    }
}
