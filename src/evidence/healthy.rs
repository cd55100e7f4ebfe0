//! Healthy recordings for the tests: small residual networks, whose states, gradients and credits are
//! computed here from the definitions and rounded step by step as a program in f32 would.

use super::Statement;
use super::proof::Proof;
use crate::diagnostics::direct_null;
use crate::diagnostics::testing::rng;
use crate::trace::{BatchTrace, LayerTrace, LossReduction, Matrix};
use half::{bf16, f16};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    Bp,
    Dfa,
    /// DFA gated by the slope of tanh: no fixed matrix.
    Gated,
    /// Block by block.
    Fa,
    /// The exact gradient up to a ten-thousandth.
    Ep,
    /// The target alone.
    Drtp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Store {
    F32,
    F16,
    Bf16,
}

/// What network, and what is recorded of it.
#[derive(Clone, Debug)]
pub struct Shape {
    pub width: usize,
    pub blocks: usize,
    pub classes: usize,
    /// Samples of each batch.
    pub batches: Vec<usize>,
    /// LayerNorm before the head.
    pub norm: bool,
    pub rule: Rule,
    pub reduction: LossReduction,
    pub store: Store,
    /// Of the states.
    pub scale: f64,
    /// How far the logits lie apart.
    pub confidence: f64,
    /// Whether two classes have the same logits.
    pub deficient: bool,
}

/// A recording, and the branches that lie between its states.
pub struct Healthy {
    pub trace: LayerTrace,
    pub said: Statement,
    /// f_0 … f_{L−1} of each batch.
    pub branches: Vec<Vec<Matrix>>,
}

impl Shape {
    /// A network of usual kind under `rule`.
    pub fn usual(rule: Rule) -> Self {
        Self {
            width: 12,
            blocks: 4,
            classes: 5,
            batches: vec![24; 8],
            norm: true,
            rule,
            reduction: LossReduction::Mean,
            store: Store::F32,
            scale: 3.0,
            confidence: 1.5,
            deficient: false,
        }
    }

    /// Any network.
    pub fn random(seed: u64) -> Self {
        let mut rng = rng(7000 + seed);
        let rng = &mut rng;
        let rules = [Rule::Bp, Rule::Dfa, Rule::Gated, Rule::Fa, Rule::Ep, Rule::Drtp];
        let whole = rng.random_range(2..40);
        let batches = match rng.random_range(0..4) {
            0 => (0..rng.random_range(2..9)).map(|_| rng.random_range(2..40)).collect(),
            _ => vec![whole; rng.random_range(1..11)],
        };
        let store = match rng.random_range(0..6) {
            0 => Store::Bf16,
            1 => Store::F16,
            _ => Store::F32,
        };
        let scale = match (rng.random_range(0..4), store) {
            (0, Store::F32) => 10f64.powi(rng.random_range(-6..9)),
            (1, Store::F32) => 1e8,
            _ => rng.random_range(0.5..8.0),
        };
        let confidence = match rng.random_range(0..4) {
            0 => rng.random_range(8.0..60.0),
            1 => 0.05,
            _ => rng.random_range(0.3..4.0),
        };
        Self {
            width: rng.random_range(3..28),
            blocks: rng.random_range(0..6),
            classes: rng.random_range(2..11),
            batches,
            norm: rng.random_range(0..2) == 0,
            rule: rules[rng.random_range(0..rules.len())],
            reduction: [LossReduction::Mean, LossReduction::Sum][rng.random_range(0..2)],
            store,
            scale,
            confidence,
            deficient: rng.random_range(0..6) == 0,
        }
    }

    /// Its recording.
    pub fn record(&self, seed: u64) -> Healthy {
        let mut rng = rng(seed);
        let net = Net::new(self, &mut rng);
        let inputs: Vec<(Vec<f64>, u32)> =
            (0..self.batches.iter().sum::<usize>() + 300).map(|_| net.sample(&mut rng)).collect();
        let mut left = inputs.as_slice();
        let (mut batches, mut branches) = (Vec::new(), Vec::new());
        for &rows in &self.batches {
            let (here, rest) = left.split_at(rows);
            left = rest;
            let (batch, between) = net.batch(here, &mut rng);
            batches.push(batch);
            branches.push(between);
        }
        // The whole test set, of which the batches are the first samples.
        let right = inputs.iter().filter(|(x, y)| {
            let logits = net.logits(net.states(x).last().expect("h_0"));
            (0..self.classes).all(|c| c == *y as usize || logits[c] < logits[*y as usize])
        });
        let accuracy = right.count() as f64 / inputs.len() as f64;
        let reduction = self.reduction;
        let trace = LayerTrace {
            loss_reduction: Some(reduction),
            credit_trains: None,
            tokens: "single".into(),
            batches: batches.into_iter().map(|b| self.stored(b)).collect(),
        };
        let method = match self.rule {
            Rule::Bp => "bp",
            Rule::Dfa | Rule::Gated => "dfa",
            Rule::Fa => "fa",
            Rule::Ep => "ep",
            Rule::Drtp => "drtp",
        };
        let said = Statement {
            method: method.into(),
            accuracy: Some(accuracy),
            epoch: Some(30),
            proof: Proof::None,
            ..Statement::default()
        };
        Healthy { trace, said, branches }
    }

    /// In the precision of the file.
    fn stored(&self, batch: BatchTrace) -> BatchTrace {
        let round = |m: Matrix| -> Matrix {
            let values = m.iter_rows().flatten().map(|&v| match self.store {
                Store::F32 => v,
                Store::F16 => f16::from_f64(v).to_f64(),
                Store::Bf16 => bf16::from_f64(v).to_f64(),
            });
            Matrix::new(m.rows(), m.cols(), values.collect())
        };
        let all = |layers: Vec<Matrix>| layers.into_iter().map(round).collect();
        BatchTrace {
            hidden: all(batch.hidden),
            gradient: batch.gradient.map(all),
            credit: batch.credit.map(all),
            logits: batch.logits.map(round),
            labels: batch.labels,
        }
    }
}

type Rows = Vec<Vec<f64>>;

struct Net<'a> {
    shape: &'a Shape,
    centres: Rows,
    embed: Rows,
    /// U and V of each block: f(h) = s V tanh(U h/s), s the scale of the states.
    blocks: Vec<(Rows, Rows)>,
    head: Rows,
    bias: Vec<f64>,
    /// B_l: [d][C] under DFA, [d][d] block by block.
    feedback: Vec<Rows>,
}

const INPUTS: usize = 9;

fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

fn normal(rng: &mut ChaCha8Rng, rows: usize, cols: usize, scale: f64) -> Rows {
    let mut entry = || -> f64 { scale * Distribution::<f64>::sample(&StandardNormal, &mut *rng) };
    (0..rows).map(|_| (0..cols).map(|_| single(entry())).collect()).collect()
}

fn times(m: &Rows, v: &[f64]) -> Vec<f64> {
    m.iter().map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
}

fn transposed(m: &Rows, v: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; m[0].len()];
    for (row, v) in m.iter().zip(v) {
        sum.iter_mut().zip(row).for_each(|(s, m)| *s += v * m);
    }
    sum
}

impl<'a> Net<'a> {
    fn new(shape: &'a Shape, rng: &mut ChaCha8Rng) -> Self {
        let Shape { width, classes, scale, .. } = *shape;
        let centres = normal(rng, classes, INPUTS, 1.0);
        let embed = normal(rng, width, INPUTS, scale / (INPUTS as f64).sqrt());
        let wide = 1.0 / (width as f64).sqrt();
        let blocks = (0..shape.blocks)
            .map(|_| (normal(rng, width, width, wide), normal(rng, width, width, wide)))
            .collect();
        let columns = if shape.rule == Rule::Fa { width } else { classes };
        let feedback = (0..shape.blocks.max(1)).map(|_| normal(rng, width, columns, 0.4)).collect();
        let mut net =
            Self { shape, centres, embed, blocks, head: Vec::new(), bias: Vec::new(), feedback };
        // A head that tells the classes apart, as a trained one does.
        let middles: Rows = (0..classes)
            .map(|c| {
                let h = net.states(&net.centres[c]).pop().expect("h_0");
                net.normed(&h).0
            })
            .collect();
        let size = if shape.norm { 1.0 } else { scale };
        let lift = shape.confidence / (size * size * (width as f64).sqrt());
        let noise = normal(rng, classes, width, 0.1 * size);
        net.head = middles
            .iter()
            .zip(noise)
            .map(|(m, n)| m.iter().zip(n).map(|(m, n)| single(lift * (m + n))).collect())
            .collect();
        net.bias = normal(rng, 1, classes, 0.3).remove(0);
        if shape.deficient {
            net.head[1] = net.head[0].clone();
            net.bias[1] = net.bias[0];
        }
        net
    }

    fn sample(&self, rng: &mut ChaCha8Rng) -> (Vec<f64>, u32) {
        let class = rng.random_range(0..self.shape.classes);
        let noise = normal(rng, 1, INPUTS, 1.0).remove(0);
        let x = self.centres[class].iter().zip(noise).map(|(c, n)| single(c + n)).collect();
        (x, class as u32)
    }

    fn gate(&self, l: usize, h: &[f64]) -> Vec<f64> {
        let inner: Vec<f64> = h.iter().map(|v| v / self.shape.scale).collect();
        times(&self.blocks[l].0, &inner).iter().map(|v| v.tanh()).collect()
    }

    fn branch(&self, l: usize, h: &[f64]) -> Vec<f64> {
        let out = times(&self.blocks[l].1, &self.gate(l, h));
        out.iter().map(|v| single(v * self.shape.scale)).collect()
    }

    fn states(&self, x: &[f64]) -> Rows {
        let mut states: Rows = vec![times(&self.embed, x).into_iter().map(single).collect()];
        for l in 0..self.shape.blocks {
            let h = &states[l];
            let sum = h.iter().zip(self.branch(l, h)).map(|(h, f)| single(h + f)).collect();
            states.push(sum);
        }
        states
    }

    /// What the head's weights see, and what it was divided by.
    fn normed(&self, h: &[f64]) -> (Vec<f64>, f64) {
        if !self.shape.norm {
            return (h.to_vec(), 1.0);
        }
        let d = h.len() as f64;
        let mean = h.iter().sum::<f64>() / d;
        let scale = (h.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / d + 1e-5).sqrt();
        (h.iter().map(|v| (v - mean) / scale).collect(), scale)
    }

    fn logits(&self, h: &[f64]) -> Vec<f64> {
        let out = times(&self.head, &self.normed(h).0);
        out.iter().zip(&self.bias).map(|(z, b)| single(z + b)).collect()
    }

    /// g_L of an error.
    fn top(&self, h: &[f64], e: &[f64]) -> Vec<f64> {
        let mut v = transposed(&self.head, e);
        if self.shape.norm {
            let d = v.len() as f64;
            let (n, scale) = self.normed(h);
            let mean = v.iter().sum::<f64>() / d;
            let along = n.iter().zip(&v).map(|(n, v)| n * v).sum::<f64>() / d;
            v.iter_mut().zip(n).for_each(|(v, n)| *v = (*v - mean - n * along) / scale);
        }
        v.into_iter().map(single).collect()
    }

    /// g_l of g_{l+1}.
    fn below(&self, l: usize, h: &[f64], g: &[f64]) -> Vec<f64> {
        let (u, v) = &self.blocks[l];
        let inner: Vec<f64> =
            transposed(v, g).iter().zip(self.gate(l, h)).map(|(g, t)| g * (1.0 - t * t)).collect();
        transposed(u, &inner).iter().zip(g).map(|(a, b)| single(a + b)).collect()
    }

    fn batch(
        &self,
        samples: &[(Vec<f64>, u32)],
        rng: &mut ChaCha8Rng,
    ) -> (BatchTrace, Vec<Matrix>) {
        let (blocks, rows) = (self.shape.blocks, samples.len());
        let (mut hidden, mut gradient, mut credit, mut branches, mut logits) = (
            vec![Vec::new(); blocks + 1],
            vec![Vec::new(); blocks + 1],
            vec![Vec::new(); blocks + 1],
            vec![Vec::new(); blocks],
            Vec::new(),
        );
        for (x, y) in samples {
            let states = self.states(x);
            let z = self.logits(&states[blocks]);
            let e = direct_null::error(&Matrix::new(1, z.len(), z.clone()), &[*y]);
            // Probabilities are rounded before the target is taken off: of a sample that is nearly fitted
            // little more than rounding is left.
            let rounded = |(c, e): (usize, &f64)| {
                let target = f64::from(u8::from(c == *y as usize));
                single(single(e + target) - target)
            };
            let e: Vec<f64> = e.row(0).iter().enumerate().map(rounded).collect();
            let share = match self.shape.reduction {
                LossReduction::Mean => 1.0 / rows as f64,
                LossReduction::Sum => 1.0,
            };
            let shared: Vec<f64> = e.iter().map(|v| v * share).collect();
            let mut g = vec![self.top(&states[blocks], &shared)];
            for l in (0..blocks).rev() {
                let below = self.below(l, &states[l], &g[0]);
                g.insert(0, below);
            }
            let a = self.credit(&states, &g, &e, *y, rng);
            for l in 0..=blocks {
                hidden[l].extend(&states[l]);
                gradient[l].extend(&g[l]);
                credit[l].extend(&a[l]);
            }
            for (l, branch) in branches.iter_mut().enumerate() {
                branch.extend(self.branch(l, &states[l]));
            }
            logits.extend(z);
        }
        let matrices = |layers: Vec<Vec<f64>>| -> Vec<Matrix> {
            let matrix = |values| Matrix::new(rows, self.shape.width, values);
            layers.into_iter().map(matrix).collect()
        };
        let batch = BatchTrace {
            hidden: matrices(hidden),
            gradient: Some(matrices(gradient)),
            credit: Some(matrices(credit)),
            logits: Some(Matrix::new(rows, self.shape.classes, logits)),
            labels: Some(samples.iter().map(|(_, y)| *y).collect()),
        };
        (batch, matrices(branches))
    }

    fn credit(&self, states: &Rows, g: &Rows, e: &[f64], y: u32, rng: &mut ChaCha8Rng) -> Rows {
        let blocks = self.shape.blocks;
        let direct = |of: &[f64], l: usize| -> Vec<f64> {
            times(&self.feedback[l.min(self.feedback.len() - 1)], of)
        };
        let a: Rows = match self.shape.rule {
            Rule::Bp => g.clone(),
            Rule::Dfa => (0..=blocks).map(|l| direct(e, l)).collect(),
            Rule::Gated => (0..=blocks)
                .map(|l| {
                    let gate =
                        states[l].iter().map(|v| 1.0 - (v / self.shape.scale).tanh().powi(2));
                    direct(e, l).iter().zip(gate).map(|(a, gate)| a * gate).collect()
                })
                .collect(),
            Rule::Fa => {
                let mut a = vec![g[blocks].clone()];
                if blocks > 0 {
                    a.insert(0, g[blocks].clone());
                }
                for l in (0..blocks.saturating_sub(1)).rev() {
                    let above = a[0].clone();
                    a.insert(0, times(&self.feedback[l], &above));
                }
                a
            }
            Rule::Ep => g
                .iter()
                .map(|g| {
                    let noise = normal(rng, 1, g.len(), 1e-2).remove(0);
                    let size =
                        g.iter().map(|v| v * v).sum::<f64>().sqrt() / (g.len() as f64).sqrt();
                    g.iter().zip(noise).map(|(g, n)| g + size * n).collect()
                })
                .collect(),
            Rule::Drtp => {
                let mut target = vec![0.0; self.shape.classes];
                target[y as usize] = 1.0;
                (0..=blocks).map(|l| direct(&target, l)).collect()
            }
        };
        a.into_iter().map(|a| a.into_iter().map(single).collect()).collect()
    }
}
