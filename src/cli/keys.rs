//! `fa-audit keys`: every configuration key, what it means and what it may be.

use super::{DONE, print};
use crate::config::keys::{KEYS, Key};
use crate::config::nearest_key;
use crate::failure::usage;
use anyhow::Result;

/// List the configuration keys with meaning, default and range
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit keys                     all of them
  fa-audit keys feedback            those whose name or meaning has the word")]
pub struct Args {
    /// A part of a name or a meaning
    #[arg(value_name = "WORD")]
    word: Option<String>,
}

pub fn run(args: &Args) -> Result<u8> {
    let word = args.word.as_deref().unwrap_or_default();
    let found: Vec<String> = KEYS.iter().filter(|key| is_about(key, word)).map(entry).collect();
    if found.is_empty() {
        let hint =
            nearest_key(word).map_or(String::new(), |key| format!("; did you mean `{key}`?"));
        return Err(usage(format!("no key is called or about \"{word}\"{hint}")));
    }
    print(&found.join("\n"))?;
    Ok(DONE)
}

fn is_about(key: &Key, word: &str) -> bool {
    let word = word.to_lowercase();
    key.name.contains(&word) || key.meaning().to_lowercase().contains(&word)
}

fn entry(key: &Key) -> String {
    let Key { name, range, .. } = key;
    format!(
        "{name}\n    {}\n    default  {}\n    values   {}\n",
        key.meaning(),
        key.default_in_words(),
        range.wanted()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::key;

    #[test]
    fn a_key_is_listed_with_its_meaning_its_defaults_and_its_range() {
        let width = entry(key("width").expect("a key"));
        let wanted = "width\n    Width d of the hidden states (published: 256, vit-mini and student 128, lq 64); of a \
                      convolutional network the channels of its first feature map, to which all others are in \
                      proportion (small-cnn and small-resnet: 32; alexnet, vgg-16 and resnet-18: 64; \
                      resnet-20 and resnet-56: 16).\n    \
                      default  256 (resmlp, mlp), 128 (vit-mini, student), 64 (lq, alexnet, vgg-16, \
                      resnet-18), 32 (small-cnn, small-resnet), 16 (resnet-20, resnet-56)\n    \
                      values   a whole number from 1 to 65536\n";
        assert_eq!(width, wanted);
        let augment = entry(key("augment").expect("a key"));
        assert!(
            augment.contains(
                "default  false (synthetic, toy-lq, student), true (cifar10, cifar100)\n"
            ),
            "{augment}"
        );
        let optimizer = entry(key("optimizer").expect("a key"));
        assert!(optimizer.ends_with("default  adamw\n    values   adamw, sgd, muon\n"));
    }

    #[test]
    fn a_word_finds_the_keys_that_it_is_about() {
        let names = |word: &str| {
            let found = KEYS.iter().filter(|key| is_about(key, word));
            found.map(|key| key.name).collect::<Vec<_>>()
        };
        assert!(names("FEEDBACK").contains(&"feedback_scale"));
        assert!(names("β₁").contains(&"beta_1") && !names("β₁").contains(&"seed"));
        assert!(names("no such word").is_empty());
    }

    #[test]
    fn every_key_has_a_meaning_that_ends_as_a_sentence_and_a_range() {
        for key in KEYS {
            let meaning = key.meaning();
            assert!(meaning.ends_with('.') && meaning.len() > 8, "{}: {meaning}", key.name);
            assert!(!key.range.wanted().is_empty(), "{}", key.name);
        }
    }
}
