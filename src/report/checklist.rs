//! A reproducibility checklist with its answers, as far as a study's directory knows them: what
//! conferences ask for, and what `data/guide/reporting.md` asks for besides. What is not so is
//! answered with no.

use super::content::{self, Content};
use super::markdown::escaped;
use crate::config::Method;
use crate::study::results::{RunResult, StudyResult};
use crate::train::run_dir::Matmul;
use crate::verdict::Thresholds;

/// An answer: whether it is so, and what is so.
type Answer = (Option<bool>, String);

/// The list as Markdown, a question a row.
pub fn write(study: &StudyResult) -> String {
    let content = Content::of(study);
    let mut out = format!(
        "# Reproducibility checklist: {}\n\nAnswered from the study's records. Yes and no are theirs; a dash is for what they \
         cannot know.\n\n| question | answer | |\n| --- | --- | --- |\n",
        escaped(content.name)
    );
    for (question, (answer, words)) in answers(&content, study.claims.is_some()) {
        let answer = match answer {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        out += &format!("| {question} | {answer} | {} |\n", escaped(&words));
    }
    out
}

fn answers(content: &Content, claims: bool) -> Vec<(&'static str, Answer)> {
    let seeds: Vec<String> = content.seeds.iter().map(u64::to_string).collect();
    let setting = content::setting(content);
    let of = |name: &str| {
        let found = setting.iter().find(|(own, _)| *own == name);
        found.map_or_else(|| "not recorded".to_string(), |(_, value)| value.clone())
    };
    let has = |method: Method| content.runs.iter().any(|run| run.record.config.method == method);
    let present = |method: Method| -> Answer {
        let none = format!("the study has no run of {method}");
        (Some(has(method)), if has(method) { String::new() } else { none })
    };
    let list = seeds.join(", ");
    let seeds: Answer = match seeds.len() {
        0 | 1 => (Some(false), format!("one seed ({list}), which says nothing of a method")),
        n => (Some(true), format!("{n} seeds ({list}); deviations are sample standard deviations")),
    };
    let full = format!("{}; {}; config.toml of each run", of("Network"), of("Training"));
    let evaluated = format!("{}; reference loss: {}", of("Evaluation"), of("Reference loss"));
    let said = match claims {
        true => "claims.csv has what became of each claim",
        false => "the study makes no claims",
    };
    let repeated = "fa-audit replay trains it anew and holds it against baseline.json; \
                    checkpoints.sha256 has the networks' hashes";
    vec![
        ("Are results given over several seeds, with their number and deviation?", seeds),
        ("Is backpropagation trained in the same setting?", present(Method::Bp)),
        ("Is there a twin with frozen blocks?", present(Method::Frozen)),
        ("Is there a control without information, random targets?", present(Method::RandomTarget)),
        ("Are network and training given in full?", (Some(true), full)),
        ("Are the data named, with their source and hash?", data(content)),
        ("How was it evaluated?", (None, evaluated)),
        ("Are the thresholds the published ones?", thresholds(content)),
        ("Were controls run?", controls(content)),
        ("Did every run finish with finite numbers, and was it audited?", finished(content)),
        ("Was it said before training what is to be shown?", (Some(claims), said.into())),
        ("Is the code named?", code(content)),
        ("Is the machine named, and what it took?", machine(content)),
        ("Can it be repeated from this?", (Some(true), repeated.into())),
        ("Are impact, consent and the data's licence dealt with?", (None, "not recorded".into())),
    ]
}

/// The distinct values of the runs, joined.
fn distinct(content: &Content, of: impl Fn(&RunResult) -> String) -> String {
    let mut found: Vec<String> = content.runs.iter().map(of).collect();
    found.sort();
    found.dedup();
    found.join("; ")
}

fn data(content: &Content) -> Answer {
    let words = distinct(content, |run| {
        let data = &run.record.provenance.data;
        format!("{} ({}), SHA-256 {}", data.name, data.source, data.sha256)
    });
    (Some(!words.is_empty()), words)
}

fn thresholds(content: &Content) -> Answer {
    match content.thresholds() {
        Some(used) if used == Thresholds::default() => (Some(true), String::new()),
        _ => (Some(false), "report.md lists those that were used beside the published ones".into()),
    }
}

/// Of the runs that are judged: a baseline is what they are held against.
fn controls(content: &Content) -> Answer {
    let audits = content.runs.iter().filter_map(|run| run.audit.as_ref());
    let judged: Vec<_> = audits.filter(|audit| !audit.run.is_baseline).collect();
    let with = judged.iter().filter(|audit| audit.controls.is_some()).count();
    let words = format!("{with} of {} judged runs", judged.len());
    (Some(with == judged.len() && with > 0), words)
}

fn finished(content: &Content) -> Answer {
    let whole = content::unfinished(content).rows.is_empty();
    (Some(whole), content.standing())
}

fn code(content: &Content) -> Answer {
    let words = distinct(content, |run| {
        let made = &run.record.provenance;
        format!("{}, revision {}, Burn {}", made.tool, made.git_revision, made.burn)
    });
    (Some(!words.contains("revision unknown")), words)
}

fn machine(content: &Content) -> Answer {
    let words = distinct(content, |run| {
        let made = &run.record.provenance;
        let products = match made.matmul {
            Matmul::Full => "full precision",
            Matmul::Reduced => "reduced precision",
        };
        let sets = made.instruction_sets.as_deref().unwrap_or("instruction sets not recorded");
        format!(
            "{} on {}, {} threads a run, {sets}, products in {products}",
            made.backend, made.device, made.threads
        )
    });
    let lines = content.runs.iter().flat_map(|run| &run.metrics);
    let seconds: f64 = lines.map(|line| line.seconds.0).filter(|s| s.is_finite()).sum();
    (Some(true), format!("{words}; {seconds:.0} s of training in all"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{empty, study, troubled};

    #[test]
    fn what_is_missing_is_answered_with_no() {
        let text = write(&study());
        for part in [
            "| Are results given over several seeds, with their number and deviation? | yes | 3 seeds (42, 123, 456)",
            "| Is backpropagation trained in the same setting? | yes |",
            "| Is there a control without information, random targets? | **no** | the study has no run of random-target |",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let text = write(&troubled());
        assert!(
            text.contains(
                "| Did every run finish with finite numbers, and was it audited? | **no** |"
            ),
            "{text}"
        );
    }

    #[test]
    fn every_row_has_three_cells() {
        for study in [study(), troubled(), empty()] {
            let text = write(&study);
            let rows = text.lines().filter(|line| line.starts_with('|'));
            let bars: Vec<usize> =
                rows.map(|row| row.replace("\\|", "").matches('|').count()).collect();
            assert!(bars.len() > 12 && bars.iter().all(|n| *n == 4), "{text}");
        }
    }
}
