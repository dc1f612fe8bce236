//! What faults are made with: a steady flow of records, a limit of memory.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::brokers::{produce, unique};
use crate::stage::{Stage, wait_until};

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

/// A control group with one process in it; removed when dropped, after its process.
pub(super) struct Group {
    folder: PathBuf,
    file: &'static str,
}

impl Group {
    pub(super) fn of(process: u32) -> Self {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let first = groups.lines().find_map(|line| line.split_once(":memory:"));
        let (root, own, file) = match first {
            Some((_, own)) => ("/sys/fs/cgroup/memory", own, "memory.limit_in_bytes"),
            None => ("/sys/fs/cgroup", groups.trim().trim_start_matches("0::"), "memory.max"),
        };
        let folder = PathBuf::from(format!("{root}{own}/{}", unique("alerts")));
        std::fs::create_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}; this needs root", folder.display()));
        std::fs::write(folder.join("cgroup.procs"), process.to_string()).unwrap();
        Self { folder, file }
    }

    pub(super) fn limit(&self, bytes: f64) {
        std::fs::write(self.folder.join(self.file), format!("{bytes:.0}")).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        wait_until("the control group is empty", || std::fs::remove_dir(&self.folder).is_ok());
    }
}
