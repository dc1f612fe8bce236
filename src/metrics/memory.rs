//! How much memory the kernel lets this process use: the limit of its control group (cgroup), which is what a container's
//! memory limit becomes. Reads a few small files of the kernel at a scrape; never fails one.

use std::path::Path;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// The first version writes a number near 2^63 for no limit.
const NO_LIMIT: u64 = 1 << 60;

/// Bytes; the lowest limit of the process's group and those above it. `None` where there is none, or none can be read.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    lowest(Path::new(MOUNT), &groups)
}

/// `groups` is what `/proc/self/cgroup` says: lines `0::PATH` of the second version, `N:memory:PATH` of the first. In a
/// container the path may be the host's while only the container's own group is mounted: then its root is what is found.
fn lowest(mount: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => (mount.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => (mount.join("memory"), "memory.limit_in_bytes"),
            _ => return None,
        };
        of_group(&root, path, file)
    });
    limits.min()
}

fn of_group(root: &Path, path: &str, file: &str) -> Option<u64> {
    let own = root.join(path.trim_start_matches('/'));
    let read = |group: &Path| std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
    let limits = own.ancestors().take_while(|group| group.starts_with(root)).filter_map(read);
    limits.filter(|limit| *limit < NO_LIMIT).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mount = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let file = mount.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        mount
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], groups: &str, expected: Option<u64>) {
        assert_eq!(lowest(mounted(files).path(), groups), expected);
    }

    #[test]
    fn the_lowest_limit_of_the_group_and_those_above_counts() {
        let files = [("a/b/memory.max", "max\n"), ("a/memory.max", "2097152\n"), ("memory.max", "4194304\n")];
        check(&files, "0::/a/b\n", Some(2_097_152));
        check(&files, "0::/\n", Some(4_194_304));
    }

    #[test]
    fn the_first_version_of_control_groups_is_read_too() {
        let files = [
            ("memory/a/memory.limit_in_bytes", "1048576\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        check(&files, "7:cpu,cpuacct:/a\n4:memory:/a\n0::/\n", Some(1_048_576));
        check(&files, "4:memory:/\n", None);
    }

    #[test]
    fn in_a_container_that_sees_the_path_of_the_host_the_mounted_root_counts() {
        check(&[("memory/memory.limit_in_bytes", "1048576\n")], "4:memory:/docker/4f7a\n", Some(1_048_576));
        check(&[("memory.max", "1048576\n")], "0::/kubepods/pod1/4f7a\n", Some(1_048_576));
    }

    #[test]
    fn without_a_limit_there_is_none() {
        check(&[("memory.max", "max\n")], "0::/\n", None);
        check(&[], "", None);
        check(&[], "nonsense\n", None);
    }
}
