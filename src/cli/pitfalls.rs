//! `fa-audit pitfalls`: seven ways to a wrong number, shown live.

use super::{DONE, print};
use crate::pitfalls::{NAMES, demonstrate};
use anyhow::Result;
use clap::builder::PossibleValuesParser;

/// Show the seven pitfalls of the field, each with the wrong number and the right one
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit pitfalls                 all seven, a few seconds
  fa-audit pitfalls cosine-clamp")]
pub struct Args {
    /// One of them [default: all]
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    name: Option<String>,
}

pub fn run(args: &Args) -> Result<u8> {
    let names = match &args.name {
        Some(name) => vec![name.as_str()],
        None => NAMES.to_vec(),
    };
    for shown in demonstrate(&names)? {
        let number = NAMES.iter().position(|name| *name == shown.name).map_or(0, |at| at + 1);
        print(&format!(
            "{number}  {}: {}\n   shown on  {}\n   wrong     {}\n   right     {}\n   fa-audit  {}\n\n",
            shown.name, shown.title, shown.setting, shown.wrong, shown.right, shown.avoided
        ))?;
    }
    Ok(DONE)
}
