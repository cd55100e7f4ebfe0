//! Linear least squares by Householder reflections: min ‖X M − Y‖_F.
//!
//! Golub & Van Loan, Matrix Computations, §5.3. The checks ask for the residual, for the coefficients
//! and for how well X determines them; a normal equation would lose half of the digits of the last.

/// A column that the ones before it explain to this share of its length adds nothing but rounding.
const DEPENDENT: f64 = 1e-12;

/// Columns of one length.
pub type Columns = Vec<Vec<f64>>;

/// The solution for p columns of X and q of Y.
pub struct LeastSquares {
    /// q lists of p coefficients; 0 for a column that depends on earlier ones.
    pub coefficients: Columns,
    /// ‖Y_j − X M_j‖² of each column of Y.
    pub residuals: Vec<f64>,
    /// Independent columns of X.
    pub rank: usize,
    /// tr((XᵀX)⁻¹), by which noise in Y reaches the coefficients; infinite unless all columns are
    /// independent.
    pub spread: f64,
}

/// Solves for the columns of `y`, in the room of `x` and `y`.
pub fn solve(mut x: Columns, mut y: Columns) -> LeastSquares {
    let columns = x.len();
    let (kept, diagonal) = triangle(&mut x, &mut y);
    let rank = kept.len();
    // R[i, j] of the kept columns.
    let r = |i: usize, j: usize| if i == j { diagonal[j] } else { x[kept[j]][i] };
    let back = |right: &[f64]| {
        let mut solution = vec![0.0; rank];
        for i in (0..rank).rev() {
            let known: f64 = (i + 1..rank).map(|j| r(i, j) * solution[j]).sum();
            solution[i] = (right[i] - known) / diagonal[i];
        }
        solution
    };
    let coefficients = y.iter().map(|target| {
        let mut all = vec![0.0; columns];
        for (&column, value) in kept.iter().zip(back(target)) {
            all[column] = value;
        }
        all
    });
    let residuals = y.iter().map(|target| dot(&target[rank..], &target[rank..])).collect();
    let spread = match rank == columns {
        true => inverse_square(rank, r),
        false => f64::INFINITY,
    };
    LeastSquares { coefficients: coefficients.collect(), residuals, rank, spread }
}

/// Turns `x` into R, of which each kept column holds what stands above its diagonal, and `y` along
/// with it. Which columns are independent, and the diagonal.
fn triangle(x: &mut Columns, y: &mut Columns) -> (Vec<usize>, Vec<f64>) {
    let rows = x.first().or(y.first()).map_or(0, Vec::len);
    let lengths: Vec<f64> = x.iter().map(|column| dot(column, column).sqrt()).collect();
    let (mut kept, mut diagonal) = (Vec::new(), Vec::new());
    for j in 0..x.len() {
        let top = kept.len();
        if top == rows {
            break;
        }
        let (before, after) = x.split_at_mut(j + 1);
        let column = &mut before[j][top..];
        let length = dot(column, column).sqrt();
        if length <= DEPENDENT * lengths[j] || length == 0.0 {
            continue;
        }
        let head = if column[0] > 0.0 { -length } else { length };
        column[0] -= head;
        let scale = 2.0 / dot(column, column);
        for other in after.iter_mut().chain(y.iter_mut()) {
            let other = &mut other[top..];
            let along = scale * dot(column, other);
            for (value, direction) in other.iter_mut().zip(column.iter()) {
                *value -= along * direction;
            }
        }
        kept.push(j);
        diagonal.push(head);
    }
    (kept, diagonal)
}

/// ‖R⁻¹‖_F²
fn inverse_square(rank: usize, r: impl Fn(usize, usize) -> f64) -> f64 {
    let mut total = 0.0;
    for k in 0..rank {
        // Column k of the inverse.
        let mut column = vec![0.0; k + 1];
        for i in (0..=k).rev() {
            let known: f64 = (i + 1..=k).map(|j| r(i, j) * column[j]).sum();
            column[i] = (f64::from(u8::from(i == k)) - known) / r(i, i);
        }
        total += dot(&column, &column);
    }
    total
}

/// ⟨a, b⟩ in eight sums, which the processor can form side by side.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (heads, others) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = heads.remainder().iter().zip(others.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in heads.zip(others) {
        for lane in 0..LANES {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::testing::rng;
    use rand::RngExt;

    fn random(rng: &mut impl RngExt, rows: usize, columns: usize) -> Columns {
        let column = |_| (0..rows).map(|_| rng.random_range(-1.0..1.0)).collect();
        (0..columns).map(column).collect()
    }

    #[test]
    fn what_is_linear_is_fitted_to_rounding_and_its_coefficients_come_back() {
        let mut rng = rng(1);
        for (rows, columns, targets) in [(5, 5, 1), (40, 7, 3), (200, 31, 4)] {
            let (x, truth) = (random(&mut rng, rows, columns), random(&mut rng, columns, targets));
            let image = |m: &Vec<f64>| {
                (0..rows).map(|i| (0..columns).map(|j| x[j][i] * m[j]).sum()).collect()
            };
            let found = solve(x.clone(), truth.iter().map(image).collect());
            assert_eq!(found.rank, columns);
            for (found, truth) in found.coefficients.iter().flatten().zip(truth.iter().flatten()) {
                assert!((found - truth).abs() < 1e-10, "{rows} x {columns}");
            }
            assert!(found.residuals.iter().all(|r| *r < 1e-24), "{:?}", found.residuals);
        }
    }

    #[test]
    fn the_residual_is_orthogonal_to_every_column() {
        let mut rng = rng(2);
        let (x, y) = (random(&mut rng, 60, 9), random(&mut rng, 60, 2));
        let found = solve(x.clone(), y.clone());
        for (j, m) in found.coefficients.iter().enumerate() {
            let left: Vec<f64> =
                (0..60).map(|i| y[j][i] - (0..9).map(|k| x[k][i] * m[k]).sum::<f64>()).collect();
            assert!(x.iter().all(|column| dot(column, &left).abs() < 1e-12));
            assert!((dot(&left, &left) - found.residuals[j]).abs() < 1e-12);
        }
    }

    /// Of a line through points: tr((XᵀX)⁻¹) by hand is 1/n + (x̄² + 1)/Σ(x − x̄)² for [1, x].
    #[test]
    fn the_spread_is_the_trace_of_the_inverse() {
        let x = vec![vec![1.0; 4], vec![1.0, 2.0, 3.0, 6.0]];
        let found = solve(x, vec![vec![0.0; 4]]);
        assert!((found.spread - (0.25 + 10.0 / 14.0)).abs() < 1e-12, "{}", found.spread);
    }

    #[test]
    fn a_dependent_column_is_left_out_and_nothing_is_lost() {
        let mut rng = rng(3);
        let mut x = random(&mut rng, 30, 3);
        let sum = (0..30).map(|i| x[0][i] - 2.0 * x[1][i]).collect();
        x.insert(2, sum);
        x.push(vec![0.0; 30]);
        let target: Vec<f64> = (0..30).map(|i| x[0][i] + x[3][i]).collect();
        let found = solve(x, vec![target]);
        assert_eq!((found.rank, found.spread), (3, f64::INFINITY));
        assert!(found.residuals[0] < 1e-24);
        assert_eq!((found.coefficients[0][2], found.coefficients[0][4]), (0.0, 0.0));
    }

    #[test]
    fn more_columns_than_rows_and_no_rows_are_no_accident() {
        let found = solve(random(&mut rng(4), 3, 5), vec![vec![1.0, 2.0, 3.0]]);
        assert_eq!(found.rank, 3);
        assert!(found.residuals[0] == 0.0);
        assert_eq!(solve(vec![Vec::new()], vec![Vec::new()]).residuals, [0.0]);
    }

    #[test]
    fn eight_sums_are_one() {
        let mut rng = rng(5);
        for length in 0..40 {
            let (a, b) = (random(&mut rng, length, 1), random(&mut rng, length, 1));
            let plain: f64 = a[0].iter().zip(&b[0]).map(|(x, y)| x * y).sum();
            assert!((dot(&a[0], &b[0]) - plain).abs() < 1e-14);
        }
    }
}
