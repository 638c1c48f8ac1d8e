//! Descendants of a program that left its process group (`setsid`): found by their parents, held by file descriptors.
//!
//! Linux only. One whose parent has ended before we look is not found: nothing ties it to the program any more.

#[cfg(target_os = "linux")]
use std::{collections::HashMap, os::fd::OwnedFd};

use rustix::process::{Pid, Signal};

/// Processes that a signal to the group does not reach.
#[derive(Default)]
pub(super) struct Strays {
    /// A descriptor names its process even when the number has been given to another.
    #[cfg(target_os = "linux")]
    processes: Vec<OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Strays {
    /// Those of the group with this leader.
    pub(super) fn of(leader: Pid) -> Self {
        let mut children: HashMap<i32, Vec<(i32, i32)>> = HashMap::new();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        for [id, parent, group] in entries.filter_map(|entry| read_stat(&entry.path())) {
            children.entry(parent).or_default().push((id, group));
        }
        let leader = leader.as_raw_nonzero().get();
        let mut processes = Vec::new();
        let mut parents = vec![leader];
        while let Some(parent) = parents.pop() {
            for (id, group) in children.remove(&parent).unwrap_or_default() {
                parents.push(id);
                let flags = rustix::process::PidfdFlags::empty();
                let process = Pid::from_raw(id).filter(|_| group != leader);
                processes
                    .extend(process.and_then(|id| rustix::process::pidfd_open(id, flags).ok()));
            }
        }
        Self { processes }
    }

    pub(super) fn signal(&self, signal: Signal) {
        for process in &self.processes {
            let _ = rustix::process::pidfd_send_signal(process, signal); // it may be gone already: that is the aim
        }
    }
}

/// A process' id, parent and group, as proc(5) has them in `stat`.
#[cfg(target_os = "linux")]
fn read_stat(process: &std::path::Path) -> Option<[i32; 3]> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (id, _) = stat.split_once(' ')?;
    // The program's name stands in parentheses and may hold any character, more parentheses included.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(1);
    let (parent, group) = (fields.next()?, fields.next()?);
    Some([id.parse().ok()?, parent.parse().ok()?, group.parse().ok()?])
}

#[cfg(not(target_os = "linux"))]
impl Strays {
    pub(super) fn of(_leader: Pid) -> Self {
        Self::default()
    }

    pub(super) fn signal(&self, _signal: Signal) {}
}
