"""Golden numbers for update rules (AdamW, SGD, Muon) and for layer-wise feedback.

Usage:  python tests/golden/make_update_rules.py            writes update_rules.json beside this file
        python tests/golden/make_update_rules.py --check    compares update_rules.json with a fresh run
Needs PyTorch and NumPy, CPU, seconds.  Everything is float64; w(p, k) is `wave` of make_golden.py.

UPDATE RULES ("update_rules").  Five steps on one matrix from zero state.  Matrices are PyTorch's [out, in], row-major.
  "matrices" holds for each shape the start, w(0, k) to four decimals, and the gradients of the five steps, w(t, k)
  scaled by 1, .3, .03, 1, .001 for t = 1 .. 5, to six decimals: what is stored is what was used, exactly.
  "cases" holds the matrix after each of the five steps:
  adamw  PyTorch's AdamW: lr 1e-3, betas .9 .999, eps 1e-8, weight decay .01 (decoupled).
  sgd    PyTorch's SGD, lr .1, weight decay .01 (coupled: g <- g + .01 theta), nesterov off.  Momentum .9 as
         buf <- .9 buf + g, theta <- theta - lr buf, where the first step's buf is g itself; and momentum 0.
  muon   The formulas of github.com/KellerJordan/Muon (muon.py, `muon_update`), in NumPy and float64 (there the
         iteration runs in bfloat16):
           buf <- buf + (1 - .95) (g - buf);  n = g + .95 (buf - g)                    momentum as an average, Nesterov
           X <- n / (|n|_F + 1e-7), transposed where rows > columns
           five times A = X X^T, X <- a X + (b A + c A A) X, (a, b, c) = (3.4445, -4.7750, 2.0315), transposed back
           theta <- theta (1 - lr .01) - lr sqrt(max(1, rows / columns)) X             lr .02, rows = out
         "orthogonalised" is X of the first step.

LAYER-WISE FEEDBACK ("feedback").  The resmlp of make_golden.py with width 6 and 2 blocks: parameters, inputs and labels
  by the same formulas (weights [in, out]).  The forward pass is the network's; in the backward pass of every
  affine map y = x W + b but the embedding's, dL/dx = dL/dy B^T in the place of dL/dy W^T, B [in, out]; the
  gradients of W and b, of LayerNorm and GELU are as ever.
  bp      B = W.
  random  B = w(3000 + i, k) / sqrt(in) for the i-th of these maps in the network's order.
  sign    B = s sign(W), s = 1 / sqrt(in).
  "matrices" holds B, "hidden" dL/dh_l as this backward pass brings it, l = 0 .. 2, L the batch-mean cross-entropy,
  "gradient" what every parameter receives.  Tensors are written as in golden.json, with up to 64 elements in "head": but
  for inputs and the embedding's weight, all of them.
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

from make_golden import LABELS, ResMlp, compare, inputs, number, relative, summary, wave, write

OUT = pathlib.Path(__file__).with_name("update_rules.json")
ADAMW = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}
SGD = [{"lr": 0.1, "momentum": momentum, "weight_decay": 0.01} for momentum in (0.9, 0.0)]
MUON = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.01}
SHAPES = [(4, 6), (6, 4), (6, 6)]
SCALES = [1.0, 0.3, 0.03, 1.0, 0.001]
WHOLE = 64  # elements of a tensor under "head"


# ---------------------------------------------------------------------------------------------------- update rules
def problem(shape):
    """A start and five gradients of this shape, of few decimals."""
    start = np.round(wave(0, shape).numpy(), 4)
    return start, [np.round(scale * wave(t, shape).numpy(), 6) for t, scale in enumerate(SCALES, 1)]


def with_torch(optimizer, start, gradients, **how):
    """The matrix after each step of PyTorch's optimiser."""
    theta = torch.tensor(start, requires_grad=True)
    optimizer = optimizer([theta], **how)
    after = []
    for gradient in gradients:
        theta.grad = torch.tensor(gradient)
        optimizer.step()
        after.append(theta.detach().numpy().copy())
    return after


def orthogonalised(n):
    x = n / (np.linalg.norm(n) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def muon(start, gradients, lr, momentum, weight_decay):
    """The matrix after each step, and the first step's orthogonalised matrix."""
    theta, buffer, after, first = start, np.zeros_like(start), [], None
    for gradient in gradients:
        buffer = buffer + (1 - momentum) * (gradient - buffer)
        x = orthogonalised(gradient + momentum * (buffer - gradient))
        first = x if first is None else first
        rows, columns = start.shape
        theta = theta * (1 - lr * weight_decay) - lr * math.sqrt(max(1, rows / columns)) * x
        after.append(theta)
    return after, first


def adamw_by_hand(start, gradients, lr, betas, eps, weight_decay):
    theta, m, v, after = start, 0, 0, []
    for t, g in enumerate(gradients, 1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        along = (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
        theta = theta * (1 - lr * weight_decay) - lr * along
        after.append(theta)
    return after


def sgd_by_hand(start, gradients, lr, momentum, weight_decay):
    theta, buffer, after = start, 0, []
    for g in gradients:
        buffer = momentum * buffer + g + weight_decay * theta
        theta = theta - lr * buffer
        after.append(theta)
    return after


def far(some, others):
    """The largest difference of an element in two lists of matrices."""
    return max(float(np.abs(a - b).max()) for a, b in zip(some, others, strict=True))


def update_rules():
    matrices, cases = {}, []
    for shape in SHAPES:
        start, gradients = problem(shape)
        name = "x".join(map(str, shape))
        matrices[name] = {"start": matrix(start), "gradients": [matrix(g) for g in gradients]}
        if shape == SHAPES[0]:
            after = with_torch(torch.optim.AdamW, start, gradients, **ADAMW)
            check("AdamW by hand", far(after, adamw_by_hand(start, gradients, **ADAMW)), 1e-15)
            cases.append({"rule": "adamw", **ADAMW, "matrix": name, "after": [matrix(m) for m in after]})
            for how in SGD:
                after = with_torch(torch.optim.SGD, start, gradients, **how)
                check(f"SGD by hand, {how}", far(after, sgd_by_hand(start, gradients, **how)), 1e-15)
                cases.append({"rule": "sgd", **how, "matrix": name, "after": [matrix(m) for m in after]})
        after, first = muon(start, gradients, **MUON)
        # PyTorch's Muon iterates in bfloat16: eight bits, which five steps amplify.
        theirs = with_torch(torch.optim.Muon, start, gradients, **MUON)
        check(f"PyTorch's Muon, {name}, over lr", far(after, theirs) / MUON["lr"], 0.2)
        # Singular vectors of n, singular values near 1.
        n = (1 - 0.95**2) * gradients[0]
        u, _, v = np.linalg.svd(n, full_matrices=False)
        inner = u.T @ first @ v.T
        check(f"Muon keeps singular vectors, {name}", far([inner], [np.diag(np.diag(inner))]), 1e-12)
        check(f"Muon's singular values from 1, {name}", far([np.diag(inner)], [np.ones(len(inner))]), 0.35)
        cases.append({"rule": "muon", **MUON, "matrix": name, "orthogonalised": matrix(first),
                      "after": [matrix(m) for m in after]})
    return {"matrices": matrices, "cases": cases}


# --------------------------------------------------------------------------------------------- layer-wise feedback
class Affine(torch.autograd.Function):
    """y = x W + b, whose backward pass takes the gradient to x through B^T."""

    @staticmethod
    def forward(ctx, x, weight, bias, back):
        ctx.save_for_backward(x, back)
        return x @ weight + bias

    @staticmethod
    def backward(ctx, gradient):
        x, back = ctx.saved_tensors
        return gradient @ back.T, x.T @ gradient, gradient.sum(0), None


class Feedback(ResMlp):
    """The resmlp with B by the name of its map; a map without one is as ever."""

    def __init__(self, width=6, depth=2):
        super().__init__(torch.float64, width, depth)
        self.back = {}

    def maps(self):
        names = [n.removesuffix(".weight") for n in self.w if n.endswith(".weight")]
        return [n for n in names if n != "embed"]

    def linear(self, name, x):
        if name not in self.back:
            return super().linear(name, x)
        return Affine.apply(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], self.back[name])


def matrices_of(kind, net):
    found = {}
    for i, name in enumerate(net.maps()):
        weight = net.w[f"{name}.weight"].detach()
        scale = 1 / math.sqrt(weight.shape[0])
        found[name] = {"bp": weight, "random": wave(3000 + i, weight.shape) * scale, "sign": weight.sign() * scale}[kind]
    return found


def backward_pass(kind):
    """Hidden states, logits, loss, dL/dh_l and the parameters' gradients under these matrices."""
    net = Feedback()
    net.back = matrices_of(kind, net)
    hidden, _, logits = net.forward(inputs())
    loss = F.cross_entropy(logits, torch.tensor(LABELS))
    every = torch.autograd.grad(loss, hidden + list(net.w.values()))
    gradient = dict(zip(net.w, every[len(hidden):], strict=True))
    return net, hidden, logits, loss, every[:len(hidden)], gradient


def by_hand(net, hidden, logits):
    """dL/dh_l once more: the matrices by hand, LayerNorm and GELU by their own vector-Jacobian products."""
    def pulled(function, at, gradient):
        return torch.autograd.functional.vjp(function, at, gradient)[1]

    y = F.one_hot(torch.tensor(LABELS), logits.shape[1])
    error = (logits.softmax(-1) - y) / len(LABELS)
    found = [pulled(lambda h: net.norm("readout.norm", h), hidden[-1], error @ net.back["readout.head"].T)]
    for l in reversed(range(net.depth)):
        b = f"blocks.{l}"
        inner = net.linear(f"{b}.linear1", net.norm(f"{b}.norm", hidden[l]))
        above = pulled(F.gelu, inner, found[0] @ net.back[f"{b}.linear2"].T) @ net.back[f"{b}.linear1"].T
        found.insert(0, found[0] + pulled(lambda h, b=b: net.norm(f"{b}.norm", h), hidden[l], above))
    return found


def feedback():
    net, hidden, logits, loss, *_ = backward_pass("bp")
    tensor = lambda t: summary(t.detach(), WHOLE)
    out = {"width": net.width, "depth": net.depth, "inputs": tensor(inputs()), "labels": LABELS,
           "weights": {n: tensor(w) for n, w in net.w.items()}, "states": [tensor(h) for h in hidden],
           "logits": tensor(logits), "loss": number(float(loss.detach()))}
    plain = ResMlp(torch.float64, net.width, net.depth)
    states = plain.forward(inputs())[0]
    true = torch.autograd.grad(F.cross_entropy(plain.readout(states[-1]), torch.tensor(LABELS)),
                               states + list(plain.w.values()))
    for kind in ("bp", "random", "sign"):
        net, hidden, logits, _, credit, gradient = backward_pass(kind)
        worst = max(map(relative, credit, by_hand(net, [h.detach() for h in hidden], logits.detach())))
        check(f"dL/dh_l by hand, {kind}", worst, 1e-14)
        if kind == "bp":
            check("B = W is backpropagation", max(map(relative, [*credit, *gradient.values()], true)), 1e-14)
        out[kind] = {"matrices": {n: tensor(b) for n, b in net.back.items()}, "hidden": [tensor(a) for a in credit],
                     "gradient": {n: tensor(g) for n, g in gradient.items()}}
    return out


# ------------------------------------------------------------------------------------------------------------ JSON
def check(what, value, bound):
    print(f"  {what}: {value:.1e} (bound {bound:.0e})")
    assert value <= bound, what


def matrix(values):
    """{"shape", "head"}, all elements row-major."""
    return {"shape": list(values.shape), "head": [number(float(v)) for v in values.flatten()]}


def main():
    out = {"made_by": "python tests/golden/make_update_rules.py", "torch": torch.__version__,
           "definitions": "see the docstring of make_update_rules.py",
           "update_rules": update_rules(), "feedback": feedback()}
    text = write(out) + "\n"
    fresh = json.loads(text)
    if "--check" in sys.argv[1:]:
        stored = json.loads(OUT.read_text())
        worst = max(compare(stored[k], fresh[k]) for k in ("update_rules", "feedback"))
        print(f"largest difference from {OUT.name} (made with torch {stored['torch']}): {worst:.1e}")
        sys.exit(worst > 1e-9)
    assert len(text) < 100_000, len(text)
    OUT.write_text(text)
    print(f"wrote {OUT} ({len(text)} bytes)")


if __name__ == "__main__":
    main()
