//! The normal distribution in f32, to a few roundings of the result, tails included, in code that
//! a compiler turns into vector instructions: no branch, no table, no call.

/// φ(0) = 1/√(2π)
const DENSITY_AT_ZERO: f32 = 0.398_942_3;

/// Coefficients of Σ c_k s^k = (1 + t/4) (1 − Φ(t)) e^{t²/2}, s = (4 − t)/(4 + t), on 0 ≤ t ≤ 14.5:
/// the interpolant at 400 Chebyshev nodes, fitted with weights to equal relative error (9e-9).
const TAIL: [f32; 10] = [
    0.188_821_28,
    0.151_974_15,
    0.096_784_24,
    0.046_630_9,
    0.015_100_796,
    0.001_881_142_7,
    -0.000_877_424_6,
    -0.000_392_439_06,
    4.379_072_4e-5,
    3.357_403_2e-5,
];

/// Taylor coefficients of e^r, r in ±ln 2 / 2.
const EXP: [f32; 7] = [1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0];

/// ln 2 in two parts; the first has so few bits that its multiples by −126 … 0 are exact.
const LN_2: [f32; 2] = [0.693_145_75, 1.428_606_8e-6];

/// Added and taken away again it rounds to an integer, which then stands in the last bits.
const ROUND: f32 = 12_582_912.0;

/// Under it e^v is below the least normal number, and 0 here.
const LEAST: f32 = -87.0;

#[inline(always)]
fn horner<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut sum = coefficients[N - 1];
    for k in (0..N - 1).rev() {
        sum = sum.mul_add(x, coefficients[k]);
    }
    sum
}

/// e^v of v ≤ 0; not-a-number stays so.
#[inline(always)]
pub(super) fn exp_of_negative(v: f32) -> f32 {
    let clamped = if v < LEAST { LEAST } else { v };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], clamped));
    // The integer n in the place of an exponent: the last bits of `shifted` are ROUND's plus n.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127).wrapping_shl(23));
    let value = horner(&EXP, r) * power;
    if v < LEAST { 0.0 } else { value }
}

/// Φ(x) and φ(x).
#[inline(always)]
pub(super) fn cdf_and_density(x: f32) -> (f32, f32) {
    let t = x.abs();
    let square = t * t;
    // What the square lost in rounding would cost the tail its last digits.
    let lost = t.mul_add(t, -square);
    let exp = exp_of_negative(-0.5 * square) * (-0.5f32).mul_add(lost, 1.0);
    let u = 1.0 / (4.0 + t);
    let upper = horner(&TAIL, (4.0 - t) * u) * (4.0 * u) * exp;
    // Where the square overflows, `lost` is not a number; there is nothing left above.
    let (exp, upper) = if t > 14.0 { (0.0, 0.0) } else { (exp, upper) };
    let cdf = if x < 0.0 { upper } else { 1.0 - upper };
    (if x.is_nan() { x } else { cdf }, DENSITY_AT_ZERO * exp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::function::erf::erfc;

    /// Against `statrs` in f64, at points that no fit has seen.
    #[test]
    fn phi_is_right_to_a_few_roundings_in_the_tails_too() {
        for i in -13_000..13_000 {
            let x = i as f32 * 1.0003e-3;
            let wide = f64::from(x);
            let want = 0.5 * erfc(-wide / 2f64.sqrt());
            if want < f64::from(f32::MIN_POSITIVE) {
                continue;
            }
            let (cdf, density) = cdf_and_density(x);
            assert!((f64::from(cdf) / want - 1.0).abs() < 8e-7, "Φ({x}) = {cdf}, not {want}");
            let want = (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((f64::from(density) / want - 1.0).abs() < 8e-7, "φ({x}) = {density}");
        }
    }

    #[test]
    fn what_is_not_finite_stays_what_it_is() {
        assert_eq!(cdf_and_density(f32::INFINITY), (1.0, 0.0));
        assert_eq!(cdf_and_density(f32::NEG_INFINITY), (0.0, 0.0));
        assert_eq!(cdf_and_density(-1e30), (0.0, 0.0));
        assert!(cdf_and_density(f32::NAN).0.is_nan());
        assert_eq!(exp_of_negative(f32::NEG_INFINITY), 0.0);
        assert!(exp_of_negative(f32::NAN).is_nan());
        assert_eq!(exp_of_negative(0.0), 1.0);
    }

    #[test]
    fn exp_is_right_to_a_few_roundings() {
        for i in 0..86_000 {
            let v = -1.0007e-3 * i as f32;
            let want = f64::from(v).exp();
            assert!((f64::from(exp_of_negative(v)) / want - 1.0).abs() < 3e-7, "e^{v}");
        }
    }
}
