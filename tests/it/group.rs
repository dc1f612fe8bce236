//! A limit of memory for a worker.

use std::path::PathBuf;

use crate::brokers::unique;
use crate::stage::wait_until;

/// A control group with one process in it; removed when dropped, after its process.
pub(crate) struct Group {
    folder: PathBuf,
    file: &'static str,
}

impl Group {
    pub(crate) fn of(process: u32) -> Self {
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

    pub(crate) fn limit(&self, bytes: f64) {
        std::fs::write(self.folder.join(self.file), format!("{bytes:.0}")).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        wait_until("the control group is empty", || std::fs::remove_dir(&self.folder).is_ok());
    }
}
