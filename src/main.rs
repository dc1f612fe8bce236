//! The binary: the allocator, the arguments, the exit code. Everything else is in the library.

use std::process::ExitCode;

/// Takes a fifth off the cost of sending, for a few MiB of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    oms_sync_worker::cli::run(std::env::args_os()).into()
}
