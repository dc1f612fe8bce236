//! The binary: the allocator, the arguments, the exit code. Everything else is in the library.

use std::process::ExitCode;

/// For librdkafka too: a third less memory at the peak than with an allocator for each, see docs/performance.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    oms_sync_worker::cli::run(std::env::args_os()).into()
}
