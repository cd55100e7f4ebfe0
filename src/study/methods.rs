//! A study's runs, put together as seeds of one method.

use super::results::{RunResult, StudyResult};
use crate::verdict::seeds::{MethodSetting, by_setting, pool};
use crate::verdict::{Audit, MethodSummary};

/// The runs that differ in nothing but their seed.
pub struct MethodRuns<'a> {
    /// The label, with network and data where the study has it more than once.
    pub name: String,
    pub setting: MethodSetting,
    pub is_baseline: bool,
    /// At least one, in the order of the study.
    pub runs: Vec<&'a RunResult>,
}

/// The methods of a study, in the order of their first runs.
pub fn methods(study: &StudyResult) -> Vec<MethodRuns<'_>> {
    let groups = by_setting(&study.runs, |run| setting(run));
    let named = |setting: &MethodSetting| {
        let MethodSetting { label, arch, dataset, data_source, .. } = setting;
        match groups.iter().filter(|(other, _)| other.label == *label).count() {
            1 => label.clone(),
            _ => format!("{label} ({arch}, {dataset} {data_source})"),
        }
    };
    let names: Vec<String> = groups.iter().map(|(setting, _)| named(setting)).collect();
    let methods = groups.into_iter().zip(names);
    methods
        .map(|((setting, runs), name)| MethodRuns {
            name,
            setting,
            is_baseline: runs[0].record.config.is_baseline(),
            runs,
        })
        .collect()
}

/// As the audit of the run has it, and there for runs without one.
pub fn setting(run: &RunResult) -> MethodSetting {
    let config = &run.record.config;
    MethodSetting {
        label: config.label(),
        arch: config.arch.to_string(),
        dataset: config.dataset.name().into(),
        data_source: run.record.provenance.data.source.name().into(),
        epochs: Some(config.epochs as u64),
    }
}

impl<'a> MethodRuns<'a> {
    /// Those of the runs that were audited.
    pub fn audited(&self) -> impl Iterator<Item = (&'a RunResult, &'a Audit)> {
        self.runs.iter().filter_map(|run| Some((*run, run.audit.as_ref()?)))
    }

    /// What the audits say together; `None` without one.
    pub fn summary(&self) -> Option<MethodSummary> {
        let audits: Vec<&Audit> = self.audited().map(|(_, audit)| audit).collect();
        (!audits.is_empty()).then(|| pool(self.setting.clone(), &audits))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sketch, study};
    use super::*;
    use crate::config::{Arch, Method};

    #[test]
    fn seeds_are_put_together_and_what_differs_is_kept_apart_and_named() {
        let dfa = |seed| Sketch::new(Method::Dfa, seed, &[(0.3, 2.0, 1e-4)]);
        let mut longer = dfa(1);
        longer.config.epochs = 9;
        let mut vit = Sketch::new(Method::Bp, 1, &[(0.3, 2.0, 1e-4)]);
        let bp = vit.clone();
        vit.config.arch = Arch::VitMini;
        vit.config.width = 128;
        let study = study(&[dfa(1), longer, dfa(2), bp, vit]);
        let found: Vec<_> =
            methods(&study).iter().map(|m| (m.name.clone(), m.runs.len())).collect();
        let want = [
            ("dfa E=1", 2),
            ("dfa E=9", 1),
            ("bp (resmlp, cifar10 copy)", 1),
            ("bp (vit-mini, cifar10 copy)", 1),
        ];
        assert_eq!(found, want.map(|(name, n)| (name.to_string(), n)));
    }

    #[test]
    fn the_methods_of_a_study_are_those_of_its_audits() {
        let runs = [1, 2].map(|seed| Sketch::new(Method::Dfa, seed, &[(0.3, 60.0, 1e-9)]));
        let study = study(&runs);
        let audits = study.runs.iter().map(|run| run.audit.as_ref().unwrap());
        let told = crate::verdict::summarise(audits);
        assert_eq!(methods(&study)[0].summary().as_ref(), Some(&told[0]));
    }
}
