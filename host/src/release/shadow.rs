//! A candidate in the shadow of the version that runs: it gets what a live pass was given, right after
//! that pass, and its decisions are compared. Nothing of it is written, and nobody waits for it.
//!
//! What it costs is bounded: one rehearsal at a time (a pass that ends meanwhile is not rehearsed and is
//! counted as skipped), a sandbox of its own, less memory and time than a live pass, passes up to a size.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{ReleaseStore, release_of};
use crate::{
    capability::{Capabilities, TooLarge},
    sandbox::{Limits, Plugin},
    trace::{Difference, End, Rehearsal, RehearsalError, Release, Trace, rehearse},
};

/// The largest pass that is rehearsed, bytes as recorded.
pub(crate) const REHEARSED_BYTES: usize = 16 << 20;
/// Time a candidate may compute for a pass.
const CPU: Duration = Duration::from_secs(10);
/// Time a rehearsal may take in all.
const WALL: Duration = Duration::from_secs(30);
/// Differences that are kept.
const KEPT: usize = 20;
/// Bytes of a difference that are kept.
const KEPT_BYTES: usize = 500;

/// What the shadow passes of a candidate showed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowSummary {
    /// Passes rehearsed.
    pub passes: u64,
    /// Passes in which it decided the same.
    pub same: u64,
    /// Passes in which it decided something else.
    pub different: u64,
    /// Passes in which it trapped or broke a limit, and the version that runs did not.
    pub failed: u64,
    /// Passes that were not rehearsed: too large, or another rehearsal was under way.
    pub skipped: u64,
    /// Questions that the recordings did not answer.
    pub unanswered: u64,
    /// The latest differences and failures, in words.
    pub latest: Vec<String>,
}

/// Rehearses passes, one at a time.
pub struct Shadow {
    turn: Arc<Semaphore>,
}

impl Default for Shadow {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Shadow {
    /// Rehearses a pass that has ended, in a task of its own. `live` answers reads that the recording
    /// cannot.
    pub(crate) fn follow(
        &self,
        store: &ReleaseStore,
        candidate: Arc<Plugin>,
        trace: Result<Trace, TooLarge>,
        live: Capabilities,
    ) {
        let store = store.clone();
        let release = release_of(&candidate);
        let turn = self.turn.clone().try_acquire_owned();
        tokio::spawn(async move {
            let seen = match (trace, &turn) {
                (Ok(trace), Ok(_)) => Seen::of(&candidate, trace, live).await,
                _ => Seen::Skipped,
            };
            seen.tell(&release);
            if let Err(error) = store.add(&release, move |summary| seen.add_to(summary)).await {
                tracing::warn!(%error, "what a shadow pass showed was not kept");
            }
            drop(turn);
        });
    }

    /// Comes back when no rehearsal is under way.
    pub async fn idle(&self) {
        let _ = self.turn.acquire().await;
    }
}

/// What one shadow pass showed.
enum Seen {
    Skipped,
    Failed(String),
    Compared {
        differences: Vec<Difference>,
        unanswered: usize,
    },
}

impl Seen {
    async fn of(candidate: &Plugin, mut trace: Trace, live: Capabilities) -> Self {
        let limits = &mut trace.header.limits;
        *limits = Limits {
            cpu: limits.cpu.min(CPU),
            wall: limits.wall.min(WALL),
            ..*limits
        };
        // Longer than the sandbox itself allows: a read of the outside may hang as well.
        let rehearsal = tokio::time::timeout(WALL * 2, rehearse(candidate, &trace, Some(live))).await;
        match rehearsal {
            Ok(Ok(rehearsal)) => Self::compared(&trace, rehearsal),
            Ok(Err(RehearsalError::TooLarge(_))) => Self::Failed("it did too much to record".to_owned()),
            Err(_) => Self::Failed("it did not come to an end".to_owned()),
        }
    }

    fn compared(live: &Trace, rehearsal: Rehearsal) -> Self {
        match (&live.end, &rehearsal.trace.end) {
            (End::Returned { .. }, End::Failed { kind } | End::Cut { kind }) => Self::Failed(kind.clone()),
            _ => Self::Compared {
                differences: rehearsal.differences,
                unanswered: rehearsal.unanswered.len(),
            },
        }
    }

    fn tell(&self, candidate: &Release) {
        match self {
            Self::Skipped => tracing::debug!(%candidate, "a pass was not rehearsed"),
            Self::Failed(why) => tracing::warn!(%candidate, why, "the candidate failed in a shadow pass"),
            Self::Compared { differences, .. } if differences.is_empty() => {
                tracing::debug!(%candidate, "the candidate decided the same");
            }
            Self::Compared { differences, .. } => {
                tracing::warn!(%candidate, differences = differences.len(), "the candidate decided something else");
            }
        }
    }

    fn add_to(self, summary: &mut ShadowSummary) {
        match self {
            Self::Skipped => summary.skipped += 1,
            Self::Failed(why) => {
                summary.passes += 1;
                summary.failed += 1;
                summary.latest.push(cut(format!("failed: {why}")));
            }
            Self::Compared {
                differences,
                unanswered,
            } => {
                summary.passes += 1;
                summary.unanswered += unanswered as u64;
                if differences.is_empty() {
                    summary.same += 1;
                } else {
                    summary.different += 1;
                }
                let shown = differences.iter().take(KEPT);
                summary
                    .latest
                    .extend(shown.map(|difference| cut(difference.to_string())));
            }
        }
        let surplus = summary.latest.len().saturating_sub(KEPT);
        summary.latest.drain(..surplus);
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(KEPT_BYTES));
    text
}
