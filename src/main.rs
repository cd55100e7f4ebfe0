use std::process::ExitCode;

/// Steps take and free the same large buffers; the system's allocator hands many of them back to
/// the kernel in between, which fills them with zeros for the next step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fa_audit::cli::main()
}
