//! What the tests of several processes share: a test binary that starts itself again, in a role.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)] // Each test binary uses its part.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use treering_block::Block;
use treering_store::{Change, Commit, Expect, RefMove, RefName};

const ROLE: &str = "TREERING_TEST_ROLE";
const DIRECTORY: &str = "TREERING_TEST_DIRECTORY";
/// Before each line that a process reports, to tell it from what the test harness prints.
const REPORT: &str = "report ";

/// Another process: this binary, running only the test `other_process`.
pub struct Other {
    pub child: Child,
    stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Other {
    pub fn start(role: &str, directory: &Path) -> Self {
        Self::start_with(role, directory, &[])
    }

    pub fn start_with(role: &str, directory: &Path, settings: &[(&str, String)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "other_process",
                "--nocapture",
                "--include-ignored",
            ])
            .env(ROLE, role)
            .env(DIRECTORY, directory)
            .envs(settings.iter().map(|(name, value)| (name, value.as_str())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            stdin,
            lines,
        }
    }

    /// The next line that it reports; panics if it ended instead.
    pub fn heard(&mut self) -> String {
        loop {
            let line = self.lines.next().expect("the other process ended").unwrap();
            if let Some((_, said)) = line.split_once(REPORT) {
                return said.to_owned();
            }
        }
    }

    /// What it still reports until it ends.
    pub fn rest(&mut self) -> Vec<String> {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| Some(line.split_once(REPORT)?.1.to_owned()))
            .collect()
    }

    /// Sends it a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Waits for its end, which must be a good one.
    pub fn join(mut self) {
        self.rest();
        assert!(self.child.wait().unwrap().success());
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.child.id()).unwrap();
        // SAFETY: a signal to the child that we started and have not waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
        if signal == libc::SIGSTOP {
            self.wait_until_stopped();
        }
    }

    /// A thread that was told to stop may still finish the system call that it is in, and have a lock then.
    #[cfg(unix)]
    fn wait_until_stopped(&self) {
        let is_stopped = |task: std::fs::DirEntry| {
            let about = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // The state follows the name, which stands in parentheses and may hold anything.
            let state = about.rsplit_once(") ").map_or("", |(_, rest)| rest);
            state.starts_with(['T', 't'])
        };
        let tasks = format!("/proc/{}/task", self.child.id());
        for _ in 0..2000 {
            // Where there is no such directory nothing can be told.
            let listed = std::fs::read_dir(&tasks);
            if listed.map_or(true, |tasks| tasks.flatten().all(is_stopped)) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("it does not stop");
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// In the other process: its role and the store's directory. None in a test.
pub fn role() -> Option<(String, PathBuf)> {
    Some((
        std::env::var(ROLE).ok()?,
        std::env::var_os(DIRECTORY)?.into(),
    ))
}

/// In the other process: a number that the test gave.
pub fn setting(name: &str) -> u64 {
    std::env::var(name).unwrap().parse().unwrap()
}

/// In the other process: tells the test a line, in one write.
pub fn report(line: &str) {
    let line = format!("{REPORT}{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
    std::io::stdout().lock().flush().unwrap();
}

/// In the other process: waits until the test says something; the line, or None if it is gone.
pub fn told() -> Option<String> {
    std::io::stdin().lines().next()?.ok()
}

/// Microseconds on a clock that all processes share.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

pub fn name(part: &str) -> RefName {
    RefName::new("main", "thread", [part]).unwrap()
}

/// A commit that moves the ref of a writer from its `version` on to a block of its own.
pub fn step(writer: &str, version: u64, bytes: usize) -> (Commit, Block) {
    let mut text = format!("{writer} {version} ").into_bytes();
    let start = text.len();
    text.resize(start + bytes, 0);
    blake3::Hasher::new()
        .update(&text[..start])
        .finalize_xof()
        .fill(&mut text[start..]);
    let block = Block::raw(text);
    let expect = match version {
        0 => Expect::Absent,
        _ => Expect::Version(version),
    };
    let commit = Commit {
        scope: "main".into(),
        moves: vec![RefMove {
            name: name(writer),
            expect,
            change: Change::Set {
                target: block.cid,
                record: vec![],
            },
        }],
        blocks: vec![block.clone()],
        ..Commit::default()
    };
    (commit, block)
}

/// Sleeps a little, and looks again, until it is so; panics after a minute.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..12_000 {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("a minute passed before {what}");
}
