//! A component, and the worlds it is put into.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use twinbox_host::sandbox::{Plugin, Sandbox, SandboxConfig};

use crate::{coverage::Coverage, director::Director, model::Violation, mutation::Mutation, plan::Plan};

/// A component ready to run in any number of worlds.
pub struct Laboratory {
    pub(crate) plugin: Arc<Plugin>,
    runtime: tokio::runtime::Runtime,
    pub(crate) mutation: Option<Mutation>,
}

/// Whether a world tells what happens in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// No: only a fingerprint.
    Silent,
    /// Every call, in words.
    EveryCall,
}

/// How a world ended.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<Violation>,
    /// What was met.
    pub coverage: Coverage,
    /// Two runs with the same one did the same, call by call.
    pub fingerprint: u64,
    /// What happened, if it was to be told.
    pub lines: Vec<String>,
}

impl Laboratory {
    /// Loads a component; compiled code is kept in `cache`.
    pub fn load(component: &Path, cache: &Path) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let config = SandboxConfig {
            cache: Some(cache.to_owned()),
            ..SandboxConfig::default()
        };
        let plugin = runtime.block_on(async { Sandbox::new(config)?.load_file(component).await });
        let plugin = plugin.with_context(|| format!("{} cannot be loaded", component.display()))?;
        Ok(Self {
            plugin,
            runtime,
            mutation: None,
        })
    }

    /// The same component with a deliberate bug.
    #[must_use]
    pub fn with(mut self, mutation: Option<Mutation>) -> Self {
        self.mutation = mutation;
        self
    }

    /// The same component for another thread.
    pub fn another(&self) -> anyhow::Result<Self> {
        Ok(Self {
            plugin: self.plugin.clone(),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()?,
            mutation: self.mutation,
        })
    }

    /// Lets a plan happen.
    pub fn run(&self, plan: &Plan, telling: Telling) -> Outcome {
        // Timers exist, and never fire: nothing here waits for the machine's time.
        let _entered = self.runtime.enter();
        let mut director = Director::new(self, plan, telling);
        director.direct();
        director.end()
    }
}
