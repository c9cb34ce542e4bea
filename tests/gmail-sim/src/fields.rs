//! Partial answers: the `fields` parameter (`id,payload/headers`, `messages(id,threadId)`, `*`).
//!
//! Source: Google's performance guide for the Gmail API.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::errors::ApiError;

/// Deepest nesting that is parsed.
const MAX_DEPTH: usize = 32;

/// What to keep of an object; empty means everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection(BTreeMap<String, Selection>);

impl Selection {
    /// Parses a `fields` value.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut rest = text;
        let selection = parse_list(&mut rest, 0).ok_or_else(|| ApiError::invalid_field(text))?;
        if rest.is_empty() {
            Ok(selection)
        } else {
            Err(ApiError::invalid_field(text))
        }
    }

    /// The first name that is not in `known`.
    pub(crate) fn unknown<'a>(&'a self, known: &[&str]) -> Option<&'a str> {
        self.0.iter().find_map(|(name, inner)| {
            if name != "*" && !known.contains(&name.as_str()) {
                Some(name.as_str())
            } else {
                inner.unknown(known)
            }
        })
    }

    /// Keeps of `value` what is selected.
    pub(crate) fn apply(&self, value: Value) -> Value {
        if self.0.is_empty() {
            return value;
        }
        match value {
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.apply(item)).collect()),
            Value::Object(members) => Value::Object(self.apply_object(members)),
            other => other,
        }
    }

    fn apply_object(&self, members: Map<String, Value>) -> Map<String, Value> {
        members
            .into_iter()
            .filter_map(|(name, value)| {
                let inner = self.0.get(&name).or_else(|| self.0.get("*"))?;
                Some((name, inner.apply(value)))
            })
            .collect()
    }

    fn merge(&mut self, name: String, inner: Self) {
        match self.0.entry(name) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(inner);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                if inner.0.is_empty() {
                    entry.insert(inner);
                } else if !entry.get().0.is_empty() {
                    for (name, deeper) in inner.0 {
                        entry.get_mut().merge(name, deeper);
                    }
                }
            }
        }
    }
}

fn parse_list(rest: &mut &str, depth: usize) -> Option<Selection> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut selection = Selection::default();
    loop {
        let (name, inner) = parse_item(rest, depth)?;
        selection.merge(name, inner);
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return Some(selection),
        }
    }
}

fn parse_item(rest: &mut &str, depth: usize) -> Option<(String, Selection)> {
    if depth > MAX_DEPTH {
        return None;
    }
    let end = rest.find(['/', '(', ')', ',']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if name.trim().is_empty() {
        return None;
    }
    let name = name.trim().to_owned();
    *rest = after;
    if let Some(after) = rest.strip_prefix('/') {
        *rest = after;
        let (child, inner) = parse_item(rest, depth + 1)?;
        return Some((name, Selection(BTreeMap::from([(child, inner)]))));
    }
    if let Some(after) = rest.strip_prefix('(') {
        *rest = after;
        let inner = parse_list(rest, depth + 1)?;
        *rest = rest.strip_prefix(')')?;
        return Some((name, inner));
    }
    Some((name, Selection::default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(fields: &str, value: Value) -> Value {
        Selection::parse(fields).unwrap().apply(value)
    }

    #[test]
    fn nested_selections_reach_into_arrays() {
        let value = json!({"messages": [{"id": "1", "threadId": "2"}], "nextPageToken": "x", "n": 1});
        assert_eq!(
            select("messages(id),n", value.clone()),
            json!({"messages": [{"id": "1"}], "n": 1})
        );
        assert_eq!(
            select("messages/threadId", value.clone()),
            json!({"messages": [{"threadId": "2"}]})
        );
        assert_eq!(select("*", value.clone()), value);
    }

    #[test]
    fn two_paths_into_one_object_are_joined() {
        let value = json!({"a": {"b": 1, "c": 2, "d": 3}});
        assert_eq!(select("a/b,a/c", value.clone()), json!({"a": {"b": 1, "c": 2}}));
        assert_eq!(select("a/b,a", value.clone()), value);
    }

    #[test]
    fn malformed_selections_are_refused() {
        for text in ["", "a(", "a(b", "a)", "a,,b", "a/", "(a)"] {
            assert!(Selection::parse(text).is_err(), "{text}");
        }
        assert!(Selection::parse(&"a(".repeat(5000)).is_err());
        assert!(Selection::parse(&"a/".repeat(5000)).is_err());
    }
}
