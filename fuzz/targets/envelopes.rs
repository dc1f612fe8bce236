//! A document in envelopes: they change nothing, unless there are too many.
#![no_main]

use oms_sync_worker_fuzz::case::Case;

libfuzzer_sys::fuzz_target!(|case: Case| case.check());
