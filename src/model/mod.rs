//! Networks. Everything that trains or audits speaks only of a list of residual branches:
//! `embed(x) → h_0`, `branch(l, h_l) → f_l`, `readout(h_L) → logits`. A network's file implements
//! [`Network`] and says its [`Outline`]; its line stands in `crate::tables`.

// `Net`: a program holds one or two networks, and the size of the smaller variant is of no account.
#![allow(clippy::large_enum_variant)]

mod activity;
mod batch;
mod batch_norm;
mod convolution;
mod init;
mod layer_norm;
mod linear;
mod lq;
mod mlp;
mod objective;
mod outline;
mod parameters;
mod pass;
mod resmlp;
mod resnet;
mod stack;
mod student;
mod tangent;
mod target;
mod vit_mini;

pub use batch::batch_tensors;
pub use batch_norm::BatchNorm;
pub use convolution::Convolution;
pub use init::{Draw, draw_values};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use lq::Lq;
pub use mlp::Mlp;
pub use objective::{hits, hits_among};
pub use outline::{CreditAt, Map, Outline, Size, parameter_count};
pub use parameters::{
    Change, NamedTensors, Part, assign, export, freeze, gradients, map_named, matrices,
    without_gradient,
};
pub use pass::{Buffer, Buffers, Mode, Pass, Transport, buffers_from, initial_buffers};
pub use resmlp::ResMlp;
pub use resnet::ResNet as ResNet18;
pub use resnet::ResNet as ResNet20;
pub use resnet::ResNet as ResNet56;
pub use resnet::ResNet as SmallResNet;
pub use resnet::stage_of;
pub use stack::Stack as AlexNet;
pub use stack::Stack as SmallCnn;
pub use stack::Stack as Vgg16;
pub use stack::sequential_place;
pub use student::Student;
pub use target::{Target, Wanted};
pub use vit_mini::VitMini;

use crate::backend::{Affine, Kernels, Window};
use crate::config::{Arch, Config};
use crate::tables::networks;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// `rest` + x W + b, the map not yet applied: rest [N, tokens, d], x [N · tokens, in].
pub struct Ending<B: Backend> {
    pub rest: Option<Tensor<B, 3>>,
    pub x: Tensor<B, 2>,
    pub map: Affine<B>,
}

/// A network of L residual blocks on N samples. A hidden state is [N, tokens, d]; a network
/// without tokens has one.
pub trait Network<B: Kernels>: Module<B> {
    /// Number of residual blocks L.
    fn blocks(&self) -> usize;

    /// h_0 of images [N, 3072], normalised, channel planes in row-major order.
    fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3>;

    /// f_l(h_l), the branch alone: the caller adds the skip.
    fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3>;

    /// [`Network::embed`] where it ends in an affine map: what a credit can reach cheaply.
    fn embed_ending(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Option<Ending<B>> {
        let _ = (images, pass);
        None
    }

    /// [`Network::branch`], likewise.
    fn branch_ending(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Option<Ending<B>> {
        let _ = (l, hidden, pass);
        None
    }

    /// What of h_l reaches h_{l+1} past the branch: h_l itself under an identity skip; `None` where
    /// h_{l+1} = f_l(h_l).
    fn skip(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Option<Tensor<B, 3>>;

    /// The outputs [N, classes] of h_L: logits.
    fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2>;

    /// What slides over h_l, where that is a feature map and a convolution reads it.
    fn window(&self, l: usize) -> Option<Window> {
        let _ = l;
        None
    }

    /// f_l and its derivative along `along`, both [N, T, d]; `None` where the network has no tangents.
    fn branch_tangent(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        along: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Option<[Tensor<B, 3>; 2]> {
        let _ = (l, hidden, along, pass);
        None
    }

    /// The derivative of the outputs [N, classes] along `along` [N, T, d] at h_L, likewise.
    fn readout_tangent(
        &self,
        hidden: Tensor<B, 3>,
        along: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Option<Tensor<B, 2>> {
        let _ = (hidden, along, pass);
        None
    }

    /// h_{l+1} from h_l and f_l.
    fn advance(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        branch: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Tensor<B, 3> {
        match self.skip(l, hidden, pass) {
            Some(skip) => skip + branch,
            None => branch,
        }
    }

    /// The derivative of the outputs [N, classes] along `along` at h_l, both [N, T, d]: one forward pass;
    /// `None` where the network has no tangents. Its skips are linear.
    fn outputs_tangent(
        &self,
        l: usize,
        hidden: Tensor<B, 3>,
        along: Tensor<B, 3>,
        pass: &mut Pass<B>,
    ) -> Option<Tensor<B, 2>> {
        let (mut hidden, mut along) = (hidden, along);
        for l in l..self.blocks() {
            let [branch, slope] = self.branch_tangent(l, hidden.clone(), along.clone(), pass)?;
            hidden = self.advance(l, hidden, branch, pass);
            along = self.advance(l, along, slope, pass);
        }
        self.readout_tangent(hidden, along, pass)
    }

    /// The outputs [N, classes] of h_l: the blocks from l on, and the readout.
    fn outputs_from(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
        let top = (l..self.blocks()).fold(hidden, |hidden, l| {
            let branch = self.branch(l, hidden.clone(), pass);
            self.advance(l, hidden, branch, pass)
        });
        self.readout(top, pass)
    }
}

macro_rules! nets {
    ($($(#[$doc:meta])* $net:ident = $word:literal in $file:ident,)+) => {
        /// The networks that can be trained and audited.
        #[derive(Module, Debug)]
        pub enum Net<B: Backend> {
            $($(#[$doc])* $net($net<B>),)+
        }

        impl<B: Kernels> Net<B> {
            /// The network of `config`, for `classes` classes, initialised from the streams
            /// `init/<parameter>` of the configuration's seed.
            pub fn new(config: &Config, classes: usize, device: &B::Device) -> Self {
                match config.arch {
                    $(Arch::$net => Self::$net($net::new(config, classes, device)),)+
                }
            }
        }

        impl<B: Kernels> Network<B> for Net<B> {
            fn blocks(&self) -> usize {
                match self { $(Self::$net(net) => net.blocks(),)+ }
            }

            fn embed(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Tensor<B, 3> {
                match self { $(Self::$net(net) => net.embed(images, pass),)+ }
            }

            fn branch(&self, l: usize, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 3> {
                match self { $(Self::$net(net) => net.branch(l, hidden, pass),)+ }
            }

            fn embed_ending(&self, images: Tensor<B, 2>, pass: &mut Pass<B>) -> Option<Ending<B>> {
                match self { $(Self::$net(net) => net.embed_ending(images, pass),)+ }
            }

            fn branch_ending(
                &self,
                l: usize,
                hidden: Tensor<B, 3>,
                pass: &mut Pass<B>,
            ) -> Option<Ending<B>> {
                match self { $(Self::$net(net) => net.branch_ending(l, hidden, pass),)+ }
            }

            fn skip(
                &self,
                l: usize,
                hidden: Tensor<B, 3>,
                pass: &mut Pass<B>,
            ) -> Option<Tensor<B, 3>> {
                match self { $(Self::$net(net) => net.skip(l, hidden, pass),)+ }
            }

            fn readout(&self, hidden: Tensor<B, 3>, pass: &mut Pass<B>) -> Tensor<B, 2> {
                match self { $(Self::$net(net) => net.readout(hidden, pass),)+ }
            }

            fn window(&self, l: usize) -> Option<Window> {
                match self { $(Self::$net(net) => net.window(l),)+ }
            }

            fn branch_tangent(
                &self,
                l: usize,
                hidden: Tensor<B, 3>,
                along: Tensor<B, 3>,
                pass: &mut Pass<B>,
            ) -> Option<[Tensor<B, 3>; 2]> {
                match self { $(Self::$net(net) => net.branch_tangent(l, hidden, along, pass),)+ }
            }

            fn readout_tangent(
                &self,
                hidden: Tensor<B, 3>,
                along: Tensor<B, 3>,
                pass: &mut Pass<B>,
            ) -> Option<Tensor<B, 2>> {
                match self { $(Self::$net(net) => net.readout_tangent(hidden, along, pass),)+ }
            }
        }

        /// What is known of the network of `config` for `classes` classes before it is built.
        pub fn outline(config: &Config, classes: usize) -> Outline {
            match config.arch {
                $(Arch::$net => $file::outline(config, classes),)+
            }
        }
    };
}
networks!(nets);

/// The example of the guide.
#[cfg(test)]
#[path = "../../data/guide/examples/res_linear.rs"]
pub mod guide_example;
