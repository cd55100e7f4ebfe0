//! Which tensor of a foreign file a parameter or feedback matrix is. Every one has a PyTorch name,
//! which `[import]` in the configuration file maps to another.

use crate::config::Layer;
use crate::failure::usage;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Value;

/// The table `[import]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// Where the state dict lies in the file: `model`, or `module` where a wrapper put it.
    prefix: String,
    /// From PyTorch names to the file's: a tensor's whole name, or that of what holds it, with `{l}`
    /// for the number of a block. A name on the right is whole: `prefix` is not put before it.
    keys: BTreeMap<String, String>,
    /// PyTorch names of matrices that the file holds transposed, as in `keys`.
    transposed: Vec<String>,
    /// Names in the file that are not part of the network, whole or of what holds them.
    ignore: Vec<String>,
}

/// The table of the configuration file that [`Names`] is read from.
pub const TABLE: &str = "import";

impl Names {
    /// Takes the table out of a configuration.
    ///
    /// # Errors
    /// A usage error that names the file and the key.
    pub fn take(layer: &mut Layer) -> Result<Self> {
        let table = layer.keys.remove(TABLE).unwrap_or_else(|| Value::Table(toml::Table::new()));
        let names: Self = serde_path_to_error::deserialize(table).map_err(|e| {
            let (at, problem) = (e.path().to_string(), e.inner().to_string());
            let hint =
                if at.starts_with("keys") { " (names with dots stand in quotes)" } else { "" };
            let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
            usage(format!("{}: {TABLE}.{at}: {problem}{hint}", layer.source))
        })?;
        let unbound = |(from, to): &(&String, &String)| to.contains("{l}") && !from.contains("{l}");
        match names.keys.iter().find(unbound) {
            None => Ok(names),
            Some((from, to)) => Err(usage(format!(
                "{}: {TABLE}.keys: {from:?} = {to:?} has no block number for the {{l}} on the right",
                layer.source
            ))),
        }
    }

    /// The name in the file of the tensor with this PyTorch name: the longest key that fits decides.
    pub fn in_file(&self, name: &str) -> String {
        let fitting = self.keys.iter().filter_map(|(key, to)| Some((fit(key, name)?, key, to)));
        // Of two keys of equal length the one that names the block.
        match fitting.max_by_key(|(_, key, _)| (key.split('.').count(), !key.contains("{l}"))) {
            Some((fit, _, to)) => {
                let number = fit.number.unwrap_or_default();
                dotted(&to.replace("{l}", number), fit.rest)
            }
            None => dotted(&self.prefix, name),
        }
    }

    /// Whether the file holds this matrix transposed.
    pub fn is_transposed(&self, name: &str) -> bool {
        self.transposed.iter().any(|key| fit(key, name).is_some())
    }

    /// Whether a tensor of the file that is nothing of the network is to be reported.
    pub fn is_of_interest(&self, in_file: &str) -> bool {
        let inside = self.prefix.is_empty() || fit(&self.prefix, in_file).is_some();
        inside && !self.ignore.iter().any(|key| fit(key, in_file).is_some())
    }

    /// Keys and `transposed` entries that fit none of `names`: misspelt, or of another network.
    pub fn idle<'a>(&'a self, names: &[&str]) -> Vec<&'a str> {
        let all = self.keys.keys().chain(&self.transposed).map(String::as_str);
        all.filter(|key| !names.iter().any(|name| fit(key, name).is_some())).collect()
    }
}

/// How a key fits a name.
struct Fit<'n> {
    /// What `{l}` stands for.
    number: Option<&'n str>,
    /// What of the name the key leaves open.
    rest: &'n str,
}

/// Whether `name` is `key`, or lies below it.
fn fit<'n>(key: &str, name: &'n str) -> Option<Fit<'n>> {
    let (mut number, mut rest) = (None, name);
    for word in key.split('.') {
        if rest.is_empty() {
            return None;
        }
        let (first, others) = rest.split_once('.').unwrap_or((rest, ""));
        if word == "{l}" && !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit()) {
            number = Some(first);
        } else if word != first {
            return None;
        }
        rest = others;
    }
    Some(Fit { number, rest })
}

fn dotted(above: &str, below: &str) -> String {
    match (above, below) {
        ("", name) | (name, "") => name.into(),
        (above, below) => format!("{above}.{below}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &str) -> Result<Names> {
        let keys = format!("width = 3\n[import]\n{table}").parse().unwrap();
        let mut layer = Layer { source: "net.toml".into(), keys };
        let names = Names::take(&mut layer)?;
        assert!(layer.keys.contains_key("width") && !layer.keys.contains_key("import"));
        Ok(names)
    }

    #[test]
    fn the_longest_key_that_fits_decides() {
        let names = names(
            "prefix = 'model'\n[import.keys]\n'embed' = 'stem.0'\n'blocks.{l}' = 'layers.{l}.net'\n\
             'blocks.{l}.linear1' = 'layers.{l}.fc1'\n'blocks.3.linear1.bias' = 'last'\n\
             'blocks.2.linear1' = 'two'",
        )
        .unwrap();
        for (name, in_file) in [
            ("embed.weight", "stem.0.weight"),
            ("blocks.1.norm.weight", "layers.1.net.norm.weight"),
            ("blocks.10.linear1.weight", "layers.10.fc1.weight"),
            ("blocks.2.linear1.bias", "two.bias"),
            ("blocks.3.linear1.bias", "last"),
            ("embedding.weight", "model.embedding.weight"),
            ("readout.head.bias", "model.readout.head.bias"),
        ] {
            assert_eq!(names.in_file(name), in_file);
        }
    }

    #[test]
    fn without_a_table_names_stay() {
        let names = Names::default();
        assert_eq!(names.in_file("blocks.0.norm.bias"), "blocks.0.norm.bias");
        assert!(names.is_of_interest("anything") && !names.is_transposed("feedback.0"));
    }

    #[test]
    fn what_is_ignored_or_beside_the_prefix_is_of_no_interest() {
        let names =
            names("prefix = 'model'\nignore = ['model.ema']\ntransposed = ['feedback']").unwrap();
        for (name, wanted) in [
            ("model.extra", true),
            ("model.ema.0", false),
            ("model.emanuel", true),
            ("optimizer.state.0", false),
        ] {
            assert_eq!(names.is_of_interest(name), wanted, "{name}");
        }
        assert!(names.is_transposed("feedback.0") && !names.is_transposed("embed.weight"));
        assert_eq!(names.idle(&["embed.weight"]), ["feedback"]);
    }

    #[test]
    fn mistakes_name_the_file_and_the_key() {
        let error = |table| names(table).unwrap_err().to_string();
        assert!(error("prefx = 'a'").starts_with("net.toml: import.prefx: unknown field `prefx`"));
        let nested = error("[import.keys]\nembed.weight = 'stem'");
        assert!(nested.starts_with("net.toml: import.keys.embed: "), "{nested}");
        assert!(nested.ends_with("(names with dots stand in quotes)"), "{nested}");
        assert!(error("[import.keys]\n'blocks.0' = 'b.{l}'").contains("no block number"));
    }
}
