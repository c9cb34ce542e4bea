//! What users keep out (T06).

use super::{
    Expected, Judge, Mail, Policy, Presence, User,
    contact::Owner,
    mail::{header, untagged},
};
use crate::plan::{Internal, Shape};

impl Judge<'_> {
    /// Whether the user lets a message in (T06).
    pub(super) fn allowed(
        &self,
        user: &User<'_>,
        owner: &Owner,
        mail: &Mail<'_>,
        presence: Presence,
    ) -> Expected {
        let policies = &self.history.policies[user.number];
        let is_barred = |policy: &Policy| self.is_barred(policy, owner, mail);
        if !policies.iter().any(is_barred) {
            return Expected::Must;
        }
        let Some(last) = policies.last() else {
            return Expected::Must;
        };
        let is_retracted = is_barred(last)
            && self.history.retracted.get(&user.number).is_some_and(|at| *at > last.from)
            // A new connection does not know what an earlier one brought; no lease can keep a host that stood still
            // from putting what it was told before; of what is gone nobody knows who was in it.
            && user.lives.len() == 1
            && self.active(user).is_some()
            && !self.state.coverage.has_stalled()
            && presence == Presence::Alive
            && mail.answers(&self.state.wire.gone) < 2;
        if is_retracted || policies.iter().all(is_barred) {
            Expected::MustNot
        } else {
            Expected::May
        }
    }

    fn is_barred(&self, policy: &Policy, owner: &Owner, mail: &Mail<'_>) -> bool {
        let people: Vec<String> = ["From", "To", "Cc", "Bcc"]
            .iter()
            .flat_map(|name| header(&mail.raw, name))
            .filter(|address| !Shape::is_bcc_address(address))
            .map(|address| untagged(&address))
            .collect();
        let never = policy.lists.never.iter();
        let mut never = never.map(|person| self.plan.shape.address(*person));
        let is_internal = policy.lists.internal == Internal::OwnDomain
            && people.iter().all(|address| address.ends_with("@corp.example"));
        never.any(|address| people.contains(&address))
            || is_internal
            || policy.private.contains(&owner.contact.id)
    }
}
