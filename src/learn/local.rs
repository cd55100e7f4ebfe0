//! The local family: the forward pass is cut at every block, and block l is trained by
//!
//! mean ⟨f_l(h_l), ã_l⟩ + λ mean Σ_j f_l(h_l)_j²,  the embedding by mean ⟨h_0, ã_0⟩ (protocol §2),
//!
//! with ã_{l+1} in the place of ã_l where the network says so ([`CreditAt`]).
//!
//! The readout is differentiated first, because rules may look at its gradient; then all local losses
//! together. The two graphs are disjoint, so each operation is run backward once.
//!
//! The map W in which a block ends meets a credit that the tokens of a sample share, so that
//! ∂W = (Σ_t x_t)ᵀ ã needs one row a sample; and where ã = diag(s) e Bᵀ, it gets the two factors:
//! (xᵀ diag(s) e) Bᵀ is an eighth of the work of xᵀ ã in the published residual MLP.

use super::{BridgeSettings, Gradients, Lesson, Own, Rule, Settings, Turn, lift, lower};
use crate::backend::{Affine, Differentiable, Kernels, Shared};
use crate::config::{CreditTokens, EmbedSignal};
use crate::model::{Buffers, CreditAt, Ending, Network, Pass, Target, gradients};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

/// Where a local rule works: what it may look at beside what a batch shows.
pub struct Scene<'a, B: Differentiable, N> {
    /// The network, for its readout.
    pub net: &'a N,
    /// The network's.
    pub buffers: &'a Buffers<B::InnerBackend>,
    pub own: &'a Own<B::InnerBackend>,
    pub settings: &'a Settings,
    /// The epoch that trains, or the newest that did where nothing trains: from 1 on, 0 before the first.
    pub epoch: usize,
    /// What is drawn anew for every batch is drawn by it.
    pub turn: Turn,
    /// Whether the credit is measured: only then a_L, which trains nothing, is asked for.
    pub measures: bool,
}

impl<B: Differentiable, N: Network<B>> Scene<'_, B, N> {
    /// How many of a_0 … a_L are asked for.
    pub fn credited(&self, known: &Known<B::InnerBackend>) -> usize {
        let last_trains = self.settings.credit_at == CreditAt::Output;
        known.blocks + usize::from(self.measures || last_trains)
    }

    /// # Panics
    /// If the rule has no auxiliary network.
    pub(super) fn bridge(&self) -> &BridgeSettings {
        self.settings.bridge.as_ref().expect("a rule with an auxiliary network")
    }

    /// The network's outputs [n, classes] of rows [n, d] in the place of h_L.
    pub fn readout(&self, top: Tensor<B, 2>) -> Tensor<B, 2> {
        self.net.readout(top.unsqueeze_dim(1), &mut Pass::eval(&lift(self.buffers)))
    }
}

/// What one forward pass shows a local rule.
pub struct Known<B: Backend> {
    /// Number of residual blocks L.
    pub blocks: usize,
    /// [N, classes]
    pub outputs: Tensor<B, 2>,
    /// e, the gradient of each sample's own loss at its outputs, not divided by the batch size:
    /// [N, classes].
    pub error: Tensor<B, 2>,
    /// What the outputs are held against.
    pub target: Target<B>,
    /// The readout's exact gradient ∂(mean loss)/∂h_L, for the rules that ask for it: [N, d].
    pub top: Option<Tensor<B, 2>>,
    /// h_0 … h_L, each [N, T, d], for the rules that ask for them; else empty.
    pub hidden: Vec<Tensor<B, 3>>,
}

/// The credits of one batch, before normalisation.
pub struct Credit<B: Backend> {
    /// a_0 … a_L, each [N, d]. Under [`CreditAt::Input`] a_L trains nothing and stands where a
    /// measurement at h_L needs a credit (the last feedback matrix again, protocol §2): where nothing
    /// is measured it may be left out.
    pub layers: Vec<Tensor<B, 2>>,
    /// What trains the embedding where that is not a_0: [N, d].
    pub embed: Option<Tensor<B, 2>>,
}

/// What the file of a rule of this family implements.
pub trait LocalRule: Rule {
    /// Whether the rule looks at [`Known::top`].
    const NEEDS_TOP: bool = false;
    /// Whether it looks at [`Known::hidden`].
    const NEEDS_HIDDEN: bool = false;
    /// Whether its credits are a_l = e B_lᵀ, B_l the feedback of layer l: a step may then use the two
    /// factors, which have the rank of e, in place of their product.
    const DIRECT: bool = false;

    /// The credits of one batch.
    ///
    /// # Panics
    /// If the rule needs something of [`Known`] that is missing.
    fn credit<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Credit<B::InnerBackend>;

    /// The gradients of what the rule owns and learns, by name; none for what is fixed. What the rule
    /// owns is as the credit of the batch found it.
    fn learn<B: Differentiable, N: Network<B>>(
        scene: &Scene<B, N>,
        known: &Known<B::InnerBackend>,
    ) -> Gradients<B> {
        let _ = (scene, known);
        Gradients::<B>::new()
    }
}

type Inner<B> = <B as AutodiffBackend>::InnerBackend;

/// A function of the scene and what is known.
type Of<B, N, T> = fn(&Scene<B, N>, &Known<Inner<B>>) -> T;

/// The functions of one rule.
pub(super) struct Local<B: Differentiable, N> {
    needs_top: bool,
    needs_hidden: bool,
    direct: bool,
    pub(super) credit: Of<B, N, Credit<Inner<B>>>,
    learn: Of<B, N, Gradients<B>>,
}

impl<B: Differentiable, N: Network<B>> Local<B, N> {
    pub(super) fn of<R: LocalRule>() -> Self {
        Self {
            needs_top: R::NEEDS_TOP,
            needs_hidden: R::NEEDS_HIDDEN,
            direct: R::DIRECT,
            credit: R::credit::<B, N>,
            learn: R::learn::<B, N>,
        }
    }
}

pub(super) fn learn<B: Differentiable, N: Network<B>>(
    rule: &Local<B, N>,
    scene: &Scene<B, N>,
    images: Tensor<B, 2>,
    target: Target<B>,
) -> Lesson<B> {
    let Scene { net, own, settings, .. } = *scene;
    let [n, _] = images.dims();
    // Outside of a training what a step would do is asked for.
    let steps = settings.trains_network || !scene.turn.is_trained();
    // Burn keeps for ever what it recorded for a gradient that nobody asks for.
    let fixed = (!steps).then(|| net.clone().no_grad());
    let mut pass = match &fixed {
        Some(_) => Pass::eval(&lift(scene.buffers)),
        None => Pass::train(&lift(scene.buffers)),
    };
    let blocks = fixed.as_ref().unwrap_or(net);
    // What else reaches a branch must reach it whole.
    let ends = settings.penalty == 0.0 && settings.credit_tokens == CreditTokens::All;
    let factors = (rule.direct && pays::<B>(own, &images)).then_some(own);
    let through = &mut pass;
    let ending = if ends { blocks.embed_ending(images.clone(), through) } else { None };
    let embedded = Trained::of(ending, || blocks.embed(images, through));
    let mut hidden = embedded.value(n);
    let mut states = Vec::new();
    let mut keep = |h: &Tensor<B, 3>| {
        if rule.needs_hidden {
            states.push(h.clone().inner());
        }
    };
    keep(&hidden);
    let mut branches = Vec::with_capacity(net.blocks());
    for l in 0..net.blocks() {
        let ending = if ends { blocks.branch_ending(l, hidden.clone(), through) } else { None };
        let branch = Trained::of(ending, || blocks.branch(l, hidden.clone(), through));
        hidden = blocks.advance(l, hidden, branch.value(n), through);
        branches.push(branch);
        keep(&hidden);
    }

    let top = hidden.set_require_grad(rule.needs_top);
    let outputs = net.readout(top.clone(), through);
    let loss = settings.objective.mean_loss(outputs.clone(), target.clone());
    let readout = loss.backward();
    let mut network = gradients(net, &readout);

    let (outputs, target) = (outputs.inner(), target.inner());
    let known = Known {
        blocks: net.blocks(),
        outputs: outputs.clone(),
        error: settings.objective.error(outputs.clone(), target.clone()),
        target,
        // The readout of a network with tokens sees one of them: the sum is that one's gradient.
        top: top.grad(&readout).map(|g| g.sum_dim(1).squeeze_dim::<2>(1)),
        hidden: states,
    };
    let learned = (rule.learn)(scene, &known);
    if steps {
        let credit = (rule.credit)(scene, &known);
        let toward = Toward { error: known.error, factors, settings };
        if let Some(total) = local_loss(embedded, branches, &credit, &toward) {
            network.extend(gradients(net, &total.backward()));
        }
    }
    Lesson {
        loss: loss.inner(),
        outputs,
        network,
        own: learned,
        force: Vec::new(),
        buffers: lower(pass.buffers),
    }
}

/// Whether a credit's factors are less work than the credit itself: two products [N, C] [C, in] and
/// [in, C] [C, d] for one [N, d] [d, in], and small sizes are slower by about a half.
fn pays<B: Differentiable>(own: &Own<B::InnerBackend>, images: &Tensor<B, 2>) -> bool {
    let [n, _] = images.dims();
    own.layers().all(|b| {
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
                let map = Affine::new(map.weight.clone().inner(), map.bias.clone().inner());
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
    /// Where the B_l are, if credits are used as e B_lᵀ.
    factors: Option<&'a Own<B::InnerBackend>>,
    settings: &'a Settings,
}

impl<B: Differentiable> Toward<'_, B> {
    /// mean ⟨x, ã⟩ for the credit a of layer l.
    fn loss(&self, x: Trained<B>, l: usize, credit: &Tensor<B::InnerBackend, 2>) -> Tensor<B, 1> {
        let Settings { normaliser, credit_tokens, .. } = *self.settings;
        let whole = || Tensor::from_inner(normaliser.apply(credit.clone()));
        let Ending { rest, x, map } = match x {
            Trained::Whole(x) => return inner_product(x, whole(), credit_tokens),
            Trained::Ending(ending) => ending,
        };
        let scale = 1.0 / x.dims()[0] as f64;
        let shared = match self.factors.and_then(|own| own.feedback(l)) {
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
    let settings = toward.settings;
    let mut losses = Vec::new();
    for (l, branch) in branches.into_iter().enumerate() {
        let l = settings.credit_at.of_block(l);
        let a = &credit.layers[l];
        if let Trained::Whole(f) = &branch
            && settings.penalty > 0.0
        {
            losses.push(penalty(f.clone(), settings));
        }
        losses.push(toward.loss(branch, l, a));
    }
    if settings.embed_signal != EmbedSignal::None {
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
pub(super) fn penalty<B: Kernels>(branch: Tensor<B, 3>, settings: &Settings) -> Tensor<B, 1> {
    let [n, t, _] = branch.dims();
    B::squared_norm(branch.flatten(0, 1), settings.penalty / (n * t) as f64)
}
