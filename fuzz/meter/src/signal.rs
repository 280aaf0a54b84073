//! A stack for the handler of a stack overflow, which has none left of its own.

use std::mem::MaybeUninit;
use std::ptr;

/// Bytes for libFuzzer's handler: it prints, hashes the input and writes it to a file.
const SIZE: usize = 256 << 10;

/// Lets a stack overflow of the calling thread be reported with the input that caused it, once
/// libFuzzer has set its handler. Call it before that, on the thread that will run the targets.
pub fn report_overflows() {
    let memory: &'static mut [MaybeUninit<u8>] = Box::leak(Box::new_uninit_slice(SIZE));
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: SIZE };
    // SAFETY: the memory is never freed and nothing else uses it. The handler stays the default
    // one; libFuzzer, which sets its own next, keeps the flag that says on which stack it runs.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = libc::SA_ONSTACK;
        let set = libc::sigaltstack(&stack, ptr::null_mut()) == 0
            && libc::sigaction(libc::SIGSEGV, &action, ptr::null_mut()) == 0;
        assert!(set, "cannot set a signal stack: {}", std::io::Error::last_os_error());
    }
}
