//! What a pass decided: every change it made or asked for, and how two passes differ in it.
//!
//! Decisions are read from the steps alone, so they mean the same for a pass that ran and one that was
//! only rehearsed. What they are about is the component's affair: rows are compared as JSON where they are
//! JSON, member by member.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Content, End, Step, Trace};

/// What a decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A row of the component's storage, such as the ledger row of a message.
    Row,
    /// A person of the address book put into the CRM, or taken out.
    Person,
    /// A message put into the CRM.
    Message,
    /// A change of a message in the CRM.
    Update,
    /// An attachment put into the CRM.
    Attachment,
    /// What became of mail to send.
    Outbound,
    /// A request that changes something at the provider.
    Request,
    /// A claim on a contact.
    Claim,
    /// The grant was given up.
    Release,
    /// How the pass ended: its report.
    End,
}

/// Everything a pass decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decisions(BTreeMap<(Kind, String), Value>);

/// One thing that two passes decided differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What the decision is about.
    pub kind: Kind,
    /// Which one: a storage key, a message's key, a method and address.
    pub id: String,
    /// Which member of it (RFC 6901); empty: all of it.
    pub member: String,
    /// What was decided before; absent: nothing.
    pub before: Option<Value>,
    /// What is decided now; absent: nothing.
    pub after: Option<Value>,
}

impl Decisions {
    /// What the pass of this trace decided.
    pub fn of(trace: &Trace) -> Self {
        let mut reading = Reading {
            version: &trace.header.plugin.version,
            decided: BTreeMap::new(),
            open: HashMap::new(),
            requests: HashMap::new(),
            sent: HashMap::new(),
        };
        for step in &trace.steps {
            reading.take(step);
        }
        let end = match &trace.end {
            End::Returned { value } => value.clone(),
            End::Failed { kind } | End::Cut { kind } => json!({ "failed": kind }),
        };
        reading.decided.insert((Kind::End, String::new()), end);
        Self(reading.decided)
    }

    /// How the decisions of `after` differ from these.
    pub fn differences(&self, after: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let added = after.0.iter().filter(|(id, _)| !self.0.contains_key(id));
        for ((kind, id), before) in &self.0 {
            let after = after.0.get(&(*kind, id.clone()));
            compare(*kind, id, String::new(), Some(before), after, &mut found);
        }
        for ((kind, id), after) in added {
            compare(*kind, id, String::new(), None, Some(after), &mut found);
        }
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none. There is always the end.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Row => "row",
            Kind::Person => "person",
            Kind::Message => "message",
            Kind::Update => "update",
            Kind::Attachment => "attachment",
            Kind::Outbound => "outbound",
            Kind::Request => "request",
            Kind::Claim => "claim",
            Kind::Release => "release",
            Kind::End => "end",
        };
        write!(f, "{kind}")?;
        for part in [&self.id, &self.member] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        let (before, after) = (in_short(self.before.as_ref()), in_short(self.after.as_ref()));
        write!(f, ": {before} -> {after}")
    }
}

struct Reading<'t> {
    version: &'t str,
    decided: BTreeMap<(Kind, String), Value>,
    /// Commits that were not answered yet.
    open: HashMap<u64, &'t Value>,
    /// How often each request was made.
    requests: HashMap<String, usize>,
    /// Bodies that are streamed: whose they are, and what was sent so far.
    sent: HashMap<u64, ((Kind, String), Vec<Value>)>,
}

impl<'t> Reading<'t> {
    fn take(&mut self, step: &'t Step) {
        match step {
            Step::Asked {
                call,
                function,
                arguments,
            } => self.asked(*call, function, arguments),
            Step::Answered { call, result, .. } => {
                if let Some(arguments) = self.open.remove(call)
                    && result.get("ok").is_some()
                {
                    self.committed(arguments);
                }
            }
            Step::Taken { call, length, sha256 } => {
                if let Some((id, parts)) = self.sent.get_mut(call) {
                    parts.push(json!([length, sha256]));
                    if let Some(Value::Object(decision)) = self.decided.get_mut(id) {
                        decision.insert("streamed".to_owned(), Value::Array(parts.clone()));
                    }
                }
            }
            Step::Called { .. }
            | Step::Dropped { .. }
            | Step::Take { .. }
            | Step::TakenAll { .. }
            | Step::Refused { .. }
            | Step::Given { .. }
            | Step::GivenAll { .. } => {}
        }
    }

    fn asked(&mut self, call: u64, function: &str, arguments: &'t Value) {
        match function {
            "storage.commit" => {
                self.open.insert(call, arguments);
            }
            "crm.put-messages" => self.each(Kind::Message, &arguments["messages"]),
            "crm.put-contacts" => self.each(Kind::Person, &arguments["persons"]),
            "crm.remove-contacts" => {
                for key in arguments["keys"].as_array().into_iter().flatten() {
                    self.decided
                        .insert((Kind::Person, text(key).to_owned()), Value::Null);
                }
            }
            "crm.update-messages" => self.each(Kind::Update, &arguments["updates"]),
            "crm.put-attachment" => {
                let part = &arguments["attachment"]["part"];
                let id = format!("{} {}", text(&arguments["message-key"]), text(part));
                self.streamable(call, (Kind::Attachment, id), arguments);
            }
            "crm.report-outbound" => {
                let id = text(&arguments["id"]).to_owned();
                self.decided
                    .insert((Kind::Outbound, id), arguments["outcome"].clone());
            }
            "http.send" if arguments["method"] != "GET" => {
                let line = format!("{} {}", text(&arguments["method"]), text(&arguments["url"]));
                let number = self.requests.entry(line.clone()).or_default();
                *number += 1;
                let id = if *number == 1 {
                    line
                } else {
                    format!("{line} ({number})")
                };
                self.streamable(call, (Kind::Request, id), arguments);
            }
            "sharing.claim" => {
                let id = text(&arguments["contact-address"]).to_owned();
                self.decided.insert((Kind::Claim, id), Value::Bool(true));
            }
            "sharing.release" => {
                let id = text(&arguments["contact-address"]).to_owned();
                self.decided.insert((Kind::Claim, id), Value::Bool(false));
            }
            "oauth.release" => {
                self.decided
                    .insert((Kind::Release, String::new()), Value::Bool(true));
            }
            _ => {}
        }
    }

    fn each(&mut self, kind: Kind, values: &Value) {
        for value in values.as_array().into_iter().flatten() {
            let id = text(&value["key"]).to_owned();
            self.decided.insert((kind, id), value.clone());
        }
    }

    fn streamable(&mut self, call: u64, id: (Kind, String), arguments: &Value) {
        self.decided.insert(id.clone(), arguments.clone());
        self.sent.insert(call, (id, Vec::new()));
    }

    fn committed(&mut self, arguments: &Value) {
        for change in arguments["changes"].as_array().into_iter().flatten() {
            let id = text(&change["key"]).to_owned();
            let value = self.row(&change["value"]);
            self.decided.insert((Kind::Row, id), value);
        }
    }

    /// A row as JSON, if it is JSON; the version of the component that wrote it says nothing.
    fn row(&self, value: &Value) -> Value {
        let Some(bytes) = Content::of_value(value) else {
            return json!("removed");
        };
        let mut row = serde_json::from_slice(&bytes).unwrap_or_else(|_| value.clone());
        if let Some(version) = row.get_mut("version")
            && version == self.version
        {
            *version = json!("its own");
        }
        row
    }
}

fn compare(
    kind: Kind,
    id: &str,
    member: String,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let names = before
                .keys()
                .chain(after.keys().filter(|name| !before.contains_key(*name)));
            for name in names {
                let member = format!("{member}/{}", name.replace('~', "~0").replace('/', "~1"));
                compare(kind, id, member, before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() == after.len() => {
            for (place, (before, after)) in before.iter().zip(after).enumerate() {
                compare(
                    kind,
                    id,
                    format!("{member}/{place}"),
                    Some(before),
                    Some(after),
                    found,
                );
            }
        }
        _ => found.push(Difference {
            kind,
            id: id.to_owned(),
            member,
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn in_short(value: Option<&Value>) -> String {
    const LONGEST: usize = 120;
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let mut text = value.to_string();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}
