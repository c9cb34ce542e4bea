//! Reading explanations (T02): what a person may look for, and what an explanation says besides its rule.

use crate::contract::{Explanation, Subject};

/// Inputs that name what the user wanted kept out (T06).
const KEPT_OUT: [&str; 3] = ["never-sync", "internal-domains", "private"];

/// What a text may mean, in this order. An address may also be a Message-ID without its brackets.
pub(crate) fn subjects(text: &str) -> Vec<Subject> {
    let (message_id, contact) = (
        Subject::MessageId(text.to_owned()),
        Subject::Contact(text.to_owned()),
    );
    if text.starts_with('<') {
        vec![message_id]
    } else if text.contains('@') {
        vec![contact, message_id]
    } else {
        vec![Subject::Message(text.to_owned())]
    }
}

/// An input of the rule, by its name; empty when there is none.
pub(crate) fn input<'e>(explanation: &'e Explanation, name: &str) -> &'e str {
    let mut inputs = explanation.inputs.iter();
    let found = inputs.find(|input| input.name == name);
    found.map_or("", |input| input.value.as_str())
}

/// Which of the user's own wishes kept a message out, and what it matched (T06).
pub(crate) fn wish(explanation: &Explanation) -> Option<(&'static str, &str)> {
    let wishes = KEPT_OUT.into_iter().map(|name| (name, input(explanation, name)));
    wishes.into_iter().find(|(_, matched)| !matched.is_empty())
}
