//! The gradients of one batch: one forward pass and one backward pass for every rule.
//!
//! A local rule cuts the forward pass at every block. The readout is differentiated first, because
//! rules may look at its gradient; then all local losses together. The two graphs are disjoint, so
//! each operation is run backward once. Backpropagation alone has no cuts.
//!
//! The map W in which a block ends meets a credit that the tokens of a sample share, so that
//! ∂W = (Σ_t x_t)ᵀ ã needs one row a sample; and where ã = diag(s) e Bᵀ, it gets the two factors:
//! (xᵀ diag(s) e) Bᵀ is an eighth of the work of xᵀ ã in the published residual MLP.

use crate::backend::{Affine, Differentiable, Kernels, Shared, differentiating};
use crate::config::{Config, CreditTokens, EmbedSignal};
use crate::credit::{Credit, Feedback, Known, Normaliser, Rule};
use crate::model::{Ending, Network, error, gradients, mean_cross_entropy, outline};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};
use std::collections::BTreeMap;

/// Gradients by parameter name, each flattened to one dimension.
pub type Gradients<B> = BTreeMap<String, Tensor<<B as AutodiffBackend>::InnerBackend, 1>>;

/// What a step depends on beside network, rule and batch.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    pub normaliser: Normaliser,
    /// λ
    pub penalty: f64,
    pub credit_tokens: CreditTokens,
    pub embed_signal: EmbedSignal,
}

impl StepOptions {
    /// The options that `config` asks for.
    pub fn of(config: &Config) -> Self {
        Self {
            normaliser: Normaliser::of(config),
            penalty: config.penalty,
            credit_tokens: match outline(config).has_tokens {
                true => config.credit_tokens,
                // The one that is there.
                false => CreditTokens::All,
            },
            embed_signal: config.embed_signal,
        }
    }
}

/// What one batch gives.
pub struct Step<B: Differentiable> {
    /// Mean cross-entropy, without penalty: [1].
    pub loss: Tensor<B::InnerBackend, 1>,
    /// [N, classes]
    pub logits: Tensor<B::InnerBackend, 2>,
    pub gradients: Gradients<B>,
}

/// The gradients that `rule` gives the parameters of `net` on one batch: images [N, 3072], labels
/// [N]. Parameters that do not require a gradient have none.
pub fn step<B: Differentiable, N: Network<B>>(
    net: &N,
    rule: &Rule<B::InnerBackend>,
    images: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    options: &StepOptions,
) -> Step<B> {
    let _turn = differentiating();
    match rule {
        Rule::Bp => backpropagation(net, images, labels, options),
        _ => local(net, rule, images, labels, options),
    }
}

fn backpropagation<B: Differentiable, N: Network<B>>(
    net: &N,
    images: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    options: &StepOptions,
) -> Step<B> {
    let mut hidden = net.embed(images);
    let mut penalties = Vec::new();
    for l in 0..net.blocks() {
        let branch = net.branch(l, hidden.clone());
        if options.penalty > 0.0 {
            penalties.push(penalty(branch.clone(), options));
        }
        hidden = net.advance(hidden, branch);
    }
    let logits = net.readout(hidden);
    let loss = mean_cross_entropy(logits.clone(), labels);
    let total = penalties.into_iter().fold(loss.clone(), |sum, p| sum + p);
    Step {
        loss: loss.inner(),
        logits: logits.inner(),
        gradients: gradients(net, &total.backward()),
    }
}

fn local<B: Differentiable, N: Network<B>>(
    net: &N,
    rule: &Rule<B::InnerBackend>,
    images: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    options: &StepOptions,
) -> Step<B> {
    let [n, _] = images.dims();
    // What else reaches a branch must reach it whole.
    let ends = options.penalty == 0.0 && options.credit_tokens == CreditTokens::All;
    let factors = rule.direct().filter(|feedback| pays(feedback, &images));
    let ending = if ends { net.embed_ending(images.clone()) } else { None };
    let embedded = Trained::of(ending, || net.embed(images));
    let mut hidden = embedded.value(n);
    let mut branches = Vec::with_capacity(net.blocks());
    for l in 0..net.blocks() {
        let ending = if ends { net.branch_ending(l, hidden.clone()) } else { None };
        let branch = Trained::of(ending, || net.branch(l, hidden.clone()));
        hidden = net.advance(hidden, branch.value(n));
        branches.push(branch);
    }

    let top = hidden.set_require_grad(rule.needs_top());
    let logits = net.readout(top.clone());
    let loss = mean_cross_entropy(logits.clone(), labels.clone());
    let readout = loss.backward();
    let mut all = gradients(net, &readout);

    let known = Known {
        error: error(logits.clone().inner(), labels.inner()),
        // The readout of a network with tokens sees one of them: the sum is that one's gradient.
        top: top.grad(&readout).map(|g| g.sum_dim(1).squeeze_dim::<2>(1)),
    };
    let credit = rule.credit(&known).expect("a local rule has credits");
    let toward = Toward { error: known.error, factors, options };
    if let Some(total) = local_loss(embedded, branches, &credit, &toward) {
        all.extend(gradients(net, &total.backward()));
    }
    Step { loss: loss.inner(), logits: logits.inner(), gradients: all }
}

/// Whether a credit's factors are less work than the credit itself: two products [N, C] [C, in] and
/// [in, C] [C, d] for one [N, d] [d, in], and small sizes are slower by about a half.
fn pays<B: Differentiable>(feedback: &Feedback<B::InnerBackend>, images: &Tensor<B, 2>) -> bool {
    let [n, _] = images.dims();
    feedback.layers().all(|b| {
        let [d, classes] = b.dims();
        2 * classes * (n + d) <= n * d
    })
}

/// h_0 or a branch f_l, as it is trained.
enum Trained<B: Backend> {
    /// [N, T, d]
    Whole(Tensor<B, 3>),
    Ending(Ending<B>),
}

impl<B: Differentiable> Trained<B> {
    fn of(ending: Option<Ending<B>>, whole: impl FnOnce() -> Tensor<B, 3>) -> Self {
        ending.map_or_else(|| Self::Whole(whole()), Self::Ending)
    }

    /// Its value [N, T, d] on `n` samples, cut off from the graph.
    fn value(&self, n: usize) -> Tensor<B, 3> {
        match self {
            Self::Whole(x) => x.clone().detach(),
            // Not `detach`, after which a parameter would still ask for a gradient.
            Self::Ending(Ending { rest, x, map }) => {
                let map =
                    Affine { weight: map.weight.clone().inner(), bias: map.bias.clone().inner() };
                let [rows, d] = [x.dims()[0], map.bias.dims()[0]];
                let value = B::InnerBackend::affine(x.clone().inner(), map);
                let value = value.reshape([n, rows / n, d]);
                Tensor::from_inner(match rest {
                    Some(rest) => rest.clone().inner() + value,
                    None => value,
                })
            }
        }
    }
}

/// What the local losses are formed with, beside the credits.
struct Toward<'a, B: Differentiable> {
    /// e [N, C]
    error: Tensor<B::InnerBackend, 2>,
    /// B_l, where credits are used as e B_lᵀ.
    factors: Option<&'a Feedback<B::InnerBackend>>,
    options: &'a StepOptions,
}

impl<B: Differentiable> Toward<'_, B> {
    /// mean ⟨x, ã⟩ for the credit a of layer l.
    fn loss(&self, x: Trained<B>, l: usize, credit: &Tensor<B::InnerBackend, 2>) -> Tensor<B, 1> {
        let StepOptions { normaliser, credit_tokens, .. } = *self.options;
        let whole = || Tensor::from_inner(normaliser.apply(credit.clone()));
        let Ending { rest, x, map } = match x {
            Trained::Whole(x) => return inner_product(x, whole(), credit_tokens),
            Trained::Ending(ending) => ending,
        };
        let scale = 1.0 / x.dims()[0] as f64;
        let shared = match self.factors.and_then(|feedback| feedback.layers().nth(l)) {
            Some(feedback) => {
                let errors = normaliser.scale(self.error.clone(), credit.clone());
                Shared::Factors {
                    errors: Tensor::from_inner(errors.mul_scalar(scale)),
                    feedback: Tensor::from_inner(feedback.clone()),
                }
            }
            None => Shared::Whole(whole().mul_scalar(scale)),
        };
        let end = B::affine_toward(x, map, shared);
        match rest {
            Some(rest) => inner_product(rest, whole(), credit_tokens) + end,
            None => end,
        }
    }
}

/// Σ_l mean ⟨f_l, ã_l⟩ + λ mean Σ_j f_l² + mean ⟨h_0, ã_0⟩; `None` where there is no term.
fn local_loss<B: Differentiable>(
    embedded: Trained<B>,
    branches: Vec<Trained<B>>,
    credit: &Credit<B::InnerBackend>,
    toward: &Toward<B>,
) -> Option<Tensor<B, 1>> {
    let options = toward.options;
    let mut losses = Vec::new();
    for (l, (branch, a)) in branches.into_iter().zip(&credit.layers).enumerate() {
        if let Trained::Whole(f) = &branch
            && options.penalty > 0.0
        {
            losses.push(penalty(f.clone(), options));
        }
        losses.push(toward.loss(branch, l, a));
    }
    if options.embed_signal != EmbedSignal::None {
        let a = credit.embed.as_ref().unwrap_or(&credit.layers[0]);
        losses.push(toward.loss(embedded, 0, a));
    }
    losses.into_iter().reduce(|sum, loss| sum + loss)
}

/// mean over the batch, and over the tokens that receive credit, of Σ_j x_j ã_j; x [N, T, d] and
/// ã [N, d].
fn inner_product<B: Kernels>(
    x: Tensor<B, 3>,
    credit: Tensor<B, 2>,
    tokens: CreditTokens,
) -> Tensor<B, 1> {
    let x = match tokens {
        CreditTokens::All => x,
        CreditTokens::Cls => x.narrow(1, 0, 1),
    };
    let [n, t, d] = x.dims();
    B::inner_product(x.reshape([n * t, d]), credit, 1.0 / (n * t) as f64)
}

/// λ · mean over batch and tokens of Σ_j f_j².
fn penalty<B: Backend>(branch: Tensor<B, 3>, options: &StepOptions) -> Tensor<B, 1> {
    let [n, t, _] = branch.dims();
    branch.square().sum().mul_scalar(options.penalty / (n * t) as f64)
}
