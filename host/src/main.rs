//! The program `twinbox`; see `twinbox help`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    twinbox_host::program::run().await
}
