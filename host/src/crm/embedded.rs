//! Embedded.
/// x
pub struct EmbeddedCrm;
