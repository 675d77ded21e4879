//! How much memory a piece of work holds at its worst moment: an allocator that counts, per thread.
//!
//! Promises: exact for what the measuring thread asks of Rust's allocator; other threads' work is not
//! counted, so tests may run side by side.
//! Must never: allocate or panic while it counts.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    // Constant and without a destructor, so that they may be used inside an allocator, at any time.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn grown(by: isize) {
    // What another thread allocated may be freed here, so the count may fall below zero.
    let live = LIVE.get().wrapping_add(by);
    LIVE.set(live);
    if live > MOST.get() {
        MOST.set(live);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with; counting touches only
// two thread-local integers and neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps `alloc`'s contract, which is passed on as it is.
        let pointer = unsafe { System.alloc(layout) };
        if !pointer.is_null() {
            grown(layout.size().cast_signed());
        }
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from `System`, since nothing else is called here.
        unsafe { System.dealloc(pointer, layout) };
        grown(-layout.size().cast_signed());
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if !pointer.is_null() {
            grown(layout.size().cast_signed());
        }
        pointer
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for `dealloc`; `size` is the caller's.
        let moved = unsafe { System.realloc(pointer, layout, size) };
        if !moved.is_null() {
            grown(size.cast_signed() - layout.size().cast_signed());
        }
        moved
    }
}

/// What a piece of work returned, and what it took.
#[derive(Clone, Copy, Debug)]
pub struct Metered<T> {
    /// Its result; memory that the result itself holds is counted.
    pub result: T,
    /// Bytes that were allocated at the worst moment, beyond those before.
    pub most_bytes: usize,
}

/// Runs a piece of work on this thread and counts what it holds at its worst moment.
pub fn metered<T>(work: impl FnOnce() -> T) -> Metered<T> {
    let before = LIVE.get();
    MOST.set(before);
    let result = work();
    let most_bytes = usize::try_from(MOST.get() - before).unwrap_or(0);
    Metered { result, most_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_moment_is_counted_and_nothing_else() {
        assert_eq!(metered(|| 7).most_bytes, 0);
        let kept = metered(|| {
            drop(vec![0_u8; 5000]);
            drop(std::hint::black_box(vec![1_u8; 3000]));
            vec![0_u8; 1000]
        });
        assert_eq!((kept.most_bytes, kept.result.len()), (5000, 1000));
        let grown = metered(|| {
            let mut bytes: Vec<u8> = Vec::with_capacity(10);
            bytes.reserve_exact(2000);
            bytes.capacity()
        });
        assert_eq!(grown.most_bytes, grown.result);
        let elsewhere = metered(|| {
            let length = std::thread::scope(|scope| {
                let thread = scope.spawn(|| vec![0_u8; 1 << 20].len());
                thread.join().unwrap_or(0)
            });
            assert_eq!(length, 1 << 20);
        });
        assert!(elsewhere.most_bytes < 1 << 18, "{}", elsewhere.most_bytes);
    }
}
