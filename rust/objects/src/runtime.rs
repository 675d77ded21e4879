//! The threads that requests travel on: one runtime for all buckets of a process, made when the first is opened.
//!
//! Promises: a process that was forked makes its own. Never: the one of a parent is touched in a child, where its threads
//! are not, and its mutexes may be held by one of them.

use std::sync::atomic::{AtomicPtr, Ordering};

use tokio::runtime::{Builder, Runtime};

struct Own {
    pid: u32,
    runtime: Runtime,
}

static RUNTIME: AtomicPtr<Own> = AtomicPtr::new(std::ptr::null_mut());

/// This process's runtime. It lives as long as the process.
pub(crate) fn here() -> std::io::Result<&'static Runtime> {
    loop {
        let found = RUNTIME.load(Ordering::Acquire);
        // SAFETY: it is null or was leaked below, and nothing frees it.
        if let Some(own) = unsafe { found.as_ref() }
            && own.pid == std::process::id()
        {
            return Ok(&own.runtime);
        }
        let made = Box::leak(Box::new(Own {
            pid: std::process::id(),
            runtime: Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("treering-bucket")
                .enable_io()
                .enable_time()
                .build()?,
        }));
        // Of two that make one at once, one is kept; the other idles until the process ends.
        let _ = RUNTIME.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire);
    }
}
