//! Bytes in a trace: as text where they are text, so that a trace can be read.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Bytes: a JSON string if they are UTF-8, else `{"base64": …}` (RFC 4648, 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content(pub Bytes);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Text(String),
    Binary { base64: String },
}

impl Content {
    /// The bytes as they stand in a trace.
    pub(crate) fn value(bytes: &[u8]) -> Value {
        match std::str::from_utf8(bytes) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
        }
    }

    /// The bytes of a value that [`Content::value`] made.
    pub(crate) fn of_value(value: &Value) -> Option<Bytes> {
        match value {
            Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
            Value::Object(members) => {
                let encoded = members.get("base64")?.as_str()?;
                Some(STANDARD.decode(encoded).ok()?.into())
            }
            _ => None,
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Form::Binary {
                base64: STANDARD.encode(&self.0),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Self(text.into_bytes().into())),
            Form::Binary { base64 } => Ok(Self(STANDARD.decode(base64).map_err(D::Error::custom)?.into())),
        }
    }
}

/// `Vec<u8>` in the form of [`Content`], for serde's `with`.
pub(crate) mod bytes_form {
    use super::{Bytes, Content, Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        Content(Bytes::copy_from_slice(bytes)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(Content::deserialize(deserializer)?.0.into())
    }
}

/// `Option<Vec<u8>>` in the form of [`Content`], for serde's `with`.
pub(crate) mod optional_bytes_form {
    use super::{Bytes, Content, Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let content = bytes
            .as_deref()
            .map(|bytes| Content(Bytes::copy_from_slice(bytes)));
        content.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let content = Option::<Content>::deserialize(deserializer)?;
        Ok(content.map(|content| content.0.into()))
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were() {
        for bytes in [&b"text"[..], b"", b"\xff\x00\xfe", "ä".as_bytes()] {
            let content = Content(Bytes::copy_from_slice(bytes));
            let text = serde_json::to_string(&content).unwrap();
            assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
            assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap(),
                Content::value(bytes)
            );
            assert_eq!(Content::of_value(&Content::value(bytes)).unwrap(), bytes);
        }
    }
}
