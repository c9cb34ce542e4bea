//! Faults: what goes wrong, on order ([`Fault`], for which mailbox and method, how often) or by seed ([`FaultPlan`]).
//!
//! A fault says whether it strikes before or after the request took effect, because that is the difference which a
//! client has to survive. Whatever the source of a fault, it is one of the catalogue in [`FaultKind`].

mod answer;
mod kind;
mod plan;

use axum::http::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::errors::Service;
use crate::world::World;

pub(crate) use answer::retry_after_text;
pub use kind::FaultKind;
pub use plan::{FaultMix, FaultPlan, Share};

use kind::Stage;
use plan::Running;

/// A fault that waits for requests it applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Only requests of this mailbox.
    #[serde(default)]
    pub mailbox: Option<String>,
    /// Only this method (`messages.send`, or one of those in [`FaultKind::applies_to`]).
    #[serde(default)]
    pub method: Option<String>,
    /// How many matching requests pass before it strikes.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it strikes.
    #[serde(default = "once")]
    pub times: u32,
    /// What goes wrong.
    pub kind: FaultKind,
}

impl Fault {
    /// A fault of a kind that strikes the next request of a method.
    pub fn next(method: &str, kind: FaultKind) -> Self {
        Self {
            method: Some(method.to_owned()),
            ..Self::soon(kind)
        }
    }

    /// A fault of a kind that strikes the next request it applies to.
    pub fn soon(kind: FaultKind) -> Self {
        Self {
            mailbox: None,
            method: None,
            skip: 0,
            times: 1,
            kind,
        }
    }

    fn concerns(&self, mailbox: &str, method: &str) -> bool {
        self.times > 0
            && self
                .mailbox
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(mailbox))
            && self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.kind.applies_to(method)
    }
}

/// The faults that wait, and the plan.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: Vec<Fault>,
    plan: Option<Running>,
}

impl Faults {
    /// Puts a fault in wait, behind those that wait already.
    pub(crate) fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    /// Those that wait.
    pub(crate) fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// Removes those that wait; the plan stays.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Begins a plan from its first request, or ends it.
    pub(crate) fn set_plan(&mut self, plan: Option<FaultPlan>) {
        self.plan = plan.map(Running::new);
    }

    /// The plan at work.
    pub(crate) fn plan(&self) -> Option<&FaultPlan> {
        self.plan.as_ref().map(|running| &running.plan)
    }

    /// The fault that strikes this request, if any; one that waits goes before the plan's.
    pub(crate) fn strike(&mut self, mailbox: &str, method: &'static str) -> Option<FaultKind> {
        let planned = self
            .plan
            .as_mut()
            .and_then(|running| running.next(mailbox, method));
        self.strike_waiting(mailbox, method).or(planned)
    }

    fn strike_waiting(&mut self, mailbox: &str, method: &str) -> Option<FaultKind> {
        let position = self
            .waiting
            .iter()
            .position(|fault| fault.concerns(mailbox, method))?;
        let fault = self.waiting.get_mut(position)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        let kind = fault.kind;
        if fault.times == 0 {
            self.waiting.remove(position);
        }
        Some(kind)
    }
}

/// Carries a request out under the fault that strikes it, if one does. `mailbox` is empty where there is none.
pub(crate) fn under(
    world: &mut World,
    mailbox: &str,
    method: &'static str,
    carry_out: impl FnOnce(&mut World) -> Response<Bytes>,
) -> Response<Bytes> {
    let Some(kind) = world.faults.strike(mailbox, method) else {
        return carry_out(world);
    };
    world.hits.add(kind.name());
    match kind.stage() {
        Stage::Before => {
            if let FaultKind::UnauthorizedStorm(requests) = kind {
                storm(world, mailbox, requests.saturating_sub(1));
            }
            kind.answer(world, mailbox, Service::of(method))
        }
        Stage::After => {
            carry_out(world);
            kind.answer(world, mailbox, Service::of(method))
        }
        Stage::Wire => {
            let mut response = carry_out(world);
            if let Some(wire) = kind.wire() {
                response.extensions_mut().insert(wire);
            }
            response
        }
        Stage::Twist => {
            let usual = world.behaviour.clone();
            kind.twist(&mut world.behaviour);
            let response = carry_out(world);
            world.behaviour = usual;
            response
        }
        Stage::Event => {
            kind.happen(world, mailbox);
            let response = carry_out(world);
            world.next_send_is_lost = false;
            response
        }
        Stage::Push => carry_out(world),
    }
}

/// The next requests of a mailbox are refused too, before anything else happens to them.
fn storm(world: &mut World, mailbox: &str, requests: u32) {
    let more = Fault {
        mailbox: Some(mailbox.to_owned()),
        times: requests,
        ..Fault::soon(FaultKind::Unauthorized)
    };
    if requests > 0 {
        world.faults.waiting.insert(0, more);
    }
}

fn once() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_after_its_skips_and_then_is_gone() {
        let mut faults = Faults::default();
        faults.add(Fault {
            skip: 1,
            ..Fault::next("messages.get", FaultKind::Html)
        });
        assert_eq!(faults.strike("a@b.c", "messages.list"), None);
        assert_eq!(faults.strike("a@b.c", "messages.get"), None);
        assert_eq!(faults.strike("a@b.c", "messages.get"), Some(FaultKind::Html));
        assert_eq!(faults.strike("a@b.c", "messages.get"), None);
        assert!(faults.waiting().is_empty());
    }

    #[test]
    fn a_fault_waits_for_a_request_it_applies_to() {
        let mut faults = Faults::default();
        faults.add(Fault::soon(FaultKind::MailSending(1)));
        assert_eq!(faults.strike("a@b.c", "messages.get"), None);
        assert_eq!(
            faults.strike("a@b.c", "drafts.send"),
            Some(FaultKind::MailSending(1))
        );
    }
}
