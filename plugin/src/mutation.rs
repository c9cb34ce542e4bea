//! Deliberate bugs. The simulation (`tests/simulation`) has to find each of them, which proves that what
//! it does not find is not there. They exist only with the feature `mutations`; a component that is
//! released is built without it, and [`Settings::has`](crate::settings::Settings::has) is `false` at
//! compile time.

/// A deliberate bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "mutations",
    derive(serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum Mutation {
    /// The cursor is stored before the page's messages are handled.
    CursorBeforeMessages,
    /// A message that could not be read for now gets no ledger row and stops nothing.
    RowDroppedOnError,
    /// After an expired history the anchor is taken when the listing is done, not before it.
    AnchorAfterListing,
    /// After an expired history a new anchor is taken and nothing is listed.
    GapLeftOpen,
    /// What the ledger knows is delivered again, without asking the CRM.
    PageAppliedTwice,
    /// Only the first page of history is read.
    LaterPagesSkipped,
    /// A message whose draft is gone is sent again.
    ResentWhenUnclear,
    /// What is about to be sent is not stored before its draft is made.
    IntentNotStored,
    /// The draft is not stored before it is sent.
    DraftNotStored,
    /// What was sent today does not count.
    DayNotCounted,
    /// A message that could not be read for now is quarantined at once.
    OutageQuarantines,
    /// Deletions are not told to the CRM.
    DeletionsIgnored,
    /// Records of history are taken in the order in which they are listed.
    LabelChangesUnordered,
    /// What came from the CRM is told to the CRM.
    EchoNotSuppressed,
    /// What a push says is taken for the cursor.
    PushTrustedAsCursor,
    /// How far the address book was read is stored before the CRM has the page.
    AddressBookBeforeContacts,
    /// Mail that came to the BCC address does not know its copy in the mailbox.
    BccCopyLoggedTwice,
    /// Mail from before the connection is taken in.
    PastMailTaken,
    /// An alias of the mailbox is taken for an address like any other.
    AliasTakenForContact,
}
