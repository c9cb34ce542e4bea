//! Faults by seed: a plan strikes requests and notifications pseudo-randomly, the same ones for the same seed.
//!
//! Whether the n-th request of a method for a mailbox is struck, and by what, depends on the seed, the mailbox, the
//! method and n alone: another mailbox's requests in between change nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::FaultKind;

/// Which requests are struck, by seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// The same seed strikes the same requests.
    pub seed: u64,
    /// Of a thousand requests and notifications, how many are struck.
    pub per_mille: u16,
    /// By what.
    #[serde(default)]
    pub mix: FaultMix,
    /// Only these methods (see [`FaultKind::applies_to`]); empty means all.
    #[serde(default)]
    pub methods: Vec<String>,
}

/// Kinds of fault with their weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultMix(Vec<Share>);

/// A kind and how often it is chosen in comparison with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Its weight; 0 means never.
    #[serde(default = "even")]
    pub weight: u32,
}

impl FaultPlan {
    /// Strikes this many of a thousand with everything that a client gets over alone.
    pub fn new(seed: u64, per_mille: u16) -> Self {
        Self {
            seed,
            per_mille,
            mix: FaultMix::passing(),
            methods: Vec::new(),
        }
    }

    /// What strikes the n-th request (from 0) of a method for a mailbox (in lower case; empty where there is none).
    pub fn strikes(&self, mailbox: &str, method: &str, n: u64) -> Option<FaultKind> {
        let concerned = self.methods.is_empty() || self.methods.iter().any(|wanted| wanted == method);
        let start = mix(self.seed ^ mix(hash(mailbox)) ^ mix(hash(method).rotate_left(17)));
        let roll = mix(start ^ mix(n));
        if !concerned || roll % 1000 >= u64::from(self.per_mille) {
            return None;
        }
        self.mix.choose(method, mix(roll))
    }
}

impl FaultMix {
    /// One of each kind, evenly.
    pub fn all() -> Self {
        Self::of(FaultKind::ALL)
    }

    /// The kinds that a client gets over alone, evenly.
    pub fn passing() -> Self {
        let kinds = FaultKind::ALL.iter().copied();
        Self::of(&kinds.filter(|kind| kind.is_passing()).collect::<Vec<_>>())
    }

    /// These kinds, evenly.
    pub fn of(kinds: &[FaultKind]) -> Self {
        Self(
            kinds
                .iter()
                .map(|kind| Share {
                    kind: *kind,
                    weight: 1,
                })
                .collect(),
        )
    }

    /// Sets the weight of a kind, all parameters of which are replaced by these.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, weight: u32) -> Self {
        self.0.retain(|share| share.kind.name() != kind.name());
        self.0.push(Share { kind, weight });
        self
    }

    /// The kinds and their weights.
    pub fn shares(&self) -> &[Share] {
        &self.0
    }

    fn choose(&self, method: &str, roll: u64) -> Option<FaultKind> {
        let fitting = || self.0.iter().filter(|share| share.kind.applies_to(method));
        let total: u64 = fitting().map(|share| u64::from(share.weight)).sum();
        let mut left = roll.checked_rem(total)?;
        for share in fitting() {
            match left.checked_sub(u64::from(share.weight)) {
                Some(rest) => left = rest,
                None => return Some(share.kind),
            }
        }
        None
    }
}

impl Default for FaultMix {
    fn default() -> Self {
        Self::passing()
    }
}

/// A plan at work: how many requests of each method came for each mailbox.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) plan: FaultPlan,
    counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

impl Running {
    pub(super) fn new(plan: FaultPlan) -> Self {
        Self {
            plan,
            counts: BTreeMap::new(),
        }
    }

    /// What strikes the next request.
    pub(super) fn next(&mut self, mailbox: &str, method: &'static str) -> Option<FaultKind> {
        if !self.counts.contains_key(mailbox) {
            self.counts.insert(mailbox.to_owned(), BTreeMap::new());
        }
        let count = self.counts.get_mut(mailbox)?.entry(method).or_default();
        let n = *count;
        *count += 1;
        self.plan.strikes(mailbox, method, n)
    }
}

fn even() -> u32 {
    1
}

/// SplitMix64's finaliser.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_are_struck_as_the_plan_says() {
        let plan = FaultPlan::new(7, 100);
        let struck = (0..10_000)
            .filter(|n| plan.strikes("a@b.c", "messages.get", *n).is_some())
            .count();
        assert!((900..1100).contains(&struck), "{struck}");
    }

    #[test]
    fn each_kind_of_a_mix_comes_up_in_proportion_to_its_weight() {
        let plan = FaultPlan {
            mix: FaultMix::of(&[FaultKind::Html]).with(FaultKind::DropAfter, 3),
            ..FaultPlan::new(3, 1000)
        };
        let html = (0..4000)
            .filter(|n| plan.strikes("", "token", *n) == Some(FaultKind::Html))
            .count();
        assert!((900..1100).contains(&html), "{html}");
    }

    #[test]
    fn only_the_methods_of_the_plan_are_struck_and_only_by_what_applies() {
        let plan = FaultPlan {
            methods: vec!["messages.get".to_owned()],
            mix: FaultMix::of(&[FaultKind::MailSending(1)]),
            ..FaultPlan::new(3, 1000)
        };
        assert_eq!(plan.strikes("", "messages.get", 0), None);
        assert_eq!(plan.strikes("", "messages.send", 0), None);
        let everywhere = FaultPlan {
            methods: Vec::new(),
            ..plan
        };
        assert_eq!(
            everywhere.strikes("", "messages.send", 0),
            Some(FaultKind::MailSending(1))
        );
    }
}
