//! Deliberate bugs, to prove that the checker finds such bugs.

/// A deliberate bug. Those of the component are in it if it was built with the feature `mutations`; its settings tell
/// which one to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// In the component, by its name there.
    Component(&'static str),
    /// The store commits for whoever held the lease once.
    StaleLease,
    /// The vault revokes a grant that another tenant's connection needs, and says that none does (S06).
    RevokeIgnoresOthers,
    /// To look who keeps a contact and to take it are two steps (S31).
    ClaimNotAtomic,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Component("cursor-before-messages"),
        Self::Component("row-dropped-on-error"),
        Self::Component("anchor-after-listing"),
        Self::Component("gap-left-open"),
        Self::Component("page-applied-twice"),
        Self::Component("later-pages-skipped"),
        Self::Component("resent-when-unclear"),
        Self::Component("intent-not-stored"),
        Self::Component("draft-not-stored"),
        Self::Component("day-not-counted"),
        Self::Component("outage-quarantines"),
        Self::Component("deletions-ignored"),
        Self::Component("label-changes-unordered"),
        Self::Component("echo-not-suppressed"),
        Self::Component("push-trusted-as-cursor"),
        Self::Component("address-book-before-contacts"),
        Self::Component("bcc-copy-logged-twice"),
        Self::Component("past-mail-taken"),
        Self::Component("alias-taken-for-contact"),
        Self::StaleLease,
        Self::RevokeIgnoresOthers,
        Self::ClaimNotAtomic,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Component(name) => name,
            Self::StaleLease => "stale-lease",
            Self::RevokeIgnoresOthers => "revoke-ignores-others",
            Self::ClaimNotAtomic => "claim-not-atomic",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutation| mutation.name() == name)
    }
}
