//! What a user does with contacts beside the API: by [`Sim`] in a test, and under `/sim/contacts` for programs.

use axum::http::Method as Verb;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use super::contacts::{Contact, ContactView, Contacts, parse_resource_name, resource_name};
use crate::Sim;
use crate::admin::{find, find_mut, required, text};
use crate::api::Request;
use crate::errors::ApiError;
use crate::moment::Moment;
use crate::world::World;

impl Sim {
    /// A user writes down a contact: its resource name (`people/c…`). `None` if there is no such user.
    pub fn add_contact(&self, email: &str, contact: &Contact) -> Option<String> {
        let id = change(&mut self.lock(), email, |contacts, rng, moment| {
            contacts.add(contact.clone(), rng, moment)
        })?;
        Some(resource_name(id))
    }

    /// A user writes a contact anew, name and addresses. False if there is no such contact.
    pub fn update_contact(&self, email: &str, resource_name: &str, contact: &Contact) -> bool {
        let id = parse_resource_name(resource_name);
        id.is_some_and(|id| {
            self.changes_contacts(email, |contacts, moment| {
                contacts.update(id, contact.clone(), moment)
            })
        })
    }

    /// A user deletes a contact. False if there is no such contact.
    pub fn delete_contact(&self, email: &str, resource_name: &str) -> bool {
        let id = parse_resource_name(resource_name);
        id.is_some_and(|id| self.changes_contacts(email, |contacts, moment| contacts.delete(id, moment)))
    }

    /// A user makes one contact of two: `merged` is deleted, `survivor` gets its addresses, and its name where it has none
    /// itself. False if one of them is not there.
    pub fn merge_contacts(&self, email: &str, survivor: &str, merged: &str) -> bool {
        let ids = parse_resource_name(survivor).zip(parse_resource_name(merged));
        ids.is_some_and(|(survivor, merged)| {
            self.changes_contacts(email, |contacts, moment| contacts.merge(survivor, merged, moment))
        })
    }

    /// The contacts of a user, the one changed last at the end. `None` if there is no such user.
    pub fn contacts(&self, email: &str) -> Option<Vec<ContactView>> {
        let world = self.lock();
        let key = world.find_account(email)?;
        Some(views(&world.accounts.get(&key)?.contacts))
    }

    /// Lets every sync token of a user's contacts expire that was given out so far. False if there is no such user.
    pub fn expire_sync_tokens(&self, email: &str) -> bool {
        self.with_account(email, |account| account.contacts.expire_sync_tokens())
    }

    /// The same for page tokens.
    pub fn expire_page_tokens(&self, email: &str) -> bool {
        self.with_account(email, |account| account.contacts.expire_page_tokens())
    }

    fn changes_contacts(&self, email: &str, work: impl FnOnce(&mut Contacts, Moment) -> bool) -> bool {
        let done = change(&mut self.lock(), email, |contacts, _, moment| {
            work(contacts, moment)
        });
        done.unwrap_or(false)
    }
}

fn change<T>(
    world: &mut World,
    email: &str,
    work: impl FnOnce(&mut Contacts, &mut StdRng, Moment) -> T,
) -> Option<T> {
    let moment = world.moment();
    let key = world.find_account(email)?;
    let account = world.accounts.get_mut(&key)?;
    Some(work(&mut account.contacts, &mut account.rng, moment))
}

fn views(contacts: &Contacts) -> Vec<ContactView> {
    let all = contacts.all().map(|(id, contact)| ContactView {
        resource_name: resource_name(id),
        contact: contact.clone(),
    });
    all.collect()
}

/// Answers a request under `/sim/contacts`.
pub(crate) fn admin(world: &mut World, request: &Request, path: &[&str]) -> Result<Value, ApiError> {
    let verb = &request.verb;
    match path {
        [email] if *verb == Verb::GET => show(world, email),
        [] if *verb == Verb::POST => add(world, &request.json()?),
        [] if *verb == Verb::PUT => update(world, &request.json()?),
        [] if *verb == Verb::DELETE => delete(world, &request.json()?),
        ["merge"] if *verb == Verb::POST => merge(world, &request.json()?),
        ["expire"] if *verb == Verb::POST => expire(world, &request.json()?),
        _ => Err(ApiError::not_found()),
    }
}

fn show(world: &World, email: &str) -> Result<Value, ApiError> {
    let views = views(&find(world, email)?.contacts);
    let shown: Vec<Value> = views
        .iter()
        .map(|view| {
            json!({
                "resourceName": view.resource_name,
                "name": view.contact.name,
                "addresses": view.contact.addresses,
            })
        })
        .collect();
    Ok(json!({"contacts": shown}))
}

fn add(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let contact = read(body)?;
    let id = change(world, required(body, "email")?, |contacts, rng, moment| {
        contacts.add(contact, rng, moment)
    });
    let id = id.ok_or_else(ApiError::not_found)?;
    Ok(json!({"resourceName": resource_name(id)}))
}

fn update(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let (id, contact) = (contact_id(body, "resourceName")?, read(body)?);
    done(world, body, |contacts, moment| {
        contacts.update(id, contact, moment)
    })
}

fn delete(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let id = contact_id(body, "resourceName")?;
    done(world, body, |contacts, moment| contacts.delete(id, moment))
}

fn merge(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let (survivor, merged) = (contact_id(body, "survivor")?, contact_id(body, "merged")?);
    done(world, body, |contacts, moment| {
        contacts.merge(survivor, merged, moment)
    })
}

fn expire(world: &mut World, body: &Value) -> Result<Value, ApiError> {
    let contacts = &mut find_mut(world, required(body, "email")?)?.contacts;
    match text(body, "what") {
        None | Some("sync-tokens") => contacts.expire_sync_tokens(),
        Some("page-tokens") => contacts.expire_page_tokens(),
        Some(other) => return Err(ApiError::bad_value("what", other)),
    }
    Ok(json!({}))
}

fn done(
    world: &mut World,
    body: &Value,
    work: impl FnOnce(&mut Contacts, Moment) -> bool,
) -> Result<Value, ApiError> {
    let email = required(body, "email")?;
    match change(world, email, |contacts, _, moment| work(contacts, moment)) {
        Some(true) => Ok(json!({})),
        _ => Err(ApiError::not_found()),
    }
}

fn contact_id(body: &Value, name: &str) -> Result<u64, ApiError> {
    parse_resource_name(required(body, name)?).ok_or_else(ApiError::not_found)
}

fn read(body: &Value) -> Result<Contact, ApiError> {
    let bad_list = || ApiError::invalid("Invalid value at 'addresses'");
    let addresses = match body.get("addresses") {
        None | Some(Value::Null) => Vec::new(),
        Some(list) => serde_json::from_value(list.clone()).map_err(|_| bad_list())?,
    };
    Ok(Contact {
        name: text(body, "name").map(ToOwned::to_owned),
        addresses,
    })
}
