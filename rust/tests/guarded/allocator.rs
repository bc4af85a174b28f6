//! An allocator whose blocks end at a page that nobody may touch.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PAGE: usize = 4096;
/// Addresses that are taken and never used twice: a block that was freed faults as well.
const REGION: usize = 1 << 40;

/// The system's allocator until it is armed.
pub struct Guarding;

static ARMED: AtomicBool = AtomicBool::new(false);
static START: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

/// From now on every block ends at a protected page, up to what its alignment leaves.
pub fn arm() {
    if START.load(Ordering::SeqCst) == 0 {
        // SAFETY: asks for addresses of the kernel's choice.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                REGION,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "no room for protected pages");
        START.store(start as usize, Ordering::SeqCst);
    }
    ARMED.store(true, Ordering::SeqCst);
}

/// Back to the system's allocator.
pub fn disarm() {
    ARMED.store(false, Ordering::SeqCst);
}

// SAFETY: blocks are pages of a private mapping, each given out once, aligned by rounding down from the
// end of the last; a block is freed by the allocator that its address belongs to.
unsafe impl GlobalAlloc for Guarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !ARMED.load(Ordering::SeqCst) || layout.align() > PAGE {
            return unsafe { System.alloc(layout) };
        }
        let bytes = layout.size().next_multiple_of(PAGE);
        let at = USED.fetch_add(bytes + PAGE, Ordering::SeqCst);
        if at + bytes + PAGE > REGION {
            return std::ptr::null_mut();
        }
        let first = (START.load(Ordering::SeqCst) + at) as *mut u8;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        if unsafe { libc::mprotect(first.cast(), bytes, access) } != 0 {
            return std::ptr::null_mut();
        }
        let offset = (bytes - layout.size()) & !(layout.align() - 1);
        unsafe { first.add(offset) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let (start, address) = (START.load(Ordering::SeqCst), block as usize);
        if start == 0 || !(start..start + REGION).contains(&address) {
            return unsafe { System.dealloc(block, layout) };
        }
        let first = unsafe { block.sub(address % PAGE) };
        let bytes = layout.size().next_multiple_of(PAGE);
        unsafe {
            libc::madvise(first.cast(), bytes, libc::MADV_DONTNEED);
            libc::mprotect(first.cast(), bytes, libc::PROT_NONE);
        }
    }
}
