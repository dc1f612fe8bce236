//! Any value, headers and options: see `sound` for what has to hold.
#![no_main]

use oms_sync_worker_fuzz::{input, seeds, sound};

libfuzzer_sys::fuzz_target!(init: seeds::write(), |bytes: &[u8]| {
    if let Some((record, options)) = input::read(bytes) {
        sound::check(&record, &options);
    }
});
