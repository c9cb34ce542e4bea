//! Placeholder module root.
