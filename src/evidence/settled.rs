//! Have the states from which a two-phase rule reads its credit settled? Where the force on them grows
//! while they relax, the credit is that of a relaxation that diverges (protocol §14).

use super::{Checked, Part};
use crate::words::short;

const CHECK: &str = "settled states";

/// `growth` is the factor by which the force on the nudged states grew in `steps` steps of `size`.
pub fn settled(growth: f64, steps: usize, size: f64) -> Checked {
    if growth <= 1.0 {
        let share = short(growth);
        let finding = format!(
            "The force on nudged states falls to {share} of what it was within {steps} steps."
        );
        return Checked::holds(CHECK, finding);
    }
    let finding = format!(
        "Nudged states do not settle: the force on them grows {}-fold in {steps} steps of {size}. The credit is \
         that of a relaxation that diverges; a smaller ep_step_size lets it settle.",
        short(growth)
    );
    Checked::contradicted(CHECK, &[Part::Cosine], finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Standing;

    #[test]
    fn states_whose_force_grows_or_is_no_number_are_no_evidence() {
        assert_eq!(settled(0.3, 20, 0.1).standing, Standing::Holds);
        for growth in [1.5, f64::INFINITY, f64::NAN] {
            let checked = settled(growth, 20, 0.5);
            assert_eq!(checked.standing, Standing::Contradicted, "{growth}");
            assert!(checked.finding.contains("20 steps of 0.5"), "{}", checked.finding);
        }
    }
}
