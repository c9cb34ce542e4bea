//! `random`: the only chance the guest has.

use wasmtime::{Result, bail};

use super::Context;
use crate::contract::imports::random::Host;

/// The most bytes of one call.
const MOST: u32 = 4_096;

impl Host for Context {
    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        if length > MOST {
            bail!("random.bytes was asked for {length} bytes; {MOST} is the most");
        }
        let mut bytes = vec![0; length as usize];
        self.capabilities.random.fill(&mut bytes);
        Ok(bytes)
    }
}
