//! Answers with stand-ins. What is people's is told by the names of members that providers and platforms
//! use for it; everywhere else only addresses are changed.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    Content,
    mime::{base64_lines, header_value, mail},
    text::StandIns,
};

/// Members that hold text people wrote.
const PROSE: [&str; 9] = [
    "subject",
    "snippet",
    "text",
    "displayName",
    "display-name",
    "description",
    "left_out",
    "quarantined",
    "reason",
];
/// Members that hold HTML.
const HTML: [&str; 2] = ["html", "signature"];
/// Members that hold names of people or files.
const NAMES: [&str; 7] = [
    "name",
    "filename",
    "file_name",
    "familyName",
    "givenName",
    "displayNameLastFirst",
    "unstructuredName",
];

/// Changes questions and answers.
pub(super) struct Answers<'s> {
    stand_ins: &'s StandIns,
    functions: HashMap<u64, String>,
}

impl<'s> Answers<'s> {
    pub(super) fn new(stand_ins: &'s StandIns) -> Self {
        Self {
            stand_ins,
            functions: HashMap::new(),
        }
    }

    /// Remembers which function a call is of.
    pub(super) fn asked(&mut self, call: u64, function: &str) {
        self.functions.insert(call, function.to_owned());
    }

    pub(super) fn function(&self, call: u64) -> &str {
        self.functions.get(&call).map_or("", String::as_str)
    }

    /// A question or an answer.
    pub(super) fn change(&self, function: &str, value: &mut Value) {
        match function {
            "clock.now" | "clock.sleep" | "random.bytes" | "quota.acquire" | "quota.in-flight"
            | "quota.report" | "crm.supported" => {}
            "http.send" | "crm.open-attachment" | "crm.put-attachment" => self.carrying(function, value),
            "storage.get" | "storage.scan" | "storage.commit" => self.rows(value),
            _ => self.value(value, ""),
        }
    }

    /// What carries a body under `body`, `content`, or is one.
    fn carrying(&self, function: &str, value: &mut Value) {
        match value {
            Value::Object(members) => {
                if let Some(inline) = members.get_mut("inline") {
                    if let Some(bytes) = Content::of_value(inline) {
                        *inline = Content::value(&self.body(function, &bytes));
                    }
                    return;
                }
                for (name, member) in members.iter_mut() {
                    match name.as_str() {
                        "ok" | "body" | "content" | "error" => self.carrying(function, member),
                        _ => self.value(member, name),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.carrying(function, value)),
            other => self.value(other, ""),
        }
    }

    /// The bytes of a body.
    pub(super) fn body(&self, function: &str, bytes: &[u8]) -> Vec<u8> {
        if function != "http.send" {
            // An attachment: nobody knows what it is.
            return match std::str::from_utf8(bytes) {
                Ok(_) => self.stand_ins.in_bytes(bytes, false),
                Err(_) => StandIns::in_binary(bytes),
            };
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(mut value) => {
                self.value(&mut value, "");
                value.to_string().into_bytes()
            }
            Err(_) => self.stand_ins.in_bytes(bytes, true),
        }
    }

    /// Rows under `value`, which are JSON of the component's own.
    fn rows(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    match Content::of_value(member) {
                        Some(bytes) if name == "value" => *member = Content::value(&self.row(&bytes)),
                        Some(_) if !member.is_object() => self.value(member, name),
                        _ => self.rows(member),
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.rows(value)),
            other => self.value(other, ""),
        }
    }

    fn row(&self, bytes: &[u8]) -> Vec<u8> {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(mut row) => {
                self.value(&mut row, "");
                row.to_string().into_bytes()
            }
            Err(_) => match std::str::from_utf8(bytes) {
                Ok(text) => self.stand_ins.in_addresses(text).into_bytes(),
                Err(_) => bytes.to_vec(),
            },
        }
    }

    fn value(&self, value: &mut Value, name: &str) {
        match value {
            Value::String(text) => *text = self.string(text, name),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value, name)),
            Value::Object(members) => self.object(members),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&self, members: &mut Map<String, Value>) {
        if let (2, Some(Value::String(name)), Some(Value::String(value))) =
            (members.len(), members.get("name"), members.get("value"))
        {
            let changed = header_value(name, value, self.stand_ins);
            members.insert("value".to_owned(), Value::String(changed));
            return;
        }
        let media_type = members.get("mimeType").and_then(Value::as_str).map(str::to_owned);
        for (name, member) in members.iter_mut() {
            match (name.as_str(), &media_type, member.pointer_mut("/data")) {
                ("body", Some(media_type), Some(Value::String(data))) => {
                    *data = self.data(data, media_type.starts_with("text/"), media_type == "text/html");
                }
                _ => self.value(member, name),
            }
        }
    }

    fn string(&self, text: &str, name: &str) -> String {
        if PROSE.contains(&name) {
            self.stand_ins.in_prose(text)
        } else if HTML.contains(&name) {
            self.stand_ins.in_html(text)
        } else if NAMES.contains(&name) {
            self.stand_ins.in_file_name(text)
        } else if name == "raw" {
            self.raw(text)
        } else if name == "data" {
            self.data(text, false, false)
        } else {
            self.stand_ins.in_addresses(text)
        }
    }

    /// A whole message in base64.
    fn raw(&self, encoded: &str) -> String {
        use base64::{Engine, engine::general_purpose::URL_SAFE};
        match URL_SAFE.decode(encoded) {
            Ok(raw) => URL_SAFE.encode(mail(&raw, self.stand_ins)),
            Err(_) => self.data(encoded, false, false),
        }
    }

    /// Bytes in base64.
    fn data(&self, encoded: &str, is_text: bool, is_html: bool) -> String {
        let changed = base64_lines(encoded.as_bytes(), self.stand_ins, is_text, is_html);
        String::from_utf8_lossy(&changed).into_owned()
    }
}
