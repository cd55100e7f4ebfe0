//! The table of keys. An entry is
//!
//! - the key's meaning, with its source: "published" marks a value of the reference implementation
//!   (arXiv:2606.21126), "recommended" one that was not published;
//! - `default` on a network and a dataset, `range`, and where `fits` what else must hold;
//! - `absent`: for a key that came later, what runs from before it had. Artefacts without the key are
//!   read as having it, and a run that has it keeps its name: choose the value that changes nothing,
//!   and never change it, whatever becomes of the default. `None` for the keys of the first version,
//!   which no artefact lacks;
//! - `role`, `label`: see [`Role`] and [`Label`];
//! - `time`: whether an epoch's time depends on it;
//! - `when` it matters, by the other keys: it says nothing of a run in which it does not. A network
//!   or a rule that is not known to leave a key alone may read it: name those that do not.

use super::{Key, Label, Range, Role, Typed, expect, given, is_cuda, keys};
use crate::config::{
    Activation, ActivityNorm, Arch, Auxiliary, BackendName, Base, Code, CreditTokens, EmbedSignal,
    EpCredit, EpPhases, FeedbackDistribution, FeedbackForm, FeedbackSharing, GradientMatching,
    GrapeForm, MatmulPrecision, Measure, Method, Normalise, Objective, OptimizerName,
    PredictorOutput, Probe, Schedule, Shortcut,
};
use crate::data::{DatasetKind, SyntheticSpec, TRAIN_IMAGES};
use Label::{Elsewhere, Key as KeyAndValue, Unsaid, Words};
use serde::Deserialize;
use std::path::PathBuf;

keys! {
    default of (arch, dataset), all else of c;

    /// What trains the network.
    method: Method {
        default: Method::Bp, range: Range::Words(|| Method::WORDS.to_vec()), absent: None,
        role: Rule, label: Words(|c, _| Some(method(c))), time: true, when: true,
        fits: expect(c.method.rule().is_none() || one_vector(c), c.method, ONE_VECTOR)
            .and(expect(c.method.rule().is_none() || square(c), c.method, SQUARE)),
    }
    /// The rule under `frozen`, `shallow` and `random-target`.
    base: Base {
        default: Base::Dfa, range: Range::Words(|| Base::WORDS.to_vec()), absent: None,
        role: Rule, label: Elsewhere, time: true, when: c.method.rule().is_none(),
        fits: expect(
            c.method != Method::Shallow || !(c.base == Base::Fa || c.base.has_auxiliary()),
            c.base,
            format!("another rule for shallow: {} needs blocks", c.base),
        )
        .and(expect(c.method.rule().is_some() || one_vector(c), c.base, ONE_VECTOR))
        .and(expect(c.method.rule().is_some() || square(c), c.base, SQUARE)),
    }
    /// Penalty weight λ of λ · mean_batch Σ_j f_l(h_l)_j² in every block's loss (published: 0).
    penalty: f64 {
        default: 0.0, range: Range::NotNegative, absent: None,
        role: Rule, label: Words(|c, _| said(c.penalty > 0.0 && !c.is_baseline(), "λ=", c.penalty)),
        time: false, when: true,
    }
    /// Seed of every random stream of the run but the synthetic data's.
    seed: u64 {
        default: 42, range: Range::Seed, absent: None,
        role: Training, label: Elsewhere, time: false, when: true,
    }

    /// The network.
    arch: Arch {
        default: arch, range: Range::Words(|| Arch::WORDS.to_vec()), absent: None,
        role: Shape, label: Elsewhere, time: true, when: true,
        fits: expect(
            c.dataset.has_images() || !(c.arch == Arch::VitMini || c.arch.is_convolutional()),
            c.arch,
            format!("another network for {}: its samples are no images", c.dataset),
        ),
    }
    /// Width d of the hidden states (published: 256, vit-mini and student 128, lq 64); of a convolutional
    /// network the channels of its first feature map, to which all others are in proportion (small-cnn and
    /// small-resnet: 32; alexnet, vgg-16 and resnet-18: 64; resnet-20 and resnet-56: 16).
    width: usize {
        default: width(arch),
        range: Range::Count(1 << 16), absent: None,
        role: Shape, label: Words(|c, usual| said(c.width != usual.width, "d=", c.width)),
        time: true, when: true,
    }
    /// Number of blocks L (published: 4; lq 12; of a convolutional network all of it: small-cnn and small-resnet
    /// 3, alexnet 4, vgg-16 12, resnet-18 8, resnet-20 9, resnet-56 27; with fewer the readout follows the last
    /// of them).
    depth: usize {
        default: depth(arch), range: Range::Count(1 << 10), absent: None,
        role: Shape, label: Words(|c, usual| said(c.depth != usual.depth, "L=", c.depth)),
        time: true, when: c.blocks() > 0,
        fits: expect(
            c.blocks() == 0 || !c.arch.is_convolutional() || c.depth <= depth(c.arch),
            c.depth,
            format!("at most {}, all blocks of {}", depth(c.arch), c.arch),
        ),
    }
    /// resmlp: hidden width of a block over d (published: 1).
    expansion: usize {
        default: 1, range: Range::Count(64), absent: None,
        role: Shape, label: KeyAndValue, time: true,
        when: has_two_maps(c) && c.blocks() > 0,
    }
    /// resmlp: standard deviation of W2 at initialisation (published: 0.01).
    w2_std: f64 {
        default: 0.01, range: Range::NotNegative, absent: None,
        role: Training, label: KeyAndValue, time: false,
        when: has_two_maps(c) && c.blocks() > 0,
    }
    /// LayerNorm before the head (published: true; mlp, student, lq and convolutional networks: false).
    terminal_norm: bool {
        default: may_have_norm(arch), range: Range::Flag, absent: None,
        role: Shape,
        label: Words(|c, usual| with_or_without(c.terminal_norm, usual.terminal_norm, "LN")),
        time: false, when: true,
    }
    /// h_{l+1} = h_l + f_l(h_l); without it h_{l+1} = f_l(h_l) (published: true; mlp and
    /// convolutional networks, whose shortcuts are part of f_l: false).
    residual_add: bool {
        default: !is_plain(arch), range: Range::Flag, absent: None,
        role: Shape,
        label: Words(|c, usual| with_or_without(c.residual_add, usual.residual_add, "skip")),
        time: false, when: c.blocks() > 0,
        fits: expect(
            !(c.residual_add && c.blocks() > 0 && c.arch.is_convolutional()),
            c.residual_add,
            format!("false: the hidden states of {} are of different spaces", c.arch),
        ),
    }
    /// mlp, convolutional networks: what follows each map (recommended: relu).
    activation: Activation {
        default: Activation::Relu, range: Range::Words(|| Activation::WORDS.to_vec()),
        absent: Some(Activation::Relu),
        role: Shape, label: KeyAndValue, time: true, when: has_activation(c.arch),
    }
    /// mlp, convolutional networks: what normalises the hidden activity, between map and activation (recommended:
    /// none; convolutional networks but alexnet: batch). Of feature maps each channel over samples and positions (batch), or each position
    /// over its channels.
    activity_norm: ActivityNorm {
        default: if arch.is_convolutional() && arch != Arch::AlexNet { ActivityNorm::Batch } else { ActivityNorm::None }, range: Range::Words(|| ActivityNorm::WORDS.to_vec()),
        absent: Some(ActivityNorm::None),
        role: Shape, label: KeyAndValue, time: true, when: has_activation(c.arch),
    }
    /// mlp, convolutional networks: whether a scale and a shift behind `activity_norm = batch` are trained (PyTorch's default:
    /// true).
    norm_affine: bool {
        default: true, range: Range::Flag, absent: Some(true),
        role: Shape, label: KeyAndValue, time: false,
        when: has_activation(c.arch) && c.activity_norm == ActivityNorm::Batch,
    }
    /// Residual networks of feature maps: how a block that halves the sides and doubles the features is passed
    /// (published: resnet-20 and resnet-56 pad; recommended: else projection).
    shortcut: Shortcut {
        default: if matches!(arch, Arch::ResNet20 | Arch::ResNet56) { Shortcut::Pad } else { Shortcut::Projection },
        range: Range::Words(|| Shortcut::WORDS.to_vec()), absent: Some(Shortcut::Projection),
        role: Shape, label: KeyAndValue, time: true, when: c.arch.is_residual_convolutional(),
    }
    /// The first so many blocks stay at initialisation: the depth ladder trains the last
    /// `depth - frozen_blocks` (default: 0).
    frozen_blocks: usize {
        default: 0, range: Range::Index, absent: None,
        role: Rule,
        label: Words(|c, _| said(c.frozen_blocks > 0, "last ", trained_blocks(c))),
        time: true, when: c.blocks() > 0 && c.method != Method::Frozen,
        fits: expect(
            c.frozen_blocks <= c.depth,
            c.frozen_blocks,
            format!("at most the depth {}", c.depth),
        ),
    }
    /// vit-mini: patch size in pixels (recommended: 4, which makes 64 tokens).
    patch: usize {
        default: 4, range: Range::Count(32), absent: None,
        role: Shape, label: KeyAndValue, time: true, when: may_have_tokens(c),
        fits: expect(
            c.arch != Arch::VitMini || 32usize.is_multiple_of(c.patch),
            c.patch,
            "a divisor of the image size 32",
        ),
    }
    /// vit-mini: attention heads (recommended: 4).
    heads: usize {
        default: 4, range: Range::Count(1 << 10), absent: None,
        role: Shape, label: KeyAndValue, time: true,
        when: may_have_tokens(c) && c.blocks() > 0,
        fits: expect(
            c.arch != Arch::VitMini || c.width.is_multiple_of(c.heads),
            c.heads,
            format!("a divisor of the width {}", c.width),
        ),
    }
    /// vit-mini: hidden width of the MLP over d (recommended: 2).
    mlp_ratio: usize {
        default: 2, range: Range::Count(64), absent: None,
        role: Shape, label: KeyAndValue, time: true,
        when: may_have_tokens(c) && c.blocks() > 0,
    }
    /// vit-mini: tokens that receive the credit (recommended: all).
    credit_tokens: CreditTokens {
        default: CreditTokens::All, range: Range::Words(|| CreditTokens::WORDS.to_vec()),
        absent: None,
        role: Rule, label: KeyAndValue, time: false,
        when: may_have_tokens(c) && c.rule().is_local(),
    }
    /// vit-mini: where norms and cosines are taken (published: cls).
    measure: Measure {
        default: Measure::Cls, range: Range::Words(|| Measure::WORDS.to_vec()), absent: None,
        role: Protocol, label: Unsaid, time: false, when: may_have_tokens(c),
    }

    /// The data.
    dataset: DatasetKind {
        default: dataset, range: Range::Words(|| DatasetKind::ALL.map(DatasetKind::name).to_vec()),
        absent: None,
        role: Data, label: Elsewhere, time: true, when: true,
    }
    /// Where the CIFAR files lie; not part of the run's identity.
    data_dir: Option<PathBuf> {
        default: None, range: Range::Folder, absent: Some(None),
        role: Folder, label: Unsaid, time: false, when: !c.dataset.is_generated(),
    }
    /// RandomCrop(32, pad 4) and horizontal flip of training images (published: true).
    augment: bool {
        default: dataset.augmentable(), range: Range::Flag, absent: None,
        role: Training, label: KeyAndValue, time: true, when: c.dataset.has_images(),
        fits: expect(c.dataset.has_images() || !c.augment, c.augment, "false where samples are vectors"),
    }
    /// Made in memory: seed of teacher and samples, the same for every run of a study.
    data_seed: u64 {
        default: SyntheticSpec::default().seed, range: Range::Seed, absent: None,
        role: Data, label: KeyAndValue, time: false, when: c.dataset.is_generated(),
    }
    /// Of files: train on so many images, equally many of each class and the first of them (default: 0, for
    /// all).
    train_subset: usize {
        default: 0, range: Range::Index, absent: Some(0),
        role: Data, label: KeyAndValue, time: true, when: !c.dataset.is_generated(),
        fits: expect(
            c.train_subset.is_multiple_of(c.dataset.classes()) && c.train_subset <= TRAIN_IMAGES,
            c.train_subset,
            format!("a multiple of the {} classes, at most {TRAIN_IMAGES}", c.dataset.classes()),
        ),
    }
    /// Made in memory: number of training samples (toy-lq: 51,200, an epoch of 200 steps).
    train_samples: usize {
        default: if is_toy(dataset) { 51_200 } else { SyntheticSpec::default().train }, range: Range::Count(1 << 24), absent: None,
        role: Data, label: KeyAndValue, time: true, when: c.dataset.is_generated(),
    }
    /// Made in memory: number of test samples.
    test_samples: usize {
        default: SyntheticSpec::default().test, range: Range::Count(1 << 24), absent: None,
        role: Data, label: KeyAndValue, time: true, when: c.dataset.is_generated(),
    }

    /// student: α of φ_α(z) = (1 − α) z + α tanh(z), in the network and in the teacher (published:
    /// 0, 0.25, 0.5 and 1).
    alpha: f64 {
        default: 1.0, range: Range::Share, absent: Some(1.0),
        role: Data, label: KeyAndValue, time: false,
        when: c.dataset == DatasetKind::Student || (c.arch == Arch::Student && c.blocks() > 0),
    }
    /// student: blocks of the teacher (recommended: 4).
    teacher_depth: usize {
        default: 4, range: Range::Count(64), absent: Some(4),
        role: Data, label: KeyAndValue, time: false, when: c.dataset == DatasetKind::Student,
    }

    /// Scaling of the credit (published: rms).
    normalise: Normalise {
        default: Normalise::Rms, range: Range::Words(|| Normalise::WORDS.to_vec()), absent: None,
        role: Rule, label: KeyAndValue, time: false, when: c.rule().is_local(),
    }
    /// ε of the RMS normalisation (published: 1e-6).
    rms_epsilon: f64 {
        default: 1e-6, range: Range::NotNegative, absent: None,
        role: Rule, label: KeyAndValue, time: false,
        when: c.rule().is_local() && c.normalise == Normalise::Rms,
    }
    /// Distribution of the feedback matrices (published: normal).
    feedback_distribution: FeedbackDistribution {
        default: FeedbackDistribution::Normal,
        range: Range::Words(|| FeedbackDistribution::WORDS.to_vec()), absent: None,
        role: Rule, label: KeyAndValue, time: false, when: has_feedback(c),
    }
    /// Factor on the feedback's standard deviation: 1/√(columns), or that of the weights which the
    /// feedback stands for, at initialisation (published: 1).
    feedback_scale: f64 {
        default: 1.0, range: Range::Positive, absent: None,
        role: Rule, label: KeyAndValue, time: false,
        when: has_feedback(c) || matches!(c.rule(), Base::Usf | Base::Brsf),
    }
    /// dfa, drtp on feature maps: feedback to each position from a matrix with a row for every feature
    /// (`full`), or as BioTorch has it: the error at every position of what a convolution makes of the map,
    /// backward through a kernel in the place of its own (`tiled`; recommended: full).
    feedback_form: FeedbackForm {
        default: FeedbackForm::Full, range: Range::Words(|| FeedbackForm::WORDS.to_vec()),
        absent: Some(FeedbackForm::Full),
        role: Rule, label: KeyAndValue, time: false,
        when: c.arch.is_convolutional() && has_feedback(c) && c.rule().is_local(),
    }
    /// One feedback matrix a layer, or one for all (published: layer).
    feedback_sharing: FeedbackSharing {
        default: FeedbackSharing::Layer, range: Range::Words(|| FeedbackSharing::WORDS.to_vec()),
        absent: None,
        role: Rule, label: KeyAndValue, time: false, when: has_feedback(c),
    }
    /// What trains the embedding under a local rule (published for DFA: credit).
    embed_signal: EmbedSignal {
        default: EmbedSignal::Credit, range: Range::Words(|| EmbedSignal::WORDS.to_vec()),
        absent: None,
        role: Rule, label: KeyAndValue, time: false, when: c.rule().is_local(),
        fits: expect(
            c.embed_signal != EmbedSignal::Mapped || c.rule() == Base::Fa,
            c.embed_signal,
            "`credit` or `none` unless the rule is fa",
        ),
    }

    /// state-bridge, credit-bridge: what the auxiliary network learns. `learned` its targets; the others
    /// are twins: `shuffled` those of other samples, `random` numbers of their size, `zero-target`
    /// zeros, `untrained` nothing.
    auxiliary: Auxiliary {
        default: Auxiliary::Learned, range: Range::Words(|| Auxiliary::WORDS.to_vec()),
        absent: Some(Auxiliary::Learned),
        role: Rule, label: KeyAndValue, time: true, when: c.rule().has_auxiliary(),
    }
    /// state-bridge, credit-bridge: what the auxiliary network is told of a sample beside h_l and l
    /// (published: error; delta fails on CIFAR-10).
    code: Code {
        default: Code::Error, range: Range::Words(|| Code::WORDS.to_vec()),
        absent: Some(Code::Error),
        role: Rule, label: KeyAndValue, time: false, when: c.rule().has_auxiliary(),
    }
    /// state-bridge, credit-bridge: hidden layers of the auxiliary network (recovered for
    /// credit-bridge on the linear–quadratic task: 3).
    auxiliary_layers: usize {
        default: 3, range: Range::Count(16), absent: Some(3),
        role: Rule, label: KeyAndValue, time: true, when: c.rule().has_auxiliary(),
    }
    /// state-bridge, credit-bridge: their width (recovered for credit-bridge on the linear–quadratic
    /// task: 256).
    auxiliary_width: usize {
        default: 256, range: Range::Count(1 << 12), absent: Some(256),
        role: Rule, label: KeyAndValue, time: true, when: c.rule().has_auxiliary(),
    }
    /// state-bridge, credit-bridge: learning rate of the auxiliary network, which AdamW trains on the
    /// run's schedule (recovered for the linear–quadratic task: 1e-3).
    auxiliary_learning_rate: f64 {
        default: 1e-3, range: Range::Positive, absent: Some(1e-3),
        role: Rule, label: KeyAndValue, time: false, when: has_learning_auxiliary(c),
    }
    /// state-bridge, credit-bridge: its weight decay (recommended: 0.01, the network's).
    auxiliary_weight_decay: f64 {
        default: 0.01, range: Range::NotNegative, absent: Some(0.01),
        role: Rule, label: KeyAndValue, time: false, when: has_learning_auxiliary(c),
    }
    /// state-bridge: what the predictor puts out (recommended: direct).
    predictor_output: PredictorOutput {
        default: PredictorOutput::Direct, range: Range::Words(|| PredictorOutput::WORDS.to_vec()),
        absent: Some(PredictorOutput::Direct),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::StateBridge,
    }
    /// state-bridge: frequencies at which the predictor sees the layer's time l/L (recommended: 8).
    predictor_octaves: usize {
        default: 8, range: Range::Count(32), absent: Some(8),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::StateBridge,
    }
    /// credit-bridge: those at which the value network sees it (recommended: 1).
    value_octaves: usize {
        default: 1, range: Range::Count(32), absent: Some(1),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::CreditBridge,
    }
    /// credit-bridge: noisy copies K of h_{l+1} in the soft minimum (recovered for the
    /// linear–quadratic task: 8).
    bridge_copies: usize {
        default: 8, range: Range::Count(1 << 10), absent: Some(8),
        role: Rule, label: KeyAndValue, time: true, when: has_learning_value(c),
    }
    /// credit-bridge: standard deviation σ of their noise (published: 0.1).
    bridge_noise: f64 {
        default: 0.1, range: Range::NotNegative, absent: Some(0.1),
        role: Rule, label: KeyAndValue, time: false, when: has_learning_value(c),
    }
    /// credit-bridge: temperature λ of the soft minimum (published: 0.1).
    softmin_temperature: f64 {
        default: 0.1, range: Range::Positive, absent: Some(0.1),
        role: Rule, label: KeyAndValue, time: false, when: has_learning_value(c),
    }
    /// credit-bridge: decay of the averaged copy of the value network that the soft minimum asks
    /// (recovered for the linear–quadratic task: 0.995).
    average_decay: f64 {
        default: 0.995, range: Range::BelowOne, absent: Some(0.995),
        role: Rule, label: KeyAndValue, time: false, when: has_learning_value(c),
    }
    /// credit-bridge: weight of the terminal gradient's term (published: 1).
    gradient_weight: f64 {
        default: 1.0, range: Range::NotNegative, absent: Some(1.0),
        role: Rule, label: KeyAndValue, time: false, when: has_learning_value(c),
    }
    /// credit-bridge: what holds ∇V at h_L against δ_L (recommended: relative; absolute fails where
    /// hidden states grow, because gradients then shrink).
    gradient_matching: GradientMatching {
        default: GradientMatching::Relative,
        range: Range::Words(|| GradientMatching::WORDS.to_vec()),
        absent: Some(GradientMatching::Relative),
        role: Rule, label: KeyAndValue, time: false,
        when: has_learning_value(c) && c.gradient_weight > 0.0,
    }
    /// credit-bridge: share of the epochs, the first ones, in which DFA trains the network while the
    /// value network learns (published: 0.2).
    warm_up: f64 {
        default: 0.2, range: Range::BelowOne, absent: Some(0.2),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::CreditBridge,
    }
    /// A checkpoint whose network stays as it is: its hidden states are what the credit of this run
    /// learns from (protocol §6.9). The file is read when the run begins.
    frozen_network: Option<PathBuf> {
        default: None, range: Range::Checkpoint, absent: Some(None),
        role: Folder, label: Unsaid, time: false, when: true,
        fits: expect(c.frozen_network.is_none() || learns_beside(c), shown(&c.frozen_network), BESIDE),
    }
    /// SHA-256 of that file, which is read where this is left out; the run is named by it.
    frozen_network_sha256: Option<String> {
        default: None, range: Range::Sha256, absent: Some(None),
        role: Rule,
        label: Words(|c, _| c.frozen_network_sha256.as_ref().map(|digest| format!("on {}", &digest[..8]))),
        time: true, when: true,
        fits: expect(c.frozen_network_sha256.is_none() || learns_beside(c), shown(&c.frozen_network_sha256), BESIDE),
    }

    /// grape: what it makes of feedback and estimate (published as v1 and, later, v2).
    grape_form: GrapeForm {
        default: GrapeForm::V2, range: Range::Words(|| GrapeForm::WORDS.to_vec()),
        absent: Some(GrapeForm::V2),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::Grape,
    }
    /// grape: step η of the feedback (published: 1e-4 to 5e-2, best 1e-3).
    grape_rate: f64 {
        default: 1e-3, range: Range::Share, absent: Some(1e-3),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::Grape,
    }
    /// grape: decay of the running mean of the estimates (recommended: 0.9).
    grape_decay: f64 {
        default: 0.9, range: Range::BelowOne, absent: Some(0.9),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::Grape,
    }
    /// grape: standard deviation of what is added to the feedback each step, over its root mean square
    /// (recommended: 0; published as small).
    grape_noise: f64 {
        default: 0.0, range: Range::NotNegative, absent: Some(0.0),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::Grape,
    }
    /// grape: whether each step leaves the feedback's Frobenius norm as it was (published: true).
    grape_rescale: bool {
        default: true, range: Range::Flag, absent: Some(true),
        role: Rule, label: KeyAndValue, time: false,
        when: c.rule() == Base::Grape && c.grape_form != GrapeForm::V2,
    }
    /// grape: how the Jacobian is probed (recommended: by the tangent where the network has one).
    grape_probe: Probe {
        default: if arch == Arch::ResMlp { Probe::Tangent } else { Probe::Perturbation },
        range: Range::Words(|| Probe::WORDS.to_vec()), absent: Some(Probe::Perturbation),
        role: Rule, label: KeyAndValue, time: true, when: c.rule() == Base::Grape,
        fits: expect(
            c.rule() != Base::Grape || c.grape_probe == Probe::Perturbation || c.arch == Arch::ResMlp,
            c.grape_probe,
            format!("perturbation: {} has no tangents", c.arch),
        ),
    }
    /// grape: probes of each sample (recommended: 1).
    grape_probes: usize {
        default: 1, range: Range::Count(1 << 10), absent: Some(1),
        role: Rule, label: KeyAndValue, time: true, when: c.rule() == Base::Grape,
    }
    /// Every so many epochs the first batch is trained by the exact gradient, which anchors a local rule
    /// (protocol §11); 0 for never.
    anchor_every: usize {
        default: 0, range: Range::Index, absent: Some(0),
        role: Rule,
        label: Words(|c, _| said(c.anchor_every > 0, "anchored every ", c.anchor_every)),
        time: false, when: anchors(c),
    }

    /// ep: nudging strength β (recovered: 0.5).
    ep_nudge: f64 {
        default: 0.5, range: Range::Positive, absent: Some(0.5),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::Ep,
    }
    /// ep: steps of the nudged state from the free one (recovered: 20).
    ep_steps: usize {
        default: 20, range: Range::Count(1 << 16), absent: Some(20),
        role: Rule, label: KeyAndValue, time: true, when: c.rule() == Base::Ep && c.blocks() > 0,
    }
    /// ep: size of a step (recommended: 0.1).
    ep_step_size: f64 {
        default: 0.1, range: Range::Positive, absent: Some(0.1),
        role: Rule, label: KeyAndValue, time: false, when: c.rule() == Base::Ep && c.blocks() > 0,
    }
    /// ep: the nudged states (recommended: one-sided).
    ep_phases: EpPhases {
        default: EpPhases::OneSided, range: Range::Words(|| EpPhases::WORDS.to_vec()),
        absent: Some(EpPhases::OneSided),
        role: Rule, label: KeyAndValue, time: true, when: c.rule() == Base::Ep,
    }
    /// ep: what is measured as its credit; it trains nothing by itself (recovered: displacement).
    ep_credit: EpCredit {
        default: EpCredit::Displacement, range: Range::Words(|| EpCredit::WORDS.to_vec()),
        absent: Some(EpCredit::Displacement),
        role: Protocol, label: Words(|c, _| Some(c.ep_credit.to_string())),
        time: false, when: c.rule() == Base::Ep,
    }

    /// Passes over the training data (published: 100; 30 for the penalty runs, 80 for the student;
    /// toy-lq: 10, which are 2,000 steps).
    epochs: usize {
        default: epochs(dataset),
        range: Range::Count(1 << 20), absent: None,
        role: Training, label: Elsewhere, time: false, when: true,
    }
    /// Samples a step (published: 128; toy-lq 256).
    batch_size: usize {
        default: if is_toy(dataset) { 256 } else { 128 }, range: Range::Count(1 << 20), absent: None,
        role: Training, label: KeyAndValue, time: true, when: true,
    }
    /// What the outputs are held against (published: cross-entropy; vectors: squared-error).
    objective: Objective {
        default: if dataset.has_images() { Objective::CrossEntropy } else { Objective::SquaredError }, range: Range::Words(|| Objective::WORDS.to_vec()),
        absent: Some(Objective::CrossEntropy),
        role: Training, label: KeyAndValue, time: false, when: true,
        fits: expect(
            c.dataset.has_images() || c.objective == Objective::SquaredError,
            c.objective,
            "squared-error where vectors are wanted",
        ),
    }
    /// What makes of gradients the changes of parameters (published: adamw).
    optimizer: OptimizerName {
        default: OptimizerName::Adamw, range: Range::Words(|| OptimizerName::WORDS.to_vec()),
        absent: Some(OptimizerName::Adamw),
        role: Training, label: KeyAndValue, time: true, when: true,
    }
    /// Learning rate η of adamw and sgd (published: 1e-3).
    learning_rate: f64 {
        default: 1e-3, range: Range::Positive, absent: None,
        role: Training, label: KeyAndValue, time: false, when: true,
    }
    /// Weight decay λ, decoupled but under sgd (published: 0.01; toy-lq: 0).
    weight_decay: f64 {
        default: if is_toy(dataset) { 0.0 } else { 0.01 }, range: Range::NotNegative, absent: None,
        role: Training, label: KeyAndValue, time: false, when: true,
    }
    /// AdamW β₁ (PyTorch's default).
    beta_1: f64 {
        default: 0.9, range: Range::BelowOne, absent: None,
        role: Training, label: KeyAndValue, time: false, when: has_adamw(c),
    }
    /// AdamW β₂ (PyTorch's default).
    beta_2: f64 {
        default: 0.999, range: Range::BelowOne, absent: None,
        role: Training, label: KeyAndValue, time: false, when: has_adamw(c),
    }
    /// AdamW ε (PyTorch's default 1e-8; Burn's is 1e-5).
    epsilon: f64 {
        default: 1e-8, range: Range::NotNegative, absent: None,
        role: Training, label: KeyAndValue, time: false, when: has_adamw(c),
    }
    /// sgd: momentum μ (recommended: 0.9).
    momentum: f64 {
        default: 0.9, range: Range::BelowOne, absent: Some(0.9),
        role: Training, label: KeyAndValue, time: false, when: c.optimizer == OptimizerName::Sgd,
    }
    /// muon: learning rate η' of the blocks' matrices; the others have η (reference: 0.02).
    muon_learning_rate: f64 {
        default: 0.02, range: Range::Positive, absent: Some(0.02),
        role: Training, label: KeyAndValue, time: false, when: c.optimizer == OptimizerName::Muon,
    }
    /// muon: momentum μ, with Nesterov (reference: 0.95).
    muon_momentum: f64 {
        default: 0.95, range: Range::BelowOne, absent: Some(0.95),
        role: Training, label: KeyAndValue, time: false, when: c.optimizer == OptimizerName::Muon,
    }
    /// Learning rate over the epochs (published: cosine; toy-lq: constant).
    schedule: Schedule {
        default: if is_toy(dataset) { Schedule::Constant } else { Schedule::Cosine }, range: Range::Words(|| Schedule::WORDS.to_vec()), absent: None,
        role: Training, label: KeyAndValue, time: false, when: true,
    }
    /// Epochs after which the training had ended and was extended (`train --resume --epochs N`): the
    /// schedule up to each was that of a training of so many.
    extended_at: Vec<usize> {
        default: Vec::new(), range: Range::Epochs, absent: Some(Vec::<usize>::new()),
        role: Training, label: KeyAndValue, time: false,
        when: c.schedule == Schedule::Cosine || c.rule() == Base::CreditBridge,
        fits: expect(
            c.extended_at.iter().chain([&c.epochs]).is_sorted_by(|a, b| a < b)
                && !c.extended_at.contains(&0),
            c.extended_at.value(),
            format!("epochs from 1 to {}, each above the one before", c.epochs.saturating_sub(1)),
        ),
    }
    /// Epochs after which a checkpoint is kept beside the newest one; 0 is the initial network.
    checkpoint_epochs: Vec<usize> {
        default: Vec::new(), range: Range::Epochs, absent: None,
        role: Kept, label: Unsaid, time: false, when: true,
        fits: c.checkpoint_epochs.iter().try_for_each(|&epoch| {
            expect(epoch <= c.epochs, epoch, format!("epochs from 0 to {}", c.epochs))
        }),
    }

    /// Evaluation batches of the probe, from the start of the unshuffled test set (published: 10).
    probe_batches: usize {
        default: 10, range: Range::Count(1 << 20), absent: None,
        role: Protocol, label: Unsaid, time: true, when: true,
    }
    /// Samples of an evaluation batch, on which the reference gradient's scale depends
    /// (published: 128).
    probe_batch_size: usize {
        default: 128, range: Range::Count(1 << 20), absent: None,
        role: Protocol, label: Unsaid, time: true, when: true,
    }
    /// Every so many epochs, and after the last, the ranks of credit, gradients and weight changes are
    /// measured; 0 for never. It costs a singular value decomposition a matrix (recommended: 5, where ranks are
    /// asked for).
    rank_every: usize {
        default: 0, range: Range::Index, absent: Some(0),
        role: Protocol, label: Unsaid, time: false, when: true,
    }
    /// Growth per block above which scale stability fires (published: 50).
    threshold_growth: f64 {
        default: 50.0, range: Range::NotNegative, absent: None,
        role: Threshold, label: Unsaid, time: false, when: true,
    }
    /// Median ‖g_L‖ below which reference validity fires (published: 1e-7 at N = 128).
    threshold_reference: f64 {
        default: 1e-7, range: Range::NotNegative, absent: None,
        role: Threshold, label: Unsaid, time: false, when: true,
    }
    /// Mean pairwise cosine between batches above which stability fires (published: 0.30).
    threshold_stability: f64 {
        default: 0.30, range: Range::Finite, absent: None,
        role: Threshold, label: Unsaid, time: false, when: true,
    }
    /// Percentage points over the frozen baseline below which depth utility fires (published: 2).
    threshold_depth_utility: f64 {
        default: 2.0, range: Range::Finite, absent: None,
        role: Threshold, label: Unsaid, time: false, when: true,
    }

    /// Test images of the controls that run the network again (published for ρ: 1024; vit-mini,
    /// whose blocks see 65 tokens an image, and convolutional networks: 128).
    control_samples: usize {
        default: if arch == Arch::VitMini || arch.is_convolutional() { 128 } else { 1024 },
        range: Range::Count(1 << 20), absent: None,
        role: Protocol, label: Unsaid, time: false, when: true,
    }
    /// Fresh feedback draws of the null calibration (published: 20).
    null_draws: usize {
        default: 20, range: Range::Count(1 << 16), absent: None,
        role: Protocol, label: Unsaid, time: false, when: true,
    }
    /// Random directions a layer of the perturbation correlation ρ (published: 32).
    perturbation_directions: usize {
        default: 32, range: Range::Count(1 << 16), absent: None,
        role: Protocol, label: Unsaid, time: false, when: true,
    }
    /// Length ε of a perturbation (published: 1e-3).
    perturbation_epsilon: f64 {
        default: 1e-3, range: Range::Positive, absent: None,
        role: Protocol, label: Unsaid, time: false, when: true,
    }
    /// Step η of the nudging test along the RMS-normalised credit (published: 0.01).
    nudge_step: f64 {
        default: 0.01, range: Range::Positive, absent: None,
        role: Protocol, label: Unsaid, time: false, when: true,
    }
    /// Length of the descent test's step over the norm of the block's parameters (recommended:
    /// 1e-3, about one AdamW step at the published learning rate).
    descent_step: f64 {
        default: 1e-3, range: Range::Positive, absent: None,
        role: Protocol, label: Unsaid, time: false, when: true,
    }

    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    device: String {
        default: "auto".into(), range: Range::Device, absent: None,
        role: Place, label: Unsaid, time: true, when: true,
    }
    /// `flex` or `ndarray` on the CPU, `cuda` on the GPU.
    backend: BackendName {
        default: BackendName::of_this_build(),
        range: Range::Words(|| BackendName::WORDS.to_vec()), absent: None,
        role: Arithmetic, label: Unsaid, time: true, when: true,
        fits: expect(
            c.device == "auto" || is_cuda(&c.device) == (c.backend == BackendName::Cuda),
            c.backend,
            if is_cuda(&c.device) { "cuda on this device" } else { "flex or ndarray on the CPU" },
        ),
    }
    /// Threads of the matrix products, on `flex`; above one, another makes the batches. The numbers
    /// do not depend on it. One is best where runs train side by side, in processes of their own.
    threads: usize {
        default: 1, range: Range::Count(256), absent: None,
        role: Place, label: Unsaid, time: true, when: c.backend == BackendName::Flex,
        fits: expect(
            c.threads == 1 || c.backend == BackendName::Flex,
            c.threads,
            "1, or more on the backend flex",
        ),
    }
    /// Matrix products on a GPU: `f32`, or `tf32`, which is faster and rounds their operands. A CPU
    /// always has `f32`.
    matmul_precision: MatmulPrecision {
        default: MatmulPrecision::F32, range: Range::Words(|| MatmulPrecision::WORDS.to_vec()),
        absent: Some(MatmulPrecision::F32),
        role: Arithmetic, label: Unsaid, time: true, when: true,
        fits: expect(
            c.device == "auto" || c.matmul_precision == MatmulPrecision::F32 || is_cuda(&c.device),
            c.matmul_precision,
            "f32 on the CPU",
        ),
    }
}

/// `dfa`, `frozen(dfa)`.
fn method(c: &Config) -> String {
    match c.method.rule() {
        Some(_) => c.method.to_string(),
        None => format!("{}({})", c.method, c.base),
    }
}

/// Of a configuration that may not have been checked.
fn trained_blocks(c: &Config) -> usize {
    c.depth.saturating_sub(c.frozen_blocks)
}

/// Whether a network's blocks may be of two maps, one behind the other.
fn has_two_maps(c: &Config) -> bool {
    !matches!(c.arch, Arch::VitMini | Arch::Mlp | Arch::Student | Arch::Lq)
        && !c.arch.is_convolutional()
}

/// Whether a network may have tokens.
fn may_have_tokens(c: &Config) -> bool {
    !matches!(c.arch, Arch::ResMlp | Arch::Mlp | Arch::Student | Arch::Lq)
        && !c.arch.is_convolutional()
}

fn depth(arch: Arch) -> usize {
    match arch {
        Arch::Lq => 12,
        Arch::SmallCnn | Arch::SmallResNet => 3,
        Arch::Vgg16 => 12,
        Arch::ResNet18 => 8,
        Arch::ResNet20 => 9,
        Arch::ResNet56 => 27,
        _ => 4,
    }
}

fn width(arch: Arch) -> usize {
    match arch {
        Arch::Lq => 64,
        Arch::VitMini | Arch::Student => 128,
        Arch::SmallCnn | Arch::SmallResNet => 32,
        Arch::AlexNet | Arch::Vgg16 | Arch::ResNet18 => 64,
        Arch::ResNet20 | Arch::ResNet56 => 16,
        _ => 256,
    }
}

fn epochs(dataset: DatasetKind) -> usize {
    match dataset {
        DatasetKind::Synthetic => 15,
        DatasetKind::Cifar10 | DatasetKind::Cifar100 => 100,
        DatasetKind::ToyLq => 10,
        DatasetKind::Student => 80,
    }
}

fn is_toy(dataset: DatasetKind) -> bool {
    dataset == DatasetKind::ToyLq
}

/// Whether a norm usually stands before the head.
fn may_have_norm(arch: Arch) -> bool {
    !matches!(arch, Arch::Mlp | Arch::Student | Arch::Lq) && !arch.is_convolutional()
}

/// Whether a network's layers are usually passed by nothing.
fn is_plain(arch: Arch) -> bool {
    arch == Arch::Mlp || arch.is_convolutional()
}

/// Whether a network has an activation and a norm to choose.
fn has_activation(arch: Arch) -> bool {
    arch == Arch::Mlp || arch.is_convolutional()
}

/// `LN` or `no LN`, where it is not as usual.
fn with_or_without(has: bool, usual: bool, what: &str) -> Option<String> {
    (has != usual).then(|| format!("{}{what}", if has { "" } else { "no " }))
}

/// `what` and `value`, where it is to be said.
fn said(is_said: bool, what: &str, value: impl std::fmt::Display) -> Option<String> {
    is_said.then(|| format!("{what}{value}"))
}

/// Whether the rule draws feedback once, which its keys shape.
fn has_feedback(c: &Config) -> bool {
    match c.rule() {
        Base::Bp | Base::Usf | Base::Brsf | Base::StateBridge | Base::Ep => false,
        Base::CreditBridge => c.warm_up_epochs() > 0,
        _ => true,
    }
}

fn has_learning_auxiliary(c: &Config) -> bool {
    c.rule().has_auxiliary() && c.auxiliary != Auxiliary::Untrained
}

fn has_learning_value(c: &Config) -> bool {
    c.rule() == Base::CreditBridge && c.auxiliary != Auxiliary::Untrained
}

/// Whether AdamW moves something.
fn has_adamw(c: &Config) -> bool {
    c.optimizer != OptimizerName::Sgd || has_learning_auxiliary(c)
}

/// Whether an exact gradient has something to train.
fn anchors(c: &Config) -> bool {
    c.rule().is_local() && !c.is_baseline() && !c.has_frozen_network() && c.arch != Arch::Lq
}

/// Whether the rule has a credit that a network which stays can be seen with.
fn learns_beside(c: &Config) -> bool {
    c.method.rule().is_some_and(Base::is_local)
}

const BESIDE: &str = "it left out, or a method whose credit is formed beside the network (fa-audit methods: \
                      local): the network of the checkpoint stays as it is";

fn shown<T: Typed>(value: &T) -> String {
    value.value().to_string()
}

const ONE_VECTOR: &str = "a rule without an auxiliary network, and not grape, which see one vector of one width: vit-mini \
                          has several tokens, and the feature maps of convolutional networks differ in size";

/// Whether what an auxiliary network sees of a sample is one row, as wide at every layer.
fn one_vector(c: &Config) -> bool {
    !((c.rule().has_auxiliary() || c.rule() == Base::Grape)
        && (c.arch == Arch::VitMini || c.arch.is_convolutional()))
}

const SQUARE: &str = "another rule: the feedback of fa is a square matrix from block to block, and feature maps differ \
                      in size; layer-fa crosses each convolution through a kernel of its own";

/// Whether block-wise feedback has a shape.
fn square(c: &Config) -> bool {
    !(c.rule() == Base::Fa && c.arch.is_convolutional())
}
