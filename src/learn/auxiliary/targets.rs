//! What an auxiliary network learns in its twins: a credit that its true targets did not make, but
//! whatever else a network that learns brings.

use super::inputs::indices;
use crate::config::Auxiliary;
use crate::learn::Turn;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use rand::RngExt;

/// The targets of one batch.
pub struct Targets {
    auxiliary: Auxiliary,
    turn: Turn,
    /// Whose targets each sample has.
    order: Vec<usize>,
}

impl Targets {
    /// Of a batch of N samples.
    pub fn of(auxiliary: Auxiliary, turn: Turn, samples: usize) -> Self {
        Self { auxiliary, turn, order: one_cycle(turn, samples) }
    }

    /// What is learned in the place of `target` [N, _], which is called `what`.
    pub fn of_true<B: Backend>(&self, target: Tensor<B, 2>, what: &str) -> Tensor<B, 2> {
        match self.auxiliary {
            Auxiliary::Learned | Auxiliary::Untrained => target,
            Auxiliary::Shuffled => {
                let order = indices(self.order.iter().copied(), &target.device());
                target.select(0, order)
            }
            Auxiliary::Random => {
                let (shape, device) = (target.dims(), target.device());
                let size = target.square().mean().sqrt().unsqueeze_dim(0);
                self.normals::<B>(shape, what, &device) * size
            }
            Auxiliary::ZeroTarget => target.zeros_like(),
        }
    }

    /// Standard normal numbers of this batch.
    pub fn normals<B: Backend>(
        &self,
        shape: [usize; 2],
        what: &str,
        device: &B::Device,
    ) -> Tensor<B, 2> {
        self.turn.normals(shape, what, device)
    }
}

/// A permutation of one cycle (Sattolo 1986): no sample keeps its own place, if it is not alone.
fn one_cycle(turn: Turn, samples: usize) -> Vec<usize> {
    let mut stream = turn.stream("order");
    let mut order: Vec<usize> = (0..samples).collect();
    for i in (1..samples).rev() {
        order.swap(i, stream.random_range(0..i));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffled_batch_leaves_no_sample_its_own_target() {
        for samples in [2, 3, 128] {
            let turn = Turn { seed: 1, epoch: 1, step: samples };
            let order = one_cycle(turn, samples);
            assert!(order.iter().enumerate().all(|(i, &other)| i != other), "{order:?}");
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..samples));
            assert_ne!(order, one_cycle(Turn { epoch: 2, ..turn }, 128));
        }
        assert_eq!(one_cycle(Turn { seed: 1, epoch: 1, step: 0 }, 1), [0]);
    }
}
