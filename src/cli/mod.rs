//! The command line: what was typed, and exit codes. One file a subcommand.

mod audit;
mod bundle;
mod data;
mod diagnose;
mod import;
mod keys;
mod man;
mod methods;
mod options;
mod pitfalls;
mod recorder;
mod regress;
mod report;
mod results;
mod train;
mod verify;
mod watch;

use crate::backend::{self, keep_to_defaults};
use crate::config::BackendName;
use crate::failure::{self, Usage};
use crate::message::tell;
use crate::report::terminal;
use crate::shown;
use crate::train::interrupt;
use crate::verdict::PROTOCOL;
use anyhow::{Context, Result};
use clap::{CommandFactory, Parser, Subcommand};
use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

/// Done.
pub const DONE: u8 = 0;
/// Something failed.
pub const FAILED: u8 = 1;
/// What was typed or configured cannot be done.
pub const USAGE: u8 = 2;
/// A verdict that `--fail-on` names.
pub const VERDICT: u8 = 3;
/// A metric left its baseline.
pub const REGRESSION: u8 = 4;
/// Interrupted; the state is saved.
pub const INTERRUPTED: u8 = interrupt::EXIT_CODE as u8;

/// Tells whether a feedback-alignment training run can be believed.
#[derive(Parser)]
#[command(version, long_version = LONG_VERSION.as_str(), arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    show: Show,
}

/// What `--version` says; `-V` says the first line.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let backends: Vec<_> = backend::built().into_iter().map(BackendName::word).collect();
    let backends = backends.join(", ");
    let (version, revision) = (env!("CARGO_PKG_VERSION"), env!("FA_AUDIT_GIT_REVISION"));
    format!(
        "{version}\nrevision {revision}\nfeatures {}\nBurn {}\nbackends {backends}\nprotocol {PROTOCOL}",
        env!("FA_AUDIT_FEATURES"),
        backend::BURN_VERSION
    )
});

const EXAMPLES: &str = "\
Examples:
  fa-audit audit                                    the demonstration study, on embedded data
  fa-audit train --method dfa --dataset cifar10 --data-dir ~/data --epochs 30
  fa-audit diagnose runs/dfa-resmlp-cifar10-s42-1c9b0d7e/checkpoint.mpk

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a verdict that --fail-on names,
4 regression, 130 interrupted (state saved).";

/// What is shown beside results.
#[derive(clap::Args, Clone, Copy)]
struct Show {
    /// No messages on standard error but errors
    #[arg(long, short, global = true, display_order = 900)]
    quiet: bool,
    /// No progress bars
    #[arg(long, global = true, display_order = 901)]
    no_progress: bool,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Args),
    Diagnose(diagnose::Args),
    Import(import::Args),
    Audit(audit::Args),
    Report(report::Args),
    Watch(watch::Args),
    Regress(regress::Args),
    Verify(verify::Args),
    Bundle(bundle::BundleArgs),
    Replay(bundle::ReplayArgs),
    Methods(methods::Args),
    Pitfalls(pitfalls::Args),
    Data(data::Args),
    Keys(keys::Args),
    Recorder(recorder::Args),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    Man(man::Args),
}

const COMPLETIONS: &str = "\
Examples:
  fa-audit completions bash > ~/.local/share/bash-completion/completions/fa-audit
  fa-audit completions zsh > ~/.zfunc/_fa-audit";

/// Runs the program: parses, runs, and turns the result into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => return ExitCode::from(asked_for(&message)),
    };
    let result = failure::caught(|| run(cli));
    ExitCode::from(match result {
        Ok(code) => code,
        Err(error) => {
            tell(format!("error: {error:#}"));
            if error.is::<Usage>() { USAGE } else { FAILED }
        }
    })
}

fn run(cli: Cli) -> Result<u8> {
    outlive_limits()?;
    keep_to_defaults();
    if let Some(level) = std::env::var_os(backend::PIN) {
        backend::pin(&level)?;
    }
    // A report that goes to a file is the same on every terminal.
    let is_shown = match &cli.command {
        Command::Diagnose(_) | Command::Audit(_) | Command::Watch(_) => true,
        Command::Report(args) => args.is_shown(),
        _ => false,
    };
    if is_shown {
        fit_the_terminal();
    }
    match cli.command {
        Command::Train(args) => train::run(args, cli.show),
        Command::Diagnose(args) => diagnose::run(args, cli.show),
        Command::Import(args) => import::run(args, cli.show),
        Command::Audit(args) => audit::run(args, cli.show),
        Command::Report(args) => report::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Regress(args) => regress::run(&args, cli.show),
        Command::Verify(args) => verify::run(args, cli.show),
        Command::Bundle(args) => bundle::bundle(&args, cli.show),
        Command::Replay(args) => bundle::replay(&args, cli.show),
        Command::Methods(args) => methods::run(&args),
        Command::Pitfalls(args) => pitfalls::run(&args),
        Command::Data(args) => data::run(args),
        Command::Keys(args) => keys::run(&args),
        Command::Recorder(args) => recorder::run(&args),
        Command::Completions { shell } => {
            // Not straight to standard output: on a pipe that is closed the crate panics.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "fa-audit", &mut script);
            print(&String::from_utf8(script)?)?;
            Ok(DONE)
        }
        Command::Man(args) => man::run(&args, Cli::command()),
    }
}

/// Where a file reaches the size that `ulimit -f` allows, the write fails, as on a full disk. Without a
/// handler the system ends the program there.
#[cfg(unix)]
fn outlive_limits() -> Result<()> {
    use signal_hook::{consts::SIGXFSZ, flag::register};
    let reached = std::sync::Arc::default();
    register(SIGXFSZ, reached).map(drop).context("cannot catch SIGXFSZ")
}

#[cfg(not(unix))]
fn outlive_limits() -> Result<()> {
    Ok(())
}

/// Prints what clap has to say, a help text or what is wrong with the flags; the exit code.
fn asked_for(message: &clap::Error) -> u8 {
    match message.print() {
        Err(problem) if message.exit_code() == 0 && problem.kind() != ErrorKind::BrokenPipe => {
            tell(format!("error: {CANNOT_PRINT}: {problem}"));
            FAILED
        }
        _ => message.exit_code() as u8,
    }
}

const CANNOT_PRINT: &str = "cannot write to standard output";

/// Writes a result to standard output. One that nobody reads to its end, as `| head` does not, is
/// none the worse for it.
fn print(text: &str) -> Result<()> {
    write_out(&shown::page(text, colour()))
}

/// As [`print`], for JSON.
fn print_json(text: &str) -> Result<()> {
    write_out(&shown::json(text))
}

fn write_out(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context(CANNOT_PRINT),
        _ => Ok(()),
    }
}

/// Gives tables the columns of the terminal, where results go to one.
fn fit_the_terminal() {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    if let Some((terminal_size::Width(columns), _)) = size {
        terminal::fit(columns);
    }
}

/// Whether results may be coloured.
fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands among the examples of a help text: without what follows them on their line, and
    /// with a number where the shell or another program would put one.
    fn examples(help: &str) -> Vec<String> {
        let command = |line: &str| {
            let line = line.strip_prefix("  ")?;
            let line = &line[line.find("fa-audit ")?..];
            let ends = ["  ", " | ", " > ", " :::"].map(|end| line.find(end).unwrap_or(line.len()));
            let line = &line[..ends.into_iter().min()?];
            let line = line.replace("$SLURM_ARRAY_TASK_ID", "1");
            Some(line.replace("$SLURM_ARRAY_TASK_COUNT", "4").replace("{}", "1"))
        };
        help.split("\n\n")
            .filter(|part| part.lines().next().is_some_and(|head| head.ends_with(':')))
            .flat_map(|part| part.lines().filter_map(command).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn every_help_ends_with_examples_and_each_of_them_parses() {
        let program = Cli::command();
        let help = |command: &clap::Command| {
            command.get_after_help().map(ToString::to_string).unwrap_or_default()
        };
        for command in std::iter::once(&program).chain(program.get_subcommands()) {
            let name = command.get_name();
            let found = examples(&help(command));
            assert!(!found.is_empty(), "{name}: no examples");
            for line in found {
                assert!(name == "fa-audit" || line.contains(&format!(" {name}")), "{name}: {line}");
                if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
                    panic!("{line}: {error}");
                }
            }
        }
    }

    #[test]
    fn every_subcommand_has_a_manual_page() {
        let names: Vec<String> =
            Cli::command().get_subcommands().map(|c| c.get_name().to_string()).collect();
        for name in names {
            let page = man::page(Cli::command(), std::slice::from_ref(&name)).expect("a page");
            assert!(page.contains(&format!(".TH fa-audit-{name} 1")), "{page}");
            assert!(page.contains("Examples:"), "{name}: {page}");
        }
        let whole = man::page(Cli::command(), &[]).expect("a page");
        assert!(whole.contains(".TH fa-audit 1") && whole.contains("Exit codes"), "{whole}");
        let error = man::page(Cli::command(), &["trian".into()]).expect_err("no such page");
        assert!(error.is::<Usage>() && error.to_string().contains("train, diagnose"), "{error}");
    }
}
