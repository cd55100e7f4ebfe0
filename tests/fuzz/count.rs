//! An allocator that counts what a thread has at a time, so that a reader's greed is seen before the
//! system kills the program for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes that this thread has taken and not given back, since the count began.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    /// The number of the input that is being read.
    static INPUT: Cell<u64> = const { Cell::new(0) };
}

/// No reader asks for so much at once: one that does would end the program without a name.
const ABSURD: usize = 8 << 30;

fn taken(bytes: isize) {
    // A thread that is ending no longer counts.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: all memory is the system allocator's, under the same layouts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        refuse_absurd(layout.size());
        taken(layout.size() as isize);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        refuse_absurd(layout.size());
        taken(layout.size() as isize);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        refuse_absurd(size);
        taken(size as isize - layout.size() as isize);
        // SAFETY: the caller's.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        taken(-(layout.size() as isize));
        // SAFETY: the caller's.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn refuse_absurd(bytes: usize) {
    if bytes > ABSURD {
        let input = INPUT.get();
        eprintln!("{:?}, input {input}: {bytes} bytes at once", std::thread::current().name());
        std::process::abort();
    }
}

/// Does something with an input, and says how many bytes it had at a time beyond those before.
pub fn peak<T>(input: u64, what: impl FnOnce() -> T) -> (T, usize) {
    INPUT.set(input);
    LIVE.set(0);
    PEAK.set(0);
    let done = what();
    (done, PEAK.get().max(0) as usize)
}
