//! `fa-audit methods`: the rules that train a network, each with its identity card.

use super::{DONE, print};
use crate::report::rules;
use anyhow::Result;

/// Tell each rule's family, paper, equation, deviations, limits and proof
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit methods
  fa-audit methods --format md
  fa-audit methods --format json | jq .limits")]
pub struct Args {
    /// How they are told
    #[arg(long, value_enum, default_value_t = CardFormat::Table)]
    format: CardFormat,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum CardFormat {
    /// A block a rule, for the terminal
    Table,
    /// A Markdown table
    Md,
    /// One JSON object a line
    Json,
}

pub fn run(args: &Args) -> Result<u8> {
    print(&match args.format {
        CardFormat::Table => rules::table(),
        CardFormat::Md => rules::markdown(),
        CardFormat::Json => rules::json()?,
    })?;
    Ok(DONE)
}
