//! The rules of the product on the real thing: the component in its sandbox, the host as the program
//! puts it together, the embedded CRM, and the Gmail simulator behind a socket.
//!
//! A [`World`] is one user of one tenant with one mailbox. Time stands still unless a test moves it,
//! or somebody waits: a wait is over at once and time has passed ([`LeapingClock`]). Everything a
//! person does has a builder, so that a test reads as its rule. Failures of the harness itself panic:
//! they are the test's failure.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a failure here is the test's failure"
)]

mod clock;
mod component;
mod crm;
mod letter;
mod mail;
mod mailbox;
mod mime;
mod pages;
mod post;
mod setup;
mod traces;
mod variant;
mod wire;
mod world;

pub use clock::LeapingClock;
pub use component::{bytes, load, plugin};
pub use crm::CrmFault;
pub use letter::Letter;
pub use mail::{Arrived, Mail};
pub use mailbox::Mailbox;
pub use mime::{File, bytes_of};
pub use pages::{Browser, Page, Pages};
pub use post::{BCC_DOMAIN, Post, SmtpClient};
pub use setup::{QuotaRule, Setup};
pub use variant::{Instead, replaced, with_run};
pub use wire::Moment;
pub use world::{Died, World};

/// The user's address.
pub const ME: &str = "mia@acme.example";
/// The contact that every world has, with a mailbox of her own.
pub const ANN: &str = "ann@client.example";
