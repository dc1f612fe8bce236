//! What faults are made with: a steady flow of records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::brokers::produce;
use crate::stage::Stage;

/// Writes records of the worker's own format until it is dropped.
pub(super) struct Feed {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// A record of a new key every `pause`, for the bucket of this number.
    pub(super) fn start(stage: &Stage, bucket: u32, pause: Duration) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (servers, topic, stop) = (stage.servers.clone(), stage.topic.clone(), Arc::clone(&ended));
        let thread = std::thread::spawn(move || {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let many = if pause < Duration::from_millis(100) { 10 } else { 1 };
                let values = (0..many).map(|m| record(bucket, &format!("{n}-{m}")));
                produce(&servers, &topic, n % 3, values);
                std::thread::sleep(pause * many);
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(super) fn record(bucket: u32, key: &str) -> String {
    serde_json::json!({"bucket": format!("bucket-{bucket}"), "key": key}).to_string()
}
