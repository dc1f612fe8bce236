//! Threads of a worker that stand still while its others go on.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Stops the threads of its arguments as a debugger does, says so, and lets them go on when its input ends.
const STOP_UNTIL_THE_INPUT_ENDS: &str = "import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for tid in map(int, sys.argv[1:]):
    assert libc.ptrace(16, tid, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PTRACE_ATTACH
    os.waitpid(tid, 0x40000000)  # __WALL: it is a thread
print('stopped', flush=True)
sys.stdin.read()
for tid in map(int, sys.argv[1:]):
    gone = libc.ptrace(17, tid, 0, 0) != 0 and ctypes.get_errno() == 3  # PTRACE_DETACH; ESRCH: killed meanwhile
    assert gone or not os.path.exists(f'/proc/{tid}') or open(f'/proc/{tid}/stat').read().split()[2] != 't'";

/// Threads that a debugger has stopped; they go on when this is dropped.
pub(crate) struct Frozen(Child);

impl Frozen {
    /// All threads of the process whose names begin so. `None`, with the reason printed, where that cannot be done here.
    pub(crate) fn threads(process: u32, name: &str) -> Option<Self> {
        let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|thread| thread.unwrap().path());
        let is_meant = |thread: &std::path::PathBuf| {
            std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.starts_with(name))
        };
        let threads: Vec<_> = threads.filter(is_meant).map(|thread| thread.file_name().unwrap().to_owned()).collect();
        assert!(!threads.is_empty(), "no thread is called {name}");
        let mut python = Command::new("python3");
        python.args(["-c", STOP_UNTIL_THE_INPUT_ENDS]).args(&threads).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = python.spawn() else {
            println!("skipped: no python3 to stop a thread with");
            return None;
        };
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        if said.trim() == "stopped" {
            return Some(Self(child));
        }
        child.wait().unwrap();
        println!("skipped: this user may not stop threads of another process (ptrace)");
        None
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let detached = self.0.wait().unwrap().success();
        assert!(detached || std::thread::panicking(), "the threads go on");
    }
}
