//! Which process this is, and whether another one is still there.
//!
//! Promises: `Dead` is only said of a process that is certainly gone; where the platform or the pid
//! namespace does not let us look, the answer is `Unknown` and time decides.
//! Must never: signal or wait for a process.

use crate::lease::Identity;

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Alive,
    /// It ended (a zombie has, too), or its pid is another process's now.
    Dead,
    /// It can not be looked at from here.
    Unknown,
}

impl Identity {
    /// This process. Reads the platform anew each time: after `fork` the child is another one.
    pub fn current() -> Self {
        platform::current()
    }
}

/// Whether that process is still there. A few file reads.
pub fn is_alive(identity: &Identity) -> Liveness {
    let here = platform::current();
    if here == *identity {
        return Liveness::Alive;
    }
    let comparable = !identity.boot_id.is_empty()
        && identity.start_time != 0
        && here.boot_id == identity.boot_id
        && here.pid_namespace == identity.pid_namespace;
    // Another boot id may be this machine before a reboot or another machine: no telling which.
    if comparable {
        platform::look(identity)
    } else {
        Liveness::Unknown
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::MetadataExt;

    use super::Liveness;
    use crate::lease::Identity;

    pub(super) fn current() -> Identity {
        let pid = std::process::id();
        Identity {
            boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")
                .map(|text| text.trim().to_owned())
                .unwrap_or_default(),
            pid_namespace: fs::metadata("/proc/self/ns/pid").map_or(0, |entry| entry.ino()),
            pid,
            start_time: fs::read_to_string(format!("/proc/{pid}/stat"))
                .ok()
                .and_then(|stat| parse_stat(&stat))
                .map_or(0, |(_, start_time)| start_time),
        }
    }

    pub(super) fn look(identity: &Identity) -> Liveness {
        match fs::read_to_string(format!("/proc/{}/stat", identity.pid)) {
            Ok(stat) => match parse_stat(&stat) {
                Some((_, start_time)) if start_time != identity.start_time => Liveness::Dead,
                // A killed process whose parent has not asked for it yet does nothing any more.
                Some(('Z' | 'X' | 'x', _)) => Liveness::Dead,
                Some(_) => Liveness::Alive,
                None => Liveness::Unknown,
            },
            // ESRCH: it went between open and read.
            Err(error)
                if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(3) =>
            {
                if others_are_visible() {
                    Liveness::Dead
                } else {
                    Liveness::Unknown
                }
            }
            Err(_) => Liveness::Unknown,
        }
    }

    /// A /proc mounted with `hidepid` shows only one's own processes; process 1 then tells.
    fn others_are_visible() -> bool {
        fs::metadata("/proc/1/stat").is_ok()
    }

    /// State (field 3) and start time in clock ticks since boot (field 22); see proc_pid_stat(5). The
    /// name (field 2) may hold spaces and parentheses, so fields are counted from its last `)`.
    pub(super) fn parse_stat(stat: &str) -> Option<(char, u64)> {
        let (_, after_name) = stat.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let start_time = fields.nth(18)?.parse().ok()?;
        Some((state, start_time))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_name_may_look_like_fields() {
            let fields = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
            assert_eq!(
                parse_stat(&format!("42 (a) S 1 (b) R {fields}")),
                Some(('R', 777))
            );
            assert_eq!(parse_stat("42 (a) R 1 2"), None);
            assert_eq!(parse_stat(""), None);
        }
    }
}

/// Elsewhere a holder can't be looked at without foreign calls: its lease ends by time.
#[cfg(not(target_os = "linux"))]
mod platform {
    use super::Liveness;
    use crate::lease::Identity;

    pub(super) fn current() -> Identity {
        Identity {
            boot_id: String::new(),
            pid_namespace: 0,
            pid: std::process::id(),
            start_time: 0,
        }
    }

    pub(super) fn look(_: &Identity) -> Liveness {
        Liveness::Unknown
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn identity_of(pid: u32) -> Identity {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, start_time) = platform::parse_stat(&stat).unwrap();
        Identity {
            pid,
            start_time,
            ..Identity::current()
        }
    }

    #[test]
    fn a_process_lives_becomes_a_zombie_and_is_gone() {
        let me = Identity::current();
        assert!(!me.boot_id.is_empty() && me.pid_namespace != 0 && me.start_time != 0);
        assert_eq!(is_alive(&me), Liveness::Alive);

        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let identity = identity_of(child.id());
        assert_eq!(is_alive(&identity), Liveness::Alive);
        let later = Identity {
            start_time: identity.start_time + 1,
            ..identity.clone()
        };
        assert_eq!(
            is_alive(&later),
            Liveness::Dead,
            "the pid is another process's"
        );

        child.kill().unwrap();
        // Not yet waited for: it goes over to a zombie within moments.
        let mut tries = 0;
        while is_alive(&identity) == Liveness::Alive && tries < 500 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            tries += 1;
        }
        assert_eq!(is_alive(&identity), Liveness::Dead);
        child.wait().unwrap();
        assert_eq!(is_alive(&identity), Liveness::Dead);
    }

    #[test]
    fn what_can_not_be_looked_at_is_unknown() {
        let me = Identity::current();
        for other in [
            Identity {
                boot_id: "another".into(),
                ..me.clone()
            },
            Identity {
                pid_namespace: me.pid_namespace + 1,
                ..me.clone()
            },
            Identity {
                boot_id: String::new(),
                ..me.clone()
            },
            Identity {
                start_time: 0,
                ..me
            },
        ] {
            assert_eq!(is_alive(&other), Liveness::Unknown, "{other:?}");
        }
    }
}
