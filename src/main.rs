use std::process::ExitCode;

fn main() -> ExitCode {
    fa_audit::cli::main()
}
