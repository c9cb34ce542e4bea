//! Who runs when. One pass per connection at a time; what comes while a pass is under way is one pass
//! after it.

use crate::{contract::Trigger, scope::ConnectionId};

mod audit;
mod local;
mod rhythm;

pub use audit::{AuditSchedule, Auditing};
pub use local::{LocalSchedule, Polling};

/// Starts passes.
pub trait Schedule: Send + Sync {
    /// Something may be there for this connection: run it soon. Any number of wakes before the pass
    /// starts are one pass.
    fn wake(&self, connection: &ConnectionId, trigger: Trigger);
}
