//! Whether the arrays agree, in a few lines: what is contradicted and what could not be checked; of the
//! rest how much there is. Below, how large the credit is beside the gradient.

use super::cells::cosine;
use super::draw::wrapped;
use super::{LayerRow, by_layer, name, seed, who};
use crate::evidence::{Checked, Standing};
use crate::verdict::{Audit, short};

/// The checks of every run; nothing where none was made.
pub(super) fn evidence(audits: &[Audit]) -> String {
    let mut out = String::new();
    for audit in audits.iter().filter(|audit| !audit.evidence.is_empty()) {
        let of = |standing: Standing| {
            audit.evidence.checks.iter().filter(move |checked| checked.standing == standing)
        };
        let holds = of(Standing::Holds).count();
        let of_all = format!("{holds} of {} checks hold", audit.evidence.checks.len());
        out += &format!("{}\n", wrapped("", &format!("{}: {of_all}", who(audit))));
        for standing in [Standing::Contradicted, Standing::NotCheckable] {
            for Checked { check, finding, .. } in of(standing) {
                let line = format!("{check}, {}: {finding}", standing.word());
                out += &format!("{}\n", wrapped("  · ", &line));
            }
        }
    }
    match out.is_empty() {
        true => out,
        false => format!("Evidence\n{out}"),
    }
}

/// The credit's size beside the gradient's, relative to the median layer, and the global cosine.
pub(super) fn credit(audits: &[&Audit]) -> String {
    let row = |audit: &&Audit| {
        let found = audit.evidence.credit.as_ref();
        let global = found.map(|credit| cosine(Some(credit.global_cosine), true));
        let sizes = found.into_iter().flat_map(|credit| &credit.relative);
        let cells = global.into_iter().chain(sizes.map(|size| format!("{} ", short(size.0))));
        LayerRow { name: name(audit), second: seed(audit), cells: cells.collect() }
    };
    let rows: Vec<_> = audits.iter().map(row).collect();
    by_layer(
        "Global cosine, and ‖a_l‖/‖g_l‖ by layer relative to the median layer",
        "Seed",
        &["global "],
        &rows,
    )
}
