//! Which component runs: the current one, the one before it, and a candidate that is tried in its shadow.
//!
//! A pass asks [`Plugins::chosen`] once, before it starts, and keeps what it got: a takeover is always
//! between passes. With a [`ReleaseStore`] the choice survives the process and may be made by another one
//! (`twinbox plugin`): it is looked up before each pass.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    contract::PluginManifest,
    sandbox::{LoadError, Plugin, Sandbox, SandboxConfig},
    store::StoreError,
    trace::Release,
};

mod compatible;
mod shadow;
mod sqlite;

pub use compatible::{Incompatible, compatible};
pub(crate) use shadow::REHEARSED_BYTES;
pub use shadow::{Shadow, ShadowSummary};
pub use sqlite::ReleaseStore;

/// The largest component taken in, bytes.
pub const LARGEST_COMPONENT: usize = 32 << 20;

/// What was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Choice {
    /// Goes up with each change.
    pub generation: u64,
    /// What the configuration named when this was last looked at.
    pub configured: Option<Release>,
    /// What runs.
    pub current: Option<Release>,
    /// What ran before it.
    pub previous: Option<Release>,
    /// What is tried in its shadow.
    pub candidate: Option<Release>,
}

/// Why another component was not chosen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It may not take over.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is larger than what is taken in.
    #[error("the component has {0} bytes; {LARGEST_COMPONENT} is the most")]
    TooLarge(usize),
    /// There is no candidate.
    #[error("there is no candidate")]
    NoCandidate,
    /// Nothing ran before what runs now.
    #[error("there is no previous version")]
    NoPrevious,
    /// It is what runs.
    #[error("{0} is the version that runs")]
    IsCurrent(Release),
    /// The choice was changed by somebody else meanwhile.
    #[error("the choice was changed meanwhile")]
    Changed,
}

/// The components of a host.
pub struct Plugins {
    source: Option<Source>,
    held: Mutex<Held>,
}

/// Where other components come from.
struct Source {
    sandbox: Arc<Sandbox>,
    /// Candidates have a sandbox of their own, made with the first one: none of their instances takes a
    /// turn from a live pass.
    trial: SandboxConfig,
    trial_sandbox: OnceCell<Arc<Sandbox>>,
    store: ReleaseStore,
}

struct Held {
    /// That of the choice; absent: none was looked at.
    generation: Option<u64>,
    chosen: Chosen,
}

/// What a pass runs.
#[derive(Clone)]
pub struct Chosen {
    /// The component.
    pub current: Arc<Plugin>,
    /// What is tried in its shadow.
    pub candidate: Option<Arc<Plugin>>,
}

impl Plugins {
    /// One component for ever.
    pub fn fixed(plugin: Arc<Plugin>) -> Arc<Self> {
        Arc::new(Self {
            source: None,
            held: Mutex::new(Held {
                generation: None,
                chosen: Chosen {
                    current: plugin,
                    candidate: None,
                },
            }),
        })
    }

    /// What the store says was chosen. `plugin` with its bytes is the component that the configuration
    /// names: when it is another one than before, it takes over, for the operator has put it there.
    /// `trial` is how the sandbox of candidates is set up.
    pub async fn open(
        sandbox: Arc<Sandbox>,
        trial: SandboxConfig,
        store: ReleaseStore,
        plugin: Arc<Plugin>,
        bytes: Bytes,
    ) -> Result<Arc<Self>, ReleaseError> {
        let release = release_of(&plugin);
        let mut choice = store.choice().await?;
        if choice.configured.as_ref() != Some(&release) {
            choice = store
                .change(Some((release.clone(), bytes)), move |choice| {
                    choice.configured = Some(release.clone());
                    take_over(choice, release.clone());
                    Ok(())
                })
                .await?;
        }
        let plugins = Self {
            source: Some(Source {
                sandbox,
                trial,
                trial_sandbox: OnceCell::new(),
                store,
            }),
            held: Mutex::new(Held {
                // What was chosen is loaded below.
                generation: None,
                chosen: Chosen {
                    current: plugin,
                    candidate: None,
                },
            }),
        };
        plugins.look(&choice).await?;
        Ok(Arc::new(plugins))
    }

    /// What the next pass runs. When the choice cannot be looked up, what was chosen before goes on.
    pub async fn chosen(&self) -> Chosen {
        if let Some(source) = &self.source {
            let looked = match source.store.choice().await {
                Ok(choice) => self.look(&choice).await,
                Err(error) => Err(error.into()),
            };
            match looked {
                Ok(chosen) => return chosen,
                Err(error) => {
                    tracing::error!(%error, "the chosen component cannot be had; the one before goes on");
                }
            }
        }
        self.held.lock().await.chosen.clone()
    }

    /// Where the choice is kept, if it can change.
    pub fn store(&self) -> Option<&ReleaseStore> {
        self.source.as_ref().map(|source| &source.store)
    }

    /// Tries a component in the shadow of the current one from the next pass on.
    pub async fn try_out(&self, bytes: Bytes) -> Result<Release, ReleaseError> {
        let (source, release) = self.admit(bytes.clone()).await?;
        let candidate = release.clone();
        source.store.forget_summary(&release).await?;
        source
            .store
            .change(Some((release.clone(), bytes)), move |choice| {
                if choice.current.as_ref() == Some(&candidate) {
                    return Err(ReleaseError::IsCurrent(candidate.clone()));
                }
                choice.candidate = Some(candidate.clone());
                Ok(())
            })
            .await?;
        Ok(release)
    }

    /// Ends the trial of the candidate.
    pub async fn end_trial(&self) -> Result<Release, ReleaseError> {
        let store = self.store().ok_or(ReleaseError::NoCandidate)?;
        let candidate = store.choice().await?.candidate.ok_or(ReleaseError::NoCandidate)?;
        store
            .change(None, |choice| {
                choice.candidate = None;
                Ok(())
            })
            .await?;
        Ok(candidate)
    }

    /// Lets a component take over from the next pass on: these bytes, or the candidate.
    pub async fn promote(&self, bytes: Option<Bytes>) -> Result<Release, ReleaseError> {
        let store = self.store().ok_or(ReleaseError::NoCandidate)?;
        let bytes = if let Some(bytes) = bytes {
            bytes
        } else {
            let candidate = store.choice().await?.candidate;
            store
                .component(&candidate.ok_or(ReleaseError::NoCandidate)?)
                .await?
        };
        let (source, release) = self.admit(bytes.clone()).await?;
        let next = release.clone();
        source
            .store
            .change(Some((release.clone(), bytes)), move |choice| {
                if choice.current.as_ref() == Some(&next) {
                    return Err(ReleaseError::IsCurrent(next.clone()));
                }
                take_over(choice, next.clone());
                Ok(())
            })
            .await?;
        Ok(release)
    }

    /// Lets the version that ran before take over again from the next pass on.
    pub async fn roll_back(&self) -> Result<Release, ReleaseError> {
        let store = self.store().ok_or(ReleaseError::NoPrevious)?;
        let changed = store
            .change(None, |choice| {
                let previous = choice.previous.take().ok_or(ReleaseError::NoPrevious)?;
                choice.previous = choice.current.replace(previous);
                Ok(())
            })
            .await?;
        changed.current.ok_or(ReleaseError::NoPrevious)
    }

    /// Looks at a component: which it is, if it may take over from the current one.
    async fn admit(&self, bytes: Bytes) -> Result<(&Source, Release), ReleaseError> {
        let source = self.source.as_ref().ok_or(ReleaseError::NoCandidate)?;
        if bytes.len() > LARGEST_COMPONENT {
            return Err(ReleaseError::TooLarge(bytes.len()));
        }
        let plugin = source.trial().await?.load(bytes).await?;
        let chosen = self.chosen().await;
        compatible(chosen.current.manifest(), plugin.manifest())?;
        let release = release_of(&plugin);
        Ok((source, release))
    }

    /// What runs by this choice, or by a later one that somebody has looked at meanwhile.
    async fn look(&self, choice: &Choice) -> Result<Chosen, ReleaseError> {
        // Held while it loads: other passes wait for the new version rather than begin with the old.
        let mut held = self.held.lock().await;
        let Some(source) = &self.source else {
            return Ok(held.chosen.clone());
        };
        if held.generation >= Some(choice.generation) {
            return Ok(held.chosen.clone());
        }
        let current = match &choice.current {
            Some(release) if release.digest != held.chosen.current.digest() => {
                source.load(&source.sandbox, release).await?
            }
            _ => held.chosen.current.clone(),
        };
        let candidate = match &choice.candidate {
            Some(release) => match source.candidate(release).await {
                Ok(candidate) => Some(candidate),
                Err(error) => {
                    tracing::error!(%error, "the candidate cannot be loaded; it is not tried");
                    None
                }
            },
            None => None,
        };
        if current.digest() != held.chosen.current.digest() {
            tracing::info!(release = %release_of(&current), "another version takes over");
        }
        *held = Held {
            generation: Some(choice.generation),
            chosen: Chosen { current, candidate },
        };
        Ok(held.chosen.clone())
    }
}

impl Source {
    async fn trial(&self) -> Result<&Arc<Sandbox>, LoadError> {
        let make = async || Sandbox::new(self.trial.clone());
        self.trial_sandbox.get_or_try_init(make).await
    }

    async fn candidate(&self, release: &Release) -> Result<Arc<Plugin>, ReleaseError> {
        self.load(self.trial().await?, release).await
    }

    async fn load(&self, sandbox: &Arc<Sandbox>, release: &Release) -> Result<Arc<Plugin>, ReleaseError> {
        let bytes = self.store.component(release).await?;
        let plugin = sandbox.load(bytes).await?;
        if plugin.digest() != release.digest {
            let text = format!("{release} is kept with other bytes than its own");
            return Err(StoreError::Unavailable(text).into());
        }
        Ok(plugin)
    }
}

/// The release that a loaded component is.
pub fn release_of(plugin: &Plugin) -> Release {
    Release::of(plugin.manifest(), plugin.digest())
}

fn take_over(choice: &mut Choice, next: Release) {
    if choice.candidate.as_ref() == Some(&next) {
        choice.candidate = None;
    }
    if choice.current.as_ref() != Some(&next) {
        choice.previous = choice.current.replace(next);
    }
}

/// What a manifest asks for, in words, for people who decide.
pub fn asked_for(manifest: &PluginManifest) -> String {
    format!(
        "origins {}; scopes {}",
        manifest.origins.join(" "),
        manifest.scopes.join(" ")
    )
}
