//! What became of the study's claims.

use crate::claims::Outcome;
use crate::report::panel::{Cell, Panel, Shade};
use crate::study::claims::{StudyClaims, Tested, claimed};

/// A row a claim; without claims nothing.
pub fn claims(claims: Option<&StudyClaims>, tested: &[Tested]) -> Panel {
    let Some(StudyClaims { registered, .. }) = claims else { return Panel::default() };
    let rows = (1..).zip(tested).map(|(number, tested)| {
        let shade = match tested.outcome {
            Outcome::Stands => Shade::Good,
            Outcome::WalkedBack => Shade::Bad,
            Outcome::Untested => Shade::Muted,
        };
        let seeds: Vec<String> = tested.claim.seeds.iter().map(u64::to_string).collect();
        vec![
            Cell::from(number.to_string()),
            Cell::from(tested.claim.claim.clone()),
            Cell::from(claimed(&tested.claim)),
            match tested.summary() {
                Some(summary) => Cell::from(summary.to_string()),
                None => Cell::absent(),
            },
            Cell::from(seeds.join(", ")),
            Cell::shaded(tested.outcome.to_string(), shade),
        ]
    });
    let reasons = (1..).zip(tested).map(|(number, tested)| format!("{number}: {}", tested.reason));
    let remark = registered.remark();
    let digest: String = registered.sha256.chars().take(12).collect();
    Panel {
        title: "Claims".into(),
        note: format!(
            "Said in {} (SHA-256 {digest}), registered {}. Found: mean ± sample standard deviation over \
             the seeds. A claim whose runs, metric or evidence do not hold is untested.",
            registered.file, registered.registered
        ),
        columns: ["No.", "Claim", "Claimed", "Found", "Seeds", "Outcome"].map(Into::into).into(),
        words: vec![1, 2, 3, 4, 5],
        rows: rows.collect(),
        said: remark.into_iter().chain(reasons).collect(),
    }
}
