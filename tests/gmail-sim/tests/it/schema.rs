//! Every answer, held to the discovery document: no field unknown, none of the wrong type; and every scope.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::world::{ANNA, World, raw};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/gmail.v1.json");

fn discovery() -> Option<Value> {
    let text = std::fs::read(PATH);
    if text.is_err() {
        eprintln!("SKIPPED: {PATH} is not there, answers are not held to the discovery document");
    }
    Some(serde_json::from_slice(&text.ok()?).unwrap())
}

/// A discovery schema as JSON Schema that allows nothing else.
fn convert(schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        return json!({"$ref": format!("#/definitions/{name}")});
    }
    match schema["type"].as_str() {
        Some("object") => {
            let members = schema["properties"].as_object().cloned().unwrap_or_default();
            let properties: Map<String, Value> = members
                .iter()
                .map(|(name, member)| (name.clone(), convert(member)))
                .collect();
            json!({"type": "object", "properties": properties, "additionalProperties": false})
        }
        Some("array") => {
            json!({"type": "array", "minItems": 1, "items": convert(&schema["items"])})
        }
        Some("string") => match (schema["format"].as_str(), schema.get("enum")) {
            (Some("int64" | "uint64"), _) => json!({"type": "string", "pattern": "^[0-9]+$"}),
            (Some("byte"), _) => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]*=*$"}),
            (_, Some(values)) => json!({"enum": values}),
            _ => json!({"type": "string"}),
        },
        Some(other) => json!({"type": other}),
        None => json!({}),
    }
}

fn methods(resource: &Value, into: &mut BTreeMap<String, Value>) {
    for method in resource["methods"].as_object().into_iter().flat_map(Map::values) {
        let name = method["id"]
            .as_str()
            .unwrap()
            .trim_start_matches("gmail.users.")
            .to_owned();
        into.insert(name, method.clone());
    }
    for inner in resource["resources"]
        .as_object()
        .into_iter()
        .flat_map(Map::values)
    {
        methods(inner, into);
    }
}

struct Checker {
    definitions: Value,
    methods: BTreeMap<String, Value>,
}

impl Checker {
    fn new(discovery: &Value) -> Self {
        let schemas = discovery["schemas"].as_object().unwrap();
        let definitions = schemas
            .iter()
            .map(|(name, schema)| (name.clone(), convert(schema)))
            .collect();
        let mut found = BTreeMap::new();
        methods(discovery, &mut found);
        Self {
            definitions,
            methods: found,
        }
    }

    fn check(&self, method: &str, answer: &Value) {
        let name = self.methods[method]["response"]["$ref"].as_str().unwrap();
        let schema = json!({"$ref": format!("#/definitions/{name}"), "definitions": self.definitions});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(answer)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{method}: {errors:?} in {answer:#}");
    }
}

const MAIL: &str = "From: Carl <carl@client.test>\nTo: anna@acme.test\nSubject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>hello\n--b\nContent-Type: image/png; name=p.png\nContent-Transfer-Encoding: base64\n\nAAEC\n--b--\n";

#[test]
fn every_answer_has_the_shape_of_the_discovery_document() {
    let Some(discovery) = discovery() else { return };
    let checker = Checker::new(&discovery);
    let world = World::new();
    let start = world.history_id();
    let check = |method: &str, verb: &str, path: &str, body: Value| {
        let answer = world.call(verb, path, body).ok();
        checker.check(method, &answer);
        answer
    };
    let message = world.arrive(MAIL);
    let (id, thread) = (message.id, message.thread_id);
    check("getProfile", "GET", "profile", Value::Null);
    check("messages.list", "GET", "messages?maxResults=1", Value::Null);
    for format in ["minimal", "full", "raw", "metadata"] {
        check(
            "messages.get",
            "GET",
            &format!("messages/{id}?format={format}"),
            Value::Null,
        );
    }
    let full = check("threads.get", "GET", &format!("threads/{thread}"), Value::Null);
    let attachment = full["messages"][0]["payload"]["parts"][1]["body"]["attachmentId"]
        .as_str()
        .unwrap()
        .to_owned();
    check(
        "messages.attachments.get",
        "GET",
        &format!("messages/{id}/attachments/{attachment}"),
        Value::Null,
    );
    check(
        "messages.modify",
        "POST",
        &format!("messages/{id}/modify"),
        json!({"removeLabelIds": ["UNREAD"]}),
    );
    check(
        "messages.trash",
        "POST",
        &format!("messages/{id}/trash"),
        Value::Null,
    );
    check(
        "messages.untrash",
        "POST",
        &format!("messages/{id}/untrash"),
        Value::Null,
    );
    check("messages.insert", "POST", "messages", raw(MAIL));
    check("messages.import", "POST", "messages/import", raw(MAIL));
    check("messages.send", "POST", "messages/send", raw(MAIL));
    check("threads.list", "GET", "threads?maxResults=1", Value::Null);
    check(
        "threads.modify",
        "POST",
        &format!("threads/{thread}/modify"),
        json!({"addLabelIds": ["STARRED"]}),
    );
    check(
        "threads.trash",
        "POST",
        &format!("threads/{thread}/trash"),
        Value::Null,
    );
    check(
        "threads.untrash",
        "POST",
        &format!("threads/{thread}/untrash"),
        Value::Null,
    );
    let label = check(
        "labels.create",
        "POST",
        "labels",
        json!({"name": "n", "color": {"textColor": "#000000", "backgroundColor": "#ffffff"}}),
    );
    let label = format!("labels/{}", label["id"].as_str().unwrap());
    check("labels.get", "GET", &label, Value::Null);
    check(
        "labels.patch",
        "PATCH",
        &label,
        json!({"labelListVisibility": "labelHide"}),
    );
    check("labels.update", "PUT", &label, json!({"name": "m"}));
    check("labels.list", "GET", "labels", Value::Null);
    let draft = check("drafts.create", "POST", "drafts", json!({"message": raw(MAIL)}));
    let draft_path = format!("drafts/{}", draft["id"].as_str().unwrap());
    check("drafts.update", "PUT", &draft_path, json!({"message": raw(MAIL)}));
    check("drafts.get", "GET", &draft_path, Value::Null);
    check("drafts.list", "GET", "drafts", Value::Null);
    check("drafts.send", "POST", "drafts/send", json!({"id": draft["id"]}));
    check("settings.sendAs.list", "GET", "settings/sendAs", Value::Null);
    check(
        "settings.sendAs.get",
        "GET",
        &format!("settings/sendAs/{ANNA}"),
        Value::Null,
    );
    check(
        "watch",
        "POST",
        "watch",
        json!({"topicName": "projects/p/topics/t"}),
    );
    world.call("DELETE", &format!("messages/{id}"), Value::Null);
    check(
        "history.list",
        "GET",
        &format!("history?startHistoryId={start}&maxResults=3"),
        Value::Null,
    );
    check(
        "history.list",
        "GET",
        &format!("history?startHistoryId={start}"),
        Value::Null,
    );
    let answered = world.sim.stats().by_method;
    for (method, description) in &checker.methods {
        let asked = answered.contains_key(method) || description.get("response").is_none();
        let absent = world.sim.scopes_of(method).is_none();
        assert!(
            asked || absent,
            "{method} is there but its answer was not checked"
        );
    }
}

#[test]
fn every_method_takes_the_scopes_of_the_discovery_document() {
    let Some(discovery) = discovery() else { return };
    let checker = Checker::new(&discovery);
    let world = World::new();
    let known = [
        "gmail.modify",
        "gmail.readonly",
        "gmail.metadata",
        "gmail.compose",
        "gmail.send",
        "gmail.insert",
        "gmail.labels",
        "gmail.settings.basic",
        "mail.google.com/",
    ];
    let mut compared = 0;
    for (method, description) in &checker.methods {
        let Some(mut ours) = world.sim.scopes_of(method) else {
            continue;
        };
        let mut theirs: Vec<&str> = description["scopes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .filter(|scope| known.iter().any(|known| scope.ends_with(known)))
            .collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs, "{method}");
        compared += 1;
    }
    assert_eq!(compared, 36);
}
