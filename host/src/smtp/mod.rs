//! SMTP, both ways: mail that comes to BCC addresses (S18), and mail that never goes through a mailbox (S22).
//!
//! What comes is written down before it is acknowledged, and taken in by a pass of its connection afterwards:
//! a crash after the answer loses nothing, and one before it makes the other server deliver again. Nothing is
//! relayed, and nothing is ever sent back to an address that a message names.
//!
//! - [`BccAddresses`]: which address is whose;
//! - [`Listener`]: the server; [`Spool`]: what it took; [`IntakeSchedule`]: who hands it to the component;
//! - [`bulk`]: the provider that bulk and workflow mail goes to.
//!
//! Sources: RFC 5321, 1870 (SIZE), 2920 (PIPELINING), 3207 (STARTTLS), 6152 (8BITMIME), 6531 (SMTPUTF8),
//! 2034 (enhanced codes); CVE-2023-51764 (smuggling by bare line ends), CVE-2011-0411 (commands before TLS).

pub mod bulk;

mod addresses;
mod intake;
mod listener;
mod rate;
mod reader;
mod session;
mod spool;
mod tls;

pub use addresses::BccAddresses;
pub use intake::IntakeSchedule;
pub use listener::{Listener, ListenerLimits, Listening};
pub use reader::{Ended, Malformed, unstuffed};
pub use spool::{Spool, Spooled};
pub use tls::{TlsFiles, TlsFilesError};
