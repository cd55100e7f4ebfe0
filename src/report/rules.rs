//! The identity cards of the rules: for the terminal, as Markdown for the guide, as JSON.

use crate::config::{Base, Method};
use crate::learn::{Card, Family, card, family};
use comfy_table::{ContentArrangement, Table, TableStyle};
use serde::Serialize;
use serde_json::Result;

const WIDTH: u16 = 80;

/// A rule with what its file says of it.
#[derive(Serialize)]
struct RuleCard {
    rule: &'static str,
    family: Family,
    #[serde(flatten)]
    card: Card,
}

fn cards() -> impl Iterator<Item = RuleCard> {
    let rules = Method::ALL.iter().filter_map(|method| method.rule());
    rules.map(|rule: Base| RuleCard { rule: rule.word(), family: family(rule), card: card(rule) })
}

/// What of a card is told, each with its name.
fn lines(card: &Card) -> [(&'static str, &'static str); 5] {
    [
        ("paper", card.paper),
        ("equation", card.equation),
        ("differs", card.differs),
        ("limits", card.limits),
        ("proof", card.proof),
    ]
}

/// One block a rule, of at most 80 columns.
pub fn table() -> String {
    let mut text = String::new();
    for RuleCard { rule, family, card } in cards() {
        let mut table = Table::new();
        table.load_style(TableStyle::new()).force_no_tty();
        table.set_width(WIDTH).set_content_arrangement(ContentArrangement::Dynamic);
        for (name, line) in lines(&card) {
            table.add_row([format!("  {name}"), line.into()]);
        }
        let body: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        text += &format!("{rule} ({})\n{body}\n", family.word());
    }
    text
}

/// A table for `data/guide/rules.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "| rule | family | paper | equation | differs | limits | proof |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for RuleCard { rule, family, card } in cards() {
        let cells = lines(&card).map(|(name, line)| match name {
            "proof" => format!("`{line}`"),
            _ => line.replace('|', "\\|"),
        });
        text += &format!("| `{rule}` | {} | {} |\n", family.word(), cells.join(" | "));
    }
    text
}

/// One JSON object a line.
///
/// # Errors
/// Never.
pub fn json() -> Result<String> {
    cards().map(|card| Ok(serde_json::to_string(&card)? + "\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_told_in_every_form_and_on_eighty_columns() {
        let (table, markdown, json) = (table(), markdown(), json().unwrap());
        for RuleCard { rule, card, .. } in cards() {
            assert!(table.contains(&format!("{rule} (")), "{table}");
            assert!(markdown.contains(&format!("| `{rule}` |")), "{markdown}");
            assert!(json.contains(&format!("\"rule\":\"{rule}\"")), "{json}");
            assert!(table.contains(card.proof), "{table}");
        }
        let widest = table.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(usize::from(WIDTH)), "{table}");
    }

    #[test]
    fn the_guide_shows_the_cards_as_the_rules_have_them() {
        let guide = include_str!("../../data/guide/rules.md");
        assert!(guide.contains(&markdown()), "data/guide/rules.md lacks:\n{}", markdown());
    }
}
