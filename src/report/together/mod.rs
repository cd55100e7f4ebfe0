//! What the runs of a study tell together, as panels: one function a panel, drawn by every format.

mod claims;
mod decisions;
mod firings;
mod inversion;
mod ladder;
mod learned_credit;
mod ranks;
mod sweep;

pub use claims::claims;
pub use decisions::decisions;
pub use firings::firings;
pub use inversion::inversion;
pub use ladder::ladder;
pub use learned_credit::learned_credit;
pub use ranks::ranks;
pub use sweep::sweep;

use super::panel::Panel;
use crate::study::claims::tested;
use crate::study::inversion::inversions;
use crate::study::ladder::ladders;
use crate::study::results::StudyResult;
use crate::study::timeline::timeline;
use crate::study::utility::utility;

/// The panels that the study has something to say in.
pub fn panels(study: &StudyResult) -> Vec<Panel> {
    let mut panels = vec![of_claims(study), learned_credit(study)];
    panels.extend(inversion(&inversions(study)));
    panels.push(firings(&timeline(study)));
    // A strategy and a threshold are judged by what they tell apart.
    if study.runs.iter().filter(|run| run.audit.is_some()).count() > 1 {
        panels.push(decisions(&utility(study)));
        panels.extend(sweep(&crate::study::sweep::sweep(study)));
    }
    panels.push(ladder(&ladders(study)));
    panels.extend(crate::study::ranks::ranks(study).iter().flat_map(ranks));
    panels.retain(|panel| !panel.rows.is_empty());
    panels
}

/// Every claim of the study and what became of it; without rows where it makes none.
pub fn of_claims(study: &StudyResult) -> Panel {
    claims(study.claims.as_ref(), &tested(study))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::rank::rank;
    use crate::report::testing::{bridges, claiming};
    use crate::report::{html, markdown, terminal};

    /// Words with single spaces between.
    fn plain(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn unescaped(text: &str) -> String {
        text.replace('\\', "")
            .replace("&gt;", ">")
            .replace("&lt;", "<")
            .replace("&#39;", "'")
            .replace("&amp;", "&")
    }

    /// An index is set low in HTML, and written with a line under it elsewhere.
    fn without_tags(html: &str) -> String {
        let html = html.replace("<sub>", "_");
        let parts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
        parts.collect()
    }

    #[test]
    fn every_format_draws_the_same_panels() {
        let mut study = claiming(bridges());
        for (i, line) in study.runs.iter_mut().flat_map(|run| &mut run.metrics).enumerate() {
            let values: Vec<f64> = (i..i + 6).map(|v| v as f64).collect();
            line.ranks = vec![rank("a_1", 2, 3, &values), rank("W_T − W_0 of w", 3, 2, &values)];
        }
        let panels = panels(&study);
        assert!(panels.len() > 6 && panels[0].title == "Claims", "{}", panels.len());
        for title in
            ["Effective rank over epochs", "Ranks by four", "Effective rank at matched loss"]
                .into_iter()
                .chain(["Learned credit", "Ranking by cosine", "Kendall's τ-b of cosine"])
        {
            assert!(panels.iter().any(|panel| panel.title.starts_with(title)), "{title}");
        }
        let formats = [
            terminal::panels(&panels, false).join("\n"),
            unescaped(&markdown::write(&study, &panels)),
            unescaped(&without_tags(&html::write(&study, &panels))),
        ];
        for text in formats.map(|text| plain(&text)) {
            for panel in &panels {
                for part in panel.said.iter().chain([&panel.title, &panel.note]) {
                    assert!(text.contains(&plain(part)), "{part}\n{text}");
                }
            }
        }
    }
}
