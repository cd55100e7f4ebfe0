"""Records a trace of a PyTorch network for `fa-audit diagnose`. One file, to be copied; needs torch, and
safetensors for .safetensors or numpy for .npz.

    from pytorch import Recorder
    recorder = Recorder(net, layers=[net.embed, *net.blocks])       # modules whose outputs are h_0 ... h_L
    for x, y in evaluation_batches:                                 # ten of 128, never shuffled
        recorder.record(x, y, credit=lambda h, logits: [...])       # the method's a_0 ... a_L, each [N, d]
    recorder.save("trace.safetensors", method="dfa", arch="mlp", seed=42, epoch=30,
                  accuracy=0.31, frozen_accuracy=0.35)              # fractions, on the whole test set

The reference gradient g_l is backpropagation's, taken by hooks in one uncut backward pass. Where the
network's own backward pass *is* the method (BioTorch), give its plain twin as `reference`, a network of the
same weights: then a_l is what the network's own backward pass brings to h_l, and g_l what the twin's does.
"""

import torch


class Recorder:
    def __init__(self, net, layers, loss=torch.nn.functional.cross_entropy, loss_reduction="mean",
                 forward=lambda net, x, y: net(x), reference=None, reference_layers=None):
        """`loss(logits, y)` reduces over the batch as `loss_reduction` says (mean or sum); `forward` calls
        the network where `net(x)` does not; `reference` and `reference_layers` are the plain twin."""
        self.net, self.layers, self.forward = net, list(layers), forward
        self.loss, self.loss_reduction = loss, loss_reduction
        self.reference, self.reference_layers = reference, reference_layers
        self.tensors, self.batches = {}, 0

    def record(self, x, y, credit=None):
        """One batch: inputs x [N, ...], classes y [N]. `credit(hidden, logits)` returns a_0 ... a_L; without
        it and without a `reference` no credit is recorded."""
        hidden, gradient, logits = _observe(self.net, self.layers, self.forward, self.loss, x, y)
        found = {"h": hidden, "g": gradient}
        if self.reference is not None:
            plain = lambda net, x, y: net(x)
            _, true, _ = _observe(self.reference, self.reference_layers, plain, self.loss, x, y)
            found |= {"g": true, "a": gradient}
        if credit is not None:
            with torch.no_grad():
                found["a"] = credit(hidden, logits)
        k = self.batches
        for field, states in found.items():
            for l, state in enumerate(states):
                self.tensors[f"batch.{k}.{field}.{l}"] = _flat(state)
        self.tensors[f"batch.{k}.logits"] = _flat(logits)
        self.tensors[f"batch.{k}.labels"] = y.detach().cpu()
        self.batches += 1

    def save(self, path, **metadata):
        """Writes .safetensors or .npz. Metadata: method, arch, dataset, seed, epoch, epochs, accuracy,
        frozen_accuracy, terminal_norm, tokens (cls or mean, where states are [N, tokens, d])."""
        metadata = {"fa_trace": "1", "loss_reduction": self.loss_reduction, **metadata}
        metadata = {key: str(value) for key, value in metadata.items() if value is not None}
        if str(path).endswith(".npz"):
            import numpy
            numpy.savez(path, **metadata, **{name: t.numpy() for name, t in self.tensors.items()})
        else:
            from safetensors.torch import save_file
            save_file({name: t.contiguous() for name, t in self.tensors.items()}, path, metadata)


def _observe(net, layers, forward, loss, x, y):
    """h_l, the gradient that the backward pass brings to it, and the logits."""
    outputs = [None] * len(layers)

    def keep(l):
        def hook(module, inputs, output):
            outputs[l] = output if output.requires_grad else output.requires_grad_()
        return hook

    handles = [layer.register_forward_hook(keep(l)) for l, layer in enumerate(layers)]
    try:
        with torch.enable_grad():
            logits = forward(net, x, y)
            gradient = torch.autograd.grad(loss(logits, y), outputs)
    finally:
        for handle in handles:
            handle.remove()
    return [h.detach() for h in outputs], gradient, logits.detach()


def _flat(tensor):
    """On the host; feature maps [N, channels, height, width] as [N, features]."""
    tensor = tensor.detach().cpu()
    return tensor.flatten(1) if tensor.dim() > 3 else tensor
