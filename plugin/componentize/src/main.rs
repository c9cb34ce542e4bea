//! Wraps a core module built for `wasm32-unknown-unknown` as a component.
//!
//! `componentize <core.wasm> <component.wasm>`: the core module carries its world in a custom
//! section that `wit-bindgen` wrote; no adapter is added, so the component imports what that world
//! imports and nothing else. The zeros in its data are left out.

mod zeros;

use std::{env, fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [core, component] = arguments.as_slice() else {
        bail!("usage: componentize <core.wasm> <component.wasm>");
    };
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let module = zeros::without_zeros(&module).context("the module cannot be read")?;
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .context("the module does not carry a world")?
        .encode()
        .context("the module does not fit its world")?;
    if let Some(folder) = component.parent() {
        fs::create_dir_all(folder)?;
    }
    // Write beside, then rename: a reader never sees half a component.
    let unfinished = component.with_extension("part");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, component).with_context(|| format!("cannot write {}", component.display()))
}
