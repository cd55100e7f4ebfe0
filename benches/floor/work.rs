//! What one training step has to compute: its matrix products, its elementwise operations and the
//! bytes that its optimiser has to move.

use crate::common::Net;
use fa_audit::config::{Config, Method};
use fa_audit::data::PIXELS;

/// Which operand of a row-major product is stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// y = x W
    Forward,
    /// dW = xᵀ dy
    Weight,
    /// dx = dy Wᵀ
    Input,
}

/// `count` products [m, k] · [k, n].
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub role: Role,
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub count: usize,
}

impl Product {
    /// A multiplication and an addition each.
    pub fn flops(&self) -> f64 {
        2.0 * (self.m * self.k * self.n * self.count) as f64
    }
}

/// Operations of one element: mean 1, variance 3, scale and shift 4; backward two sums of two and
/// the combination of three terms, 10.
const LAYER_NORM: (f64, f64) = (8.0, 10.0);
/// erf as a rational function of degree about 8, twice a product; backward the density as well.
const GELU: (f64, f64) = (20.0, 20.0);
/// exp as a polynomial of degree about 6, maximum, sum, division; backward a product and a sum.
const SOFTMAX: (f64, f64) = (10.0, 4.0);
/// Two moments (3 + 4), their corrections (2), root, division, decay and step (6).
const ADAMW: f64 = 15.0;

/// The work of one step.
pub struct Work {
    pub products: Vec<Product>,
    /// Operations outside matrix products.
    pub elementwise: f64,
    /// Bytes of AdamW, the fewest: a parameter and its two moments are read and written, its
    /// gradient is written by the backward pass and read once.
    pub optimizer_bytes: f64,
}

impl Work {
    pub fn flops(&self) -> f64 {
        self.elementwise + self.products.iter().map(Product::flops).sum::<f64>()
    }
}

/// The sizes that the formulas speak of.
struct Sizes {
    /// N
    batch: usize,
    /// d
    width: usize,
    /// L
    blocks: usize,
    /// C
    classes: usize,
    method: Method,
}

/// The work of one step of `config` on a network with `parameters` parameters. Products are those
/// of dense matrices, as both fa-audit and PyTorch form them; none that no gradient needs:
///
/// - nothing differentiates the images;
/// - a local rule differentiates no block's input. The gradient of a LayerNorm's γ under a Linear
///   needs none either: it is the row sums of W ∘ (dW − β dbᵀ) / γ, of that Linear's dW and db.
pub fn work(net: Net, config: &Config, classes: usize, parameters: usize) -> Work {
    let sizes = Sizes {
        batch: config.batch_size,
        width: config.width,
        blocks: config.blocks(),
        classes,
        method: config.method,
    };
    let (mut products, elementwise) = match net {
        Net::ResMlp256x4 | Net::ResMlp512x12 => resmlp(&sizes),
        Net::VitMini => vit_mini(&sizes, config),
    };
    products.extend(readout(&sizes));
    products.extend(credit(&sizes));
    Work {
        products,
        elementwise: elementwise + ADAMW * parameters as f64,
        optimizer_bytes: 8.0 * 4.0 * parameters as f64,
    }
}

fn product(role: Role, m: usize, k: usize, n: usize, count: usize) -> Product {
    Product { role, m, k, n, count }
}

/// The head, and its input's gradient where a rule needs it.
fn readout(s: &Sizes) -> Vec<Product> {
    let (n, d, c) = (s.batch, s.width, s.classes);
    let mut products = vec![product(Role::Forward, n, d, c, 1), product(Role::Weight, d, n, c, 1)];
    if s.method != Method::Dfa {
        products.push(product(Role::Input, n, c, d, 1));
    }
    products
}

/// The credits a_0 … a_{L−1}.
fn credit(s: &Sizes) -> Option<Product> {
    let (n, d, l) = (s.batch, s.width, s.blocks);
    match s.method {
        Method::Fa => Some(product(Role::Input, n, d, d, l - 1)),
        Method::Dfa => Some(product(Role::Input, n, s.classes, d, l)),
        _ => None,
    }
}

/// Forward: E (2 N P d), W1 and W2 of each block (2 · 2 N d²). Backward: as many for the weights,
/// and for inputs W2's (2 N d²) under every rule, W1's (2 N d²) under backpropagation alone.
fn resmlp(s: &Sizes) -> (Vec<Product>, f64) {
    let (n, d, l) = (s.batch, s.width, s.blocks);
    let inputs = if s.method == Method::Bp { 2 * l } else { l };
    let products = vec![
        product(Role::Forward, n, PIXELS, d, 1),
        product(Role::Forward, n, d, d, 2 * l),
        product(Role::Weight, PIXELS, n, d, 1),
        product(Role::Weight, d, n, d, 2 * l),
        product(Role::Input, n, d, d, inputs),
    ];
    let hidden = (n * d) as f64;
    let norms = LAYER_NORM.0 + LAYER_NORM.1;
    let gelu = GELU.0 + GELU.1;
    (products, hidden * ((l + 1) as f64 * norms + l as f64 * gelu))
}

/// As [`resmlp`], on M = N · T tokens: patches; query, key, value and output (4 · 2 M d²); scores and
/// mixing, 2 · 2 M T d forward and twice that backward; the MLP (2 · 2 M d · r d). Backpropagation
/// alone differentiates the input of query, key and value.
fn vit_mini(s: &Sizes, config: &Config) -> (Vec<Product>, f64) {
    let (n, d, l) = (s.batch, s.width, s.blocks);
    let pixels = 3 * config.patch * config.patch;
    let patches = n * (PIXELS / pixels);
    let tokens = PIXELS / pixels + 1;
    let (m, inner, head) = (n * tokens, d * config.mlp_ratio, d / config.heads);
    let heads = l * n * config.heads;
    let projections = if s.method == Method::Bp { 4 } else { 1 };
    let products = vec![
        product(Role::Forward, patches, pixels, d, 1),
        product(Role::Weight, pixels, patches, d, 1),
        product(Role::Forward, m, d, d, 4 * l),
        product(Role::Weight, d, m, d, 4 * l),
        product(Role::Input, m, d, d, projections * l),
        // Q Kᵀ and P V; then dP = dO Vᵀ, dV = Pᵀ dO, dQ = dS K, dK = dSᵀ Q.
        product(Role::Input, tokens, head, tokens, 2 * heads),
        product(Role::Forward, tokens, tokens, head, 2 * heads),
        product(Role::Weight, tokens, tokens, head, 2 * heads),
        product(Role::Forward, m, d, inner, l),
        product(Role::Forward, m, inner, d, l),
        product(Role::Weight, d, m, inner, l),
        product(Role::Weight, inner, m, d, l),
        product(Role::Input, m, inner, d, l),
        product(Role::Input, m, d, inner, l),
    ];
    let norms = 2.0 * (m * d) as f64 * (LAYER_NORM.0 + LAYER_NORM.1);
    let gelu = (m * inner) as f64 * (GELU.0 + GELU.1);
    let softmax = (n * config.heads * tokens * tokens) as f64 * (SOFTMAX.0 + SOFTMAX.1);
    (products, l as f64 * (norms + gelu + softmax))
}

/// What DFA's structure allows beyond [`work`], where no penalty is added to the credit, and what the
/// residual MLP's step does: ã_l = diag(s) e B_lᵀ has rank C and is the same for every token, so that
/// products with it can be done with e first: dW = (xᵀ diag(s) e) B_lᵀ and
/// ã W₂ᵀ = diag(s) e (W₂ B_l)ᵀ.
pub fn low_rank(net: Net, config: &Config, classes: usize, parameters: usize) -> Work {
    let dense = work(net, config, classes, parameters);
    let (n, d, l) = (config.batch_size, config.width, config.blocks());
    let (pixels, inner, rows) = match net {
        Net::VitMini => {
            let pixels = 3 * config.patch * config.patch;
            let tokens = PIXELS / pixels;
            (pixels, d * config.mlp_ratio, (n * tokens, n * (tokens + 1)))
        }
        _ => (PIXELS, d, (n, n)),
    };
    let mut left = dense.products;
    let mut replace = |role, m, k, n_, count, by: [(usize, usize, usize); 2]| {
        let same =
            |p: &&mut Product| p.role == role && (p.m, p.k, p.n) == (m, k, n_) && p.count >= count;
        if let Some(found) = left.iter_mut().find(same) {
            found.count -= count;
            left.extend(by.map(|(m, k, n)| product(Role::Forward, m, k, n, count)));
        }
    };
    replace(Role::Weight, pixels, rows.0, d, 1, [(pixels, n, classes), (pixels, classes, d)]);
    replace(Role::Weight, inner, rows.1, d, l, [(inner, n, classes), (inner, classes, d)]);
    replace(Role::Input, rows.1, d, inner, l, [(inner, d, classes), (n, classes, inner)]);
    left.retain(|p| p.count > 0);
    Work { products: left, ..dense }
}
