//! An audit worked out anew from its own measurements: whoever changes one of its numbers has to change
//! all that follow from it.

use super::{Audit, Finding, Status, decided, fires_above, fires_below, reasons};
use crate::diagnostics::depth_utility::{FrozenBaseline, depth_utility};
use crate::diagnostics::growth::largest_growth;
use crate::diagnostics::reference::CALIBRATED_BATCH;
use crate::evidence::{Evidence, Part};
use crate::number::{Number, numbers};
use crate::stats::mean;

impl Audit {
    /// The same measurements with everything that follows from them: growth from the hidden norms, the
    /// reference from its layers, depth utility and what a learned credit gains from both accuracies, the
    /// aggregate cosine, each status, the verdict and the reasons. What stands alone, such as a control, stays.
    pub fn judged_again(&self) -> Self {
        let mut again = self.clone();
        let (evidence, used) = (&self.evidence, self.thresholds.used());
        let found = &mut again.diagnostics;

        let norms: Vec<f64> = found.growth.detail.hidden_norms.iter().map(|n| n.0).collect();
        let (per_block, growth) = largest_growth(&norms);
        found.growth.detail.per_block = numbers(&per_block);
        found.growth.settle(growth, used.growth, fires_above, evidence, Part::Growth);

        let reference = &mut found.reference.detail;
        let last = reference.per_layer.last().map(|v| v.0);
        reference.at_batch_128 =
            reference.per_sample_loss.map(|v| Number(v.0 / CALIBRATED_BATCH as f64));
        found.reference.settle(last, used.reference, fires_below, evidence, Part::Reference);

        let stability = found.stability.value.map(|v| v.0);
        found.stability.settle(stability, used.stability, fires_above, evidence, Part::Stability);
        found.stability = found.stability.clone().stability();

        let detail = &found.depth_utility.detail;
        let frozen = detail.frozen_accuracy.map(|accuracy| FrozenBaseline {
            accuracy: accuracy.0,
            method: detail.frozen_method.clone().unwrap_or_default(),
            source: detail.frozen_source.clone().unwrap_or_default(),
            differs: detail.frozen_differs.clone(),
        });
        let accuracy = self.accuracy.map(|v| v.0);
        let margin = depth_utility(accuracy, frozen.as_ref(), self.run.exempt());
        let margin = margin.ok().map(|found| found.value);
        let part = Part::DepthUtility;
        found.depth_utility.settle(margin, used.depth_utility, fires_below, evidence, part);

        again.learned_credit = self
            .learned_credit
            .as_ref()
            .map(|found| found.of_accuracy(accuracy.unwrap_or(f64::NAN)));

        let positions: Vec<f64> =
            self.cosine.detail.block_positions().iter().map(|v| v.0).collect();
        let measured =
            evidence.voided(Part::Cosine).is_none() && !self.cosine.detail.per_layer.is_empty();
        again.cosine.aggregate = measured.then(|| Number(mean(&positions)));
        again.cosine.interpretable = measured && found.reference.status == Status::Passed;

        again.verdict = decided(&self.run, evidence, &again.diagnostics);
        again.reasons = reasons::reasons(&again);
        again
    }
}

impl<D> Finding<D> {
    /// Value and status anew; not evaluated without a value, or where its evidence is contradicted.
    fn settle(
        &mut self,
        value: Option<f64>,
        threshold: f64,
        fires: fn(f64, f64) -> bool,
        evidence: &Evidence,
        part: Part,
    ) {
        let value = value.filter(|_| evidence.voided(part).is_none());
        self.threshold = Number(threshold);
        self.value = value.map(Number);
        self.status = match value {
            None => Status::NotEvaluated,
            Some(value) if fires(value, threshold) => Status::Fired,
            Some(_) => Status::Passed,
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::number::Number;
    use crate::verdict::testing::{Specimen, published, with_gaps};
    use crate::verdict::{Audit, Decision, Status};

    fn line(audit: &Audit) -> String {
        serde_json::to_string(audit).unwrap()
    }

    #[test]
    fn an_audit_that_nobody_changed_is_the_same_again() {
        let mut runs = with_gaps();
        runs.push(Specimen { baseline: true, ..runs[1].clone() });
        for run in runs {
            let audit = run.audit();
            // NaN differs from itself: compare what is written.
            assert_eq!(line(&audit.judged_again()), line(&audit), "{}", run.label);
        }
    }

    #[test]
    fn what_follows_from_a_number_follows_it() {
        let audit = published().remove(2).audit();
        assert_eq!(audit.verdict, Decision::WalkedBack);
        let changed = |change: fn(&mut Audit)| {
            let mut audit = audit.clone();
            change(&mut audit);
            let again = audit.judged_again();
            assert_ne!(line(&again), line(&audit));
            again
        };
        let found = changed(|a| a.verdict = Decision::Trustworthy);
        assert_eq!(found.verdict, Decision::WalkedBack);
        let found = changed(|a| a.diagnostics.growth.status = Status::Passed);
        assert_eq!(found.diagnostics.growth.status, Status::Fired);
        let found = changed(|a| a.diagnostics.growth.value = Some(Number(2.0)));
        assert!(found.diagnostics.growth.value > Some(Number(50.0)));
        let found = changed(|a| a.cosine.detail.per_layer[0] = Number(0.9));
        assert_ne!(found.cosine.aggregate, audit.cosine.aggregate);
        let learned =
            Specimen { auxiliary_twins: Some(vec![("shuffled", 0.25)]), ..published().remove(3) };
        let mut learned = learned.audit();
        assert_eq!(line(&learned.judged_again()), line(&learned));
        learned.accuracy = Some(Number(0.5));
        let gain = learned.judged_again().learned_credit.unwrap().decisive().unwrap().gain;
        assert_eq!(gain, Number(25.0));
        let found = changed(|a| a.accuracy = Some(Number(0.99)));
        assert_eq!(found.diagnostics.depth_utility.status, Status::Passed);
        changed(|a| a.reasons[0] = a.reasons[0].replace('1', "2"));
        changed(|a| a.diagnostics.reference.detail.at_batch_128 = Some(Number(1.0)));
    }
}
