//! Child processes that end when the campaign does, however it ends: all are of the process group of a shell that waits
//! for its standard input to end, then unmounts what was mounted, and kills its group.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::clock::wait_until;

#[derive(Clone)]
pub(crate) struct Processes {
    reaper: Arc<Reaper>,
}

struct Reaper(std::sync::Mutex<Child>, i32);

impl Processes {
    /// `mounted` is what to unmount at the end, if it is there then.
    pub(crate) fn new(mounted: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", r#"cat; umount -l "$0" 2> /dev/null; kill -9 0"#]).arg(mounted);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().context("cannot run sh")?;
        let group = i32::try_from(child.id())?;
        Ok(Self { reaper: Arc::new(Reaper(std::sync::Mutex::new(child), group)) })
    }

    pub(crate) fn spawn(&self, command: &mut Command) -> anyhow::Result<Child> {
        let name = command.get_program().to_owned();
        command.process_group(self.reaper.1).spawn().with_context(|| format!("cannot start {}", name.display()))
    }
}

/// Makes a small file system in memory at a folder. Needs root.
pub(crate) fn mount(folder: &Path, mib: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let size = format!("size={mib}m");
    let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "campaign"]).arg(folder).output()?;
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "cannot mount a small file system: {told}");
    Ok(())
}

impl Drop for Reaper {
    fn drop(&mut self) {
        let mut child = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        drop(child.stdin.take());
        drop(child.wait());
    }
}

/// Sends a signal, such as `TERM`.
pub(crate) fn signal(child: &Child, name: &str) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status()?;
    ensure!(status.success(), "kill -s {name} {} failed", child.id());
    Ok(())
}

/// SIGTERM, and SIGKILL after `bound`. Gives how it ended.
pub(crate) fn end(child: &mut Child, bound: Duration) -> anyhow::Result<ExitStatus> {
    signal(child, "TERM")?;
    let mut status = None;
    wait_until(bound, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if let Some(status) = status {
        return Ok(status);
    }
    child.kill()?;
    Ok(child.wait()?)
}
