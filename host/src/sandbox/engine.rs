//! The engine: one for all components, with its pool, its ticker and its linker.

use std::{path::Path, sync::Arc, thread, time::Duration};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{Component, Linker},
};

use super::{
    Allocation, LoadError, PassError, Plugin, SandboxConfig,
    cache::{Cache, Known},
    pass::{Guest, Program},
};
use crate::{
    capability::Imports,
    contract::{Exports, MailSync, PluginManifest},
    hex::hex,
};

/// How long an epoch is: a guest that computes for too long is stopped one or two of these late.
const TICK: Duration = Duration::from_millis(10);

/// The part of a memory that is restored by copying rather than unmapped when an instance goes. The
/// stack (64 KiB) lies first, read-only data of some 680 KiB follows. To copy much of that, which no guest
/// changes, costs more than it saves, and to unmap the part that every call reads costs a page fault
/// each time. So the kernel is asked which pages were written (`PAGEMAP_SCAN`, Linux 6.7), and those alone
/// are restored, up to this much: a call takes 19 us. A pass writes to a few hundred KiB: with 128 KiB the rest was
/// unmapped and came back as page faults, and the simulation made 99 worlds a second, with 512 KiB it makes 117. An older
/// kernel copies what lies first: a call takes 27 us with 96 to 128 KiB, 37 with 256.
const KEEP_RESIDENT: usize = 512 << 10;

/// The same for a table: a component's have some hundred elements of eight bytes.
const TABLE_KEEP_RESIDENT: usize = 16 << 10;

/// Core instances, memories and tables of one component at most: a component of `wit-component` is
/// a module with two small ones that tie it to its imports.
const CORE_INSTANCES: u32 = 8;
const MEMORIES: u32 = 2;
const TABLES: u32 = 8;

/// Runs components. One per process.
pub struct Sandbox {
    engine: Engine,
    linker: Linker<Guest>,
    cache: Option<Cache>,
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Sandbox {
    /// Sets the engine up; falls back to allocation on demand where a pool does not fit.
    pub fn new(config: SandboxConfig) -> Result<Arc<Self>, LoadError> {
        let engine = engine(&config)?;
        tick(&engine)?;
        let mut linker = Linker::new(&engine);
        MailSync::add_to_linker::<_, Imports>(&mut linker, |guest: &mut Guest| guest.context())
            .map_err(|error| LoadError::Engine(error.to_string()))?;
        let cache = config
            .cache
            .map(|folder| Cache::open(folder, &engine))
            .transpose()?;
        Ok(Arc::new(Self {
            engine,
            linker,
            cache,
            turns: Arc::new(Semaphore::new(config.concurrency.get())),
            patience: config.patience,
        }))
    }

    /// Compiles a component and asks it, in an instance that may do nothing, what it is; or takes both
    /// from the cache.
    pub async fn load(self: &Arc<Self>, bytes: impl Into<Bytes>) -> Result<Arc<Plugin>, LoadError> {
        let bytes = bytes.into();
        let sandbox = self.clone();
        let component = bytes.clone();
        let (component, known) = aside(move || sandbox.compiled(&component)).await??;
        let program = Arc::new(self.linked(&component)?);
        let known = if let Some(known) = known {
            known
        } else {
            let manifest = Plugin::ask(self, &program).await?;
            let sandbox = self.clone();
            aside(move || sandbox.keep(&bytes, &component, manifest)).await?
        };
        Ok(Arc::new(Plugin::new(self.clone(), program, known)))
    }

    /// [`Sandbox::load`] from a file.
    pub async fn load_file(self: &Arc<Self>, path: &Path) -> Result<Arc<Plugin>, LoadError> {
        let bytes = tokio::fs::read(path)
            .await
            .map_err(|error| LoadError::File(path.to_owned(), error))?;
        self.load(bytes).await
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// A turn to have an instance; held as long as the instance is.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, PassError> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Ok(turn);
        }
        tokio::time::timeout(self.patience, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| PassError::Busy)?
            .map_err(|_| PassError::Busy)
    }

    fn compiled(&self, bytes: &[u8]) -> Result<(Component, Option<Known>), LoadError> {
        let kept = self
            .cache
            .as_ref()
            .and_then(|cache| cache.take(&self.engine, bytes));
        if let Some((component, known)) = kept {
            return Ok((component, Some(known)));
        }
        let component = Component::from_binary(&self.engine, bytes).map_err(|error| invalid(&error))?;
        Ok((component, None))
    }

    fn keep(&self, bytes: &[u8], component: &Component, manifest: PluginManifest) -> Known {
        let digest = hex(&Sha256::digest(bytes));
        let known = Known { digest, manifest };
        if let Some(cache) = &self.cache {
            cache.keep(bytes, component, &known);
        }
        known
    }

    fn linked(&self, component: &Component) -> Result<Program, LoadError> {
        let imports = component.component_type();
        for (name, _) in imports.imports(&self.engine) {
            if !name.starts_with("twinbox:sync/") {
                return Err(LoadError::ForeignImport(name.to_owned()));
            }
        }
        Ok(Program {
            pre: self
                .linker
                .instantiate_pre(component)
                .map_err(|error| invalid(&error))?,
            exports: Exports::of(component).map_err(|error| invalid(&error))?,
        })
    }
}

/// Work that would hold up the other tasks of this thread.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoadError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoadError::Invalid(format!("the compiler gave up: {error}")))
}

fn invalid(error: &wasmtime::Error) -> LoadError {
    LoadError::Invalid(format!("{error:#}"))
}

fn engine(config: &SandboxConfig) -> Result<Engine, LoadError> {
    if config.allocation == Allocation::Pooled {
        match Engine::new(&settings(Some(pool(config)))) {
            Ok(engine) => return Ok(engine),
            Err(error) => tracing::warn!(%error, "no address space for a pool; instances are made on demand"),
        }
    }
    Engine::new(&settings(None)).map_err(|error| LoadError::Engine(format!("{error:#}")))
}

fn settings(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut settings = Config::new();
    settings.epoch_interruption(true);
    settings.max_wasm_stack(512 << 10);
    settings.async_stack_size(2 << 20);
    // For other programs that unwind through it; to register it takes time with each load, and wasmtime
    // finds its own frames without.
    settings.native_unwind_info(false);
    // A tenth of the compiled code, verified with each load; a trap still names its function.
    settings.generate_address_map(false);
    // The reservation stays at its 4 GiB: a smaller one costs a third more on parsing (explicit bounds).
    if let Some(pool) = pool {
        settings.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    settings
}

fn pool(config: &SandboxConfig) -> PoolingAllocationConfig {
    let slots = u32::try_from(config.concurrency.get()).unwrap_or(u32::MAX);
    let times = |number: u32| slots.saturating_mul(number);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots);
    pool.total_core_instances(times(CORE_INSTANCES));
    pool.max_core_instances_per_component(CORE_INSTANCES);
    pool.total_memories(times(MEMORIES));
    pool.max_memories_per_component(MEMORIES);
    pool.total_tables(times(TABLES));
    pool.max_tables_per_component(TABLES);
    pool.total_stacks(times(4));
    pool.max_memory_size(config.largest_memory);
    pool.linear_memory_keep_resident(KEEP_RESIDENT);
    pool.table_keep_resident(TABLE_KEEP_RESIDENT);
    pool.pagemap_scan(Enabled::Auto);
    pool.max_unused_warm_slots(times(MEMORIES));
    pool
}

/// One thread per engine, which ends when the engine does.
fn tick(engine: &Engine) -> Result<(), LoadError> {
    let engine = engine.weak();
    thread::Builder::new()
        .name("twinbox-epoch".into())
        .spawn(move || {
            loop {
                thread::sleep(TICK);
                match engine.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map_err(|error| LoadError::Engine(error.to_string()))?;
    Ok(())
}
