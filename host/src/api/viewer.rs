//! `/api`: the document as a page, made once when the server starts. No script, nothing from elsewhere.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;
use utoipa::openapi::OpenApi as Document;

/// The page.
pub(super) fn page(document: &Document) -> String {
    let document = serde_json::to_value(document).unwrap_or_default();
    let text = |pointer: &str| {
        document
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "API · Twinbox" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/style.css";
            }
            body {
                main.narrow.api {
                    p { a href="/" { "Conversations" } }
                    h1 { (text("/info/title")) " API" }
                    p { (text("/info/description")) }
                    p {
                        "Requests bring " code { "Authorization: Bearer TOKEN" } ", from "
                        code { "twinbox token create LOGIN --name NAME" } ". The document: "
                        a href="/api/v1/openapi.json" { "openapi.json" } "."
                    }
                    @for tag in members(&document, "/tags") { (group(&document, tag)) }
                    h2 { "What answers are made of" }
                    @for (name, schema) in fields(&document, "/components/schemas") {
                        details id={ "schema-" (name) } { summary { code { (name) } } (shape(schema)) }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// The operations with this tag.
fn group(document: &Value, tag: &Value) -> Markup {
    let name = tag["name"].as_str().unwrap_or_default();
    html! {
        h2 { (name) }
        p.muted { (tag["description"].as_str().unwrap_or_default()) }
        @for (path, methods) in fields(document, "/paths") {
            @for (method, operation) in methods.as_object().into_iter().flatten() {
                @if operation["tags"][0] == name { (one(path, method, operation)) }
            }
        }
    }
}

fn one(path: &str, method: &str, operation: &Value) -> Markup {
    let body = &operation["requestBody"]["content"];
    html! {
        details.operation {
            summary {
                strong { (method.to_uppercase()) } " " code { (path) } " "
                span.muted { (operation["summary"].as_str().unwrap_or_default()) }
            }
            @for parameter in members(operation, "/parameters") {
                p {
                    code { (parameter["name"].as_str().unwrap_or_default()) } " "
                    span.muted {
                        (parameter["in"].as_str().unwrap_or_default())
                        @if parameter["required"] != true { ", optional" }
                        " " (parameter["description"].as_str().unwrap_or_default())
                    }
                }
            }
            @for (kind, content) in body.as_object().into_iter().flatten() {
                p { "Body, " code { (kind) } ": " (reference(&content["schema"])) }
            }
            @for (status, response) in operation["responses"].as_object().into_iter().flatten() {
                p {
                    code { (status) } " " (response["description"].as_str().unwrap_or_default()) " "
                    @for (_, content) in response["content"].as_object().into_iter().flatten() {
                        (reference(&content["schema"]))
                    }
                }
            }
        }
    }
}

/// A schema by its name, or what it is.
fn reference(schema: &Value) -> Markup {
    let named = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next());
    html! {
        @if let Some(name) = named {
            a href={ "#schema-" (name) } { (name) }
        } @else if schema["type"] == "array" {
            "list of " (reference(&schema["items"]))
        } @else if let Some(one) = schema["oneOf"].as_array().and_then(|choices| choices.last()) {
            (reference(one)) " or nothing"
        } @else {
            (kind(schema))
        }
    }
}

/// The members of a schema.
fn shape(schema: &Value) -> Markup {
    html! {
        p { (schema["description"].as_str().unwrap_or_default()) }
        dl.people {
            @for (name, member) in schema["properties"].as_object().into_iter().flatten() {
                dt { code { (name) } }
                dd { (reference(member)) " " span.muted { (member["description"].as_str().unwrap_or_default()) } }
            }
        }
        @if let Some(values) = schema["enum"].as_array() {
            p { @for value in values { code { (value.as_str().unwrap_or_default()) } " " } }
        }
    }
}

fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => String::new(),
    }
}

fn members<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn fields<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> + use<'v> {
    value
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}
