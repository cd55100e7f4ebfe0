use std::process::ExitCode;

/// With the system's allocator a training step takes about 5 % longer (benches/README.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fa_audit::cli::main()
}
