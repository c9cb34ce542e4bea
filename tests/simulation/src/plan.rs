//! What will happen in one world: everything a seed decides before the world starts. A plan is plain
//! data, so that a failing one can be made smaller event by event and run again.

use gmail_sim::{Behaviour, Fault};
use twinbox_host::contract::OutboundKind;

mod address_book;
mod generate;
mod moving;
mod only_sharing;
mod post;
mod privacy;
mod sharing;

pub(crate) use generate::is_reachable;
pub(crate) use post::{Answer, Logging, Unreached, Verdict, Way};

/// How BCC addresses begin.
const BCC: &str = "log-";

/// All that happens in one world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it came from; also seeds latencies while it runs.
    pub seed: u64,
    /// Who is there.
    pub shape: Shape,
    /// What happens, by time.
    pub events: Vec<Event>,
}

/// Who is there and how they are.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Gmail mailboxes, `m0@corp.example` and so on.
    pub mailboxes: usize,
    /// People outside, `p0@out.example` and so on. Person `people + n` is the owner of mailbox `n`.
    pub people: usize,
    /// CRM accounts, each with one user who has one connection, or with several users of one mailbox.
    pub tenants: Vec<Tenant>,
    /// Hosts that run passes over the same store: one or two.
    pub hosts: usize,
    /// How Gmail behaves where that is uncertain.
    pub behaviour: Behaviour,
    /// Units a minute that the host allows each account.
    pub rate: u64,
    /// What the CRMs can do.
    pub crm: CrmKind,
    /// Messages of a listing's page; less than Gmail's own where paging is to be met.
    pub page: u32,
    /// Mailboxes that have an accepted alias. Person `people + mailboxes + n` is the alias of mailbox `n`.
    pub aliases: Vec<usize>,
}

/// One CRM account.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// The mailbox its user connects.
    pub mailbox: usize,
    /// Its contacts.
    pub contacts: Vec<Contact>,
    /// Mail its user may send in 24 hours.
    pub daily_limit: u32,
    /// Whether the contacts of the account come along (S08).
    pub book: AddressBook,
    /// Whose contacts are synced (S30).
    pub sees: Sees,
    /// What its user keeps out from the beginning (T06).
    pub lists: Lists,
    /// Whether its user's mail is logged by a BCC address (S18).
    pub logging: Logging,
    /// The earlier one whose CRM account it is: then this is another user of that account.
    pub colleague_of: Option<usize>,
    /// The earlier one of whom it is the next connection: the same user with another address (S05).
    pub moves_from: Option<usize>,
}

/// What is wrong with a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// A box was left unticked (S02).
    Box,
    /// It is for another mailbox than the one asked for (S03).
    Mailbox,
    /// The address that Google signed is not the mailbox's own (S03).
    Account,
}

impl Slip {
    /// The rule that refuses it.
    pub fn rule(self) -> &'static str {
        match self {
            Self::Box => "S02",
            Self::Mailbox | Self::Account => "S03",
        }
    }
}

/// What a user keeps out (T06).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// People of whom no mail is synced.
    pub never: Vec<usize>,
    /// Whose mail among themselves is not synced.
    pub internal: Internal,
}

/// Whose mail among themselves is not synced (T06).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Internal {
    /// That of the mailbox's own domain.
    #[default]
    OwnDomain,
    /// Nobody's.
    Nobody,
}

/// Whether a conversation is private (T06).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// It is.
    Private,
    /// It is not.
    Open,
}

/// How an address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As it is.
    Plain,
    /// With a tag.
    Tagged,
}

/// Whose contacts a tenant's connection syncs (S30).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// Its user's and nobody's.
    Own,
    /// Anybody's.
    Any,
}

/// Whom a contact is assigned to (S30).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// Nobody.
    Nobody,
    /// The tenant's user who has the connection.
    TheUser,
    /// Another user of the tenant.
    AColleague,
}

/// Whether a user ticked that the contacts of the account come along (S08).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressBook {
    /// They do.
    Ticked,
    /// They do not.
    Unticked,
}

/// One contact of a tenant.
#[derive(Clone, Debug)]
pub struct Contact {
    /// Whom it stands for.
    pub person: usize,
    /// When it was created; of several for one person the first gets the mail (S16).
    pub created_at: u64,
    /// Whom it is assigned to.
    pub assigned: Assigned,
}

/// How a CRM takes a message twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmKind {
    /// It knows a key it has seen.
    Idempotent,
    /// It stores whatever comes; the plugin has to ask first.
    Forgetful,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub struct Event {
    /// When, in milliseconds after the world's start.
    pub at: u64,
    /// What.
    pub what: What,
}

/// What people do to a message in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrmAct {
    /// Read it.
    Read,
    /// Call it unread.
    Unread,
    /// Star it.
    Star,
    /// Take the star away.
    Unstar,
    /// Archive it.
    Archive,
    /// Back into the inbox.
    Unarchive,
    /// Delete it.
    Delete,
}

/// What the owner of a mailbox does to the address book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookAct {
    /// Adds somebody.
    Add,
    /// Changes a name.
    Rename,
    /// Changes the addresses.
    Readdress,
    /// Takes all addresses away.
    Unaddress,
    /// Makes one of two.
    Merge,
    /// Deletes somebody.
    Delete,
}

/// What can happen.
#[derive(Clone, Debug)]
pub enum What {
    /// A tenant's user connects, or connects again after the connection was ended.
    Connect {
        /// Which.
        tenant: usize,
        /// What is wrong with the first consent.
        slip: Option<Slip>,
    },
    /// A tenant's user disconnects.
    Disconnect {
        /// Which.
        tenant: usize,
    },
    /// Mail comes to a mailbox from outside.
    Arrives(Mail),
    /// The owner of a mailbox does something to a message in Gmail.
    Gmail {
        /// Whose.
        mailbox: usize,
        /// What.
        act: Act,
        /// Which message: an index into those there are, modulo their number.
        pick: usize,
    },
    /// The owner of a mailbox sends mail with Gmail.
    UserSends {
        /// Whose.
        mailbox: usize,
        /// To whom.
        to: Vec<usize>,
        /// In copy.
        cc: Vec<usize>,
        /// Whether it is a new message or a forwarded one.
        writing: Writing,
    },
    /// The user of a tenant sends mail with the BCC address in Bcc (S18).
    Logs {
        /// Whose address.
        tenant: usize,
        /// To whom.
        to: Vec<usize>,
        /// In copy.
        cc: Vec<usize>,
        /// In Bcc beside the address, where Gmail sends it.
        bcc: Vec<usize>,
        /// What it looks like.
        body: BodyKind,
        /// How it leaves.
        way: Way,
        /// When its copies come to the address, ms after it was sent.
        copies: Vec<u64>,
    },
    /// Mail to an address comes back from now on.
    Bounces(Unreached),
    /// A server says that mail the owner of a mailbox sent was not handed over.
    Notice {
        /// Whose mailbox.
        mailbox: usize,
        /// Which of the messages that were sent, modulo their number.
        pick: usize,
        /// To whom it was not.
        about: Unreached,
        /// What becomes of it.
        verdict: Verdict,
        /// Where the notice goes.
        answer: Answer,
    },
    /// The user of a tenant writes mail in the CRM.
    CrmSends {
        /// Which tenant.
        tenant: usize,
        /// To one person, or what must not go through the mailbox (S22).
        kind: OutboundKind,
        /// Which of its contacts, modulo their number.
        contact: usize,
        /// In copy.
        cc: Vec<usize>,
        /// A new conversation, or the latest one with that contact.
        threading: Threading,
        /// Bytes of an attachment; none if 0.
        attachment: usize,
        /// What to do when the day is full.
        patience: Patience,
    },
    /// The user of a tenant does something to a message in the CRM.
    CrmActs {
        /// Which tenant.
        tenant: usize,
        /// What.
        act: CrmAct,
        /// Which message of its connection, modulo their number.
        pick: usize,
    },
    /// The user of a tenant changes what they keep out (T06).
    Lists {
        /// Which tenant.
        tenant: usize,
        /// What from now on.
        lists: Lists,
    },
    /// The user of a tenant makes a conversation private, or opens it again (T06).
    Keeps {
        /// Which tenant.
        tenant: usize,
        /// Which of its contacts, modulo their number.
        contact: usize,
        /// What.
        keeps: Keeps,
    },
    /// The user of a tenant has taken out what is no longer allowed (T06).
    Retract {
        /// Which tenant.
        tenant: usize,
    },
    /// The owner of a mailbox does something to the address book.
    AddressBook {
        /// Whose.
        mailbox: usize,
        /// What.
        act: BookAct,
        /// To whom, modulo their number.
        pick: usize,
    },
    /// Gmail fails.
    Fault(Fault),
    /// A port of the host fails, or the host itself.
    Trap(Trap),
    /// A tenant's CRM is down for so long, ms.
    CrmOutage {
        /// Which tenant.
        tenant: usize,
        /// How long, ms.
        lasts: u64,
    },
    /// Gmail is down for so long, ms.
    GmailOutage {
        /// How long, ms.
        lasts: u64,
    },
    /// Gmail answers a mailbox 429 for so long, ms, and says until when.
    Blocked {
        /// Which mailbox.
        mailbox: usize,
        /// How long, ms.
        lasts: u64,
        /// What is refused.
        what: Blocked,
    },
    /// All history ids of a mailbox up to now expire.
    HistoryExpires {
        /// Which.
        mailbox: usize,
    },
    /// All access tokens of a mailbox expire.
    TokensExpire {
        /// Which.
        mailbox: usize,
    },
    /// The owner of a mailbox takes the grant back; some minutes later they connect again (S07).
    GrantWithdrawn {
        /// Which.
        mailbox: usize,
    },
    /// A host's clock jumps.
    ClockJumps {
        /// Which host.
        host: usize,
        /// By how much, ms.
        by: i64,
    },
    /// A push tells of a mailbox's change, this often.
    Push {
        /// Which mailbox.
        mailbox: usize,
        /// Copies.
        copies: u32,
    },
    /// Somebody else writes the connection's row: the next commit of a pass finds it changed.
    Conflict {
        /// Which tenant.
        tenant: usize,
    },
    /// The mailbox of a tenant is compared with its ledger, and what is missing is brought in (T03).
    Audit {
        /// Which tenant.
        tenant: usize,
    },
}

/// What Gmail refuses for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Everything.
    Everything,
    /// Sending.
    Sending,
}

/// Mail from outside.
#[derive(Clone, Debug)]
pub struct Mail {
    /// Whose mailbox.
    pub mailbox: usize,
    /// Who wrote it.
    pub from: usize,
    /// How their address is written.
    pub spelling: Spelling,
    /// Where the owner's address is.
    pub place: Place,
    /// Others it is addressed to.
    pub others: Vec<usize>,
    /// Mail of one topic is one thread.
    pub topic: u32,
    /// What it looks like.
    pub body: BodyKind,
    /// Where Gmail puts it.
    pub folder: Folder,
}

/// Where the owner's address is in arriving mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In To.
    To,
    /// In Cc.
    Cc,
    /// Nowhere.
    Bcc,
}

/// What a body looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// Plain text.
    Plain,
    /// Text and HTML.
    Html,
    /// Text and an attachment.
    Attachment,
    /// A multipart that was cut in the middle.
    Broken,
}

/// Where Gmail puts arriving mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// The inbox, unread.
    Inbox,
    /// Spam.
    Spam,
    /// The inbox, but accepted days before: an import.
    Imported,
}

/// What a user does to a message in Gmail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Reads it.
    Read,
    /// Marks it unread.
    Unread,
    /// Stars it.
    Star,
    /// Archives it.
    Archive,
    /// Moves it to the trash.
    Trash,
    /// Takes it out of the trash.
    Untrash,
    /// Calls it spam.
    Spam,
    /// Says it is not spam.
    NotSpam,
    /// Deletes it for good.
    Delete,
    /// Writes a draft.
    Draft,
    /// Changes a draft, which makes a new message of it.
    Redraft,
    /// Sends a draft.
    SendDraft,
}

/// What the user writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A new message.
    New,
    /// A forwarded one (S12).
    Forward,
}

/// How mail of the CRM is threaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// A conversation of its own.
    New,
    /// An answer to the contact's latest message, if there is one.
    Reply,
}

/// What to do when the day is full (S21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Fail.
    Fail,
    /// Send when possible.
    Wait,
}

/// Something goes wrong at the n-th call that fits.
#[derive(Clone, Debug)]
pub struct Trap {
    /// Whose call; any host's if absent.
    pub host: Option<usize>,
    /// Which call.
    pub port: Port,
    /// Calls that pass before.
    pub skip: u32,
    /// What goes wrong.
    pub kind: TrapKind,
}

/// The calls a host makes on behalf of a pass or for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// Any of them.
    Any,
    /// Keys are read.
    StoreRead,
    /// A commit.
    Commit,
    /// A lease is taken or given back.
    Lease,
    /// The connection's record.
    Registry,
    /// Contacts are looked up.
    CrmFind,
    /// Messages are put.
    CrmPut,
    /// Messages are updated.
    CrmUpdate,
    /// Attachments go either way.
    CrmAttachment,
    /// What people did in the CRM is asked for.
    CrmChanges,
    /// Mail to send is asked for.
    CrmNext,
    /// What became of mail is reported.
    CrmReport,
    /// Who keeps a contact.
    Sharing,
    /// A grant or a token.
    Vault,
    /// A request to Gmail.
    Http,
    /// Waiting.
    Sleep,
}

impl Port {
    /// Each call, without [`Port::Any`].
    pub(crate) const ALL: [Self; 15] = [
        Self::StoreRead,
        Self::Commit,
        Self::Lease,
        Self::Registry,
        Self::CrmFind,
        Self::CrmPut,
        Self::CrmUpdate,
        Self::CrmAttachment,
        Self::CrmChanges,
        Self::CrmNext,
        Self::CrmReport,
        Self::Sharing,
        Self::Vault,
        Self::Http,
        Self::Sleep,
    ];
}

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TrapKind {
    /// It fails and nothing happened.
    FailBefore,
    /// It fails although it happened.
    FailAfter,
    /// The CRM asks to wait.
    CrmLimited,
    /// The CRM does not say what became of the messages.
    CrmUnknown,
    /// The host dies before the call.
    CrashBefore,
    /// The host dies after the call, before it hears the answer.
    CrashAfter,
    /// The host stands still before the call, for longer than any lease.
    Stall,
}

impl TrapKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::FailBefore,
        Self::FailAfter,
        Self::CrmLimited,
        Self::CrmUnknown,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Stall,
    ];
}

/// Which worlds there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Worlds {
    /// All kinds, with all kinds of trouble.
    #[default]
    All,
    /// Three CRM accounts with two users each have one mailbox, and nothing fails.
    Sharing,
}

impl Plan {
    /// The plan of a seed, of worlds of all kinds.
    pub fn of(seed: u64) -> Self {
        Self::among(Worlds::All, seed)
    }

    /// The plan of a seed, of such worlds.
    pub fn among(worlds: Worlds, seed: u64) -> Self {
        match worlds {
            Worlds::All => generate::plan(seed),
            Worlds::Sharing => only_sharing::plan(seed),
        }
    }
}

impl Shape {
    /// The address of a person.
    pub fn address(&self, person: usize) -> String {
        match person.checked_sub(self.people) {
            Some(number) => match number.checked_sub(self.mailboxes) {
                Some(mailbox) => Self::alias(mailbox),
                None => Self::mailbox(number),
            },
            None => format!("p{person}@out.example"),
        }
    }

    /// The tenant whose CRM account one has: its own, or that of a colleague.
    pub fn account(&self, tenant: usize) -> usize {
        let user = self.user(tenant);
        self.tenants[user].colleague_of.unwrap_or(user)
    }

    /// The tenant whose user one is: its own, or the one who changes the address (S05).
    pub fn user(&self, tenant: usize) -> usize {
        self.tenants[tenant].moves_from.unwrap_or(tenant)
    }

    /// The connection with another address that takes the place of a tenant's (S05).
    pub fn next_of(&self, tenant: usize) -> Option<usize> {
        let mut tenants = self.tenants.iter();
        tenants.position(|next| next.moves_from == Some(tenant))
    }

    /// The BCC address of a tenant's connection, of which it has had so many before.
    pub fn bcc_address(tenant: usize, before: usize) -> String {
        let letter = |number: usize| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[number % 32]);
        let secret: String = [tenant, before / 32, before].into_iter().map(letter).collect();
        format!("{BCC}{secret:a<26}@log.twinbox.example")
    }

    /// Whether it is a BCC address.
    pub fn is_bcc_address(address: &str) -> bool {
        address.starts_with(BCC)
    }

    /// The address of a mailbox's alias.
    pub fn alias(mailbox: usize) -> String {
        format!("a{mailbox}@corp.example")
    }

    /// The address of a mailbox.
    pub fn mailbox(number: usize) -> String {
        format!("m{number}@corp.example")
    }
}
