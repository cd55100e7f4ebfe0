#!/usr/bin/env python3
"""Golden numbers from PyTorch for a small ResMLP and a small ViT-Mini.

Usage:  python tests/golden/make_golden.py            writes golden.json beside this file
        python tests/golden/make_golden.py --check    compares golden.json with a fresh run
Needs PyTorch only (made with the version named in golden.json), CPU, one thread, about ten seconds.

Everything is computed in float64 from formulas, so that a test rebuilds every tensor without files; the same
program run in float32 gives the distances under "float32_distance".

TENSORS.  Tensor number p, flat row-major element k (both from 0) is  s * w(p, k),  with K = k + 1, P = p + 1 and
  w = ((40503 K^2 + 30011 K P + 12345 P) mod 65521) / 32760.5 - 1,  exact integers before the division.
  Linear weights are [in, out] (y = x W + b), s = 1/sqrt(in).  Biases, LayerNorm beta: s = 0.05.
  LayerNorm gamma: 1 + 0.1 w.  Class token [1,1,d], positions [1,T,d]: s = 0.5.
  p counts the parameters in the order of `resmlp_layout` / `vit_layout` below.
  Inputs x [N, 3072] (N = 6): x_k = sin(0.013 (k+1)) over the flat tensor; labels 3 1 4 1 5 9.
  DFA feedback B_l [d, C]: p = 1000 + l, s = 1/sqrt(C).  FA feedback B_l [d, d]: p = 2000 + l, s = 1/sqrt(d).

NETWORKS.  LayerNorm eps 1e-5 with affine, GELU exact (erf), h_{l+1} = h_l + f_l(h_l).
  resmlp:    h_0 = x We + be;  f(h) = GELU(LN(h) W1 + b1) W2 + b2;  logits = LN(h_L) Wh + bh.
  vit-mini:  x [N,3,32,32] cut into 8x8 patches (row-major; a patch is flattened channel, row, column), patch
             Linear, tokens = [cls; patches] + positions;  f(h) = a + mlp(LN2(h + a)),  a = attn(LN1(h)),
             heads are contiguous chunks of width d/heads, scores over sqrt(d/heads);  logits from LN(h_L)'s cls token.

CREDIT.  g_l = d meanCE / d h_l.  e = softmax(logits) - onehot(y), a sample, not divided by N.
  dfa:  a_l = e B_l^T, l = 0..L-1.     fa:  a_{L-1} = d meanCE / d h_L through the readout only (vit: at the cls
  token),  a_l = a_{l+1} B_l^T for l < L-1.   vit: [N, d], one vector a sample, given to every token.

STEP.  a~ = a / (RMS(a) + 1e-6), RMS a sample over the d features.  `mean` is over the batch (vit: and all tokens).
  bp:       meanCE  (+ lambda sum_l mean sum_j f_l(h_l)_j^2, gradients flowing through everything).
  fa, dfa:  embed    mean sum_j h_0,j a~_0,j
            block l  mean sum_j f_l(h_l)_j a~_l,j  (+ lambda mean sum_j f_l(h_l)_j^2),  h_l and a~_l detached
            readout  meanCE on the detached h_L.
  "+penalty" is lambda = 0.01.  Then one AdamW step from zero state on all parameters, gamma and biases included:
  lr 1e-3, betas .9 .999, eps 1e-8, decoupled weight decay 0.01.

JSON.  A tensor is {"shape", "head", "norm", "sum", "probe"}: head = its first elements (64 of a state, logits or
  credit; 3 of a step's gradient; 2 after the step), norm = L2 norm, sum, and probe = sum_k v_k cos(k) over
  the flat row-major index k from 0, which sees every element and its place.  Under "after" the shape is
  left out.  Twelve significant digits.
  step.<rule>.loss: [meanCE (+ penalty)] for bp, [embed, block 0.., readout] for the local rules.
  ill_conditioned: [{"parameter", "rules", "elements", "reason"}], parameters whose first AdamW step, lr g/(|g| + eps),
  hangs on rounding in float32: leave them out of the comparison after the step there (in float64 none needs it).
  The stored gradient of a key bias is rounding (1e-20): compare it with an absolute tolerance.

TOLERANCE.  sum and probe cancel: measure their distance over sqrt(size) * norm.  float32_distance.weak names gradients
  whose batch sums cancel.
"""
import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)

N, C, LABELS = 6, 10, [3, 1, 4, 1, 5, 9]
LN_EPS, RMS_EPS, LAMBDA = 1e-5, 1e-6, 0.01
ADAMW = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
HEAD_STATE, HEAD_GRADIENT, HEAD_AFTER = 64, 3, 2  # elements stored in "head"; 64 = ViT sample 0: cls and 7 patches
OUT = pathlib.Path(__file__).with_name("golden.json")


# ---------------------------------------------------------------------------------------------- tensors by formula
def wave(p, shape):
    k = torch.arange(1, math.prod(shape) + 1, dtype=torch.int64)
    mixed = (40503 * k * k + 30011 * k * (p + 1) + 12345 * (p + 1)) % 65521
    return (mixed.double() / 32760.5 - 1).reshape(shape)


def parameter(p, name, shape):
    if name.endswith("gamma"):
        return 1 + 0.1 * wave(p, shape)
    if name in ("embed.cls", "embed.positions"):
        return 0.5 * wave(p, shape)
    if name.endswith("weight"):
        return wave(p, shape) / math.sqrt(shape[0])
    return 0.05 * wave(p, shape)  # bias, beta


def inputs():
    k = torch.arange(N * 3072, dtype=torch.float64)
    return torch.sin(0.013 * (k + 1)).reshape(N, 3072)


def linear_layout(name, i, o):
    return [(f"{name}.weight", [i, o]), (f"{name}.bias", [o])]


def norm_layout(name, d):
    return [(f"{name}.gamma", [d]), (f"{name}.beta", [d])]


def resmlp_layout(d, depth):
    out = linear_layout("embed", 3072, d)
    for l in range(depth):
        b = f"blocks.{l}"
        out += norm_layout(f"{b}.norm", d) + linear_layout(f"{b}.linear1", d, d) + linear_layout(f"{b}.linear2", d, d)
    return out + norm_layout("readout.norm", d) + linear_layout("readout.head", d, C)


def vit_layout(d, depth, patch, ratio):
    tokens = (32 // patch) ** 2 + 1
    out = linear_layout("embed.patch", 3 * patch * patch, d)
    out += [("embed.cls", [1, 1, d]), ("embed.positions", [1, tokens, d])]
    for l in range(depth):
        b = f"blocks.{l}"
        out += norm_layout(f"{b}.norm1", d)
        for n in ("query", "key", "value", "output"):
            out += linear_layout(f"{b}.attention.{n}", d, d)
        out += norm_layout(f"{b}.norm2", d)
        out += linear_layout(f"{b}.linear1", d, ratio * d) + linear_layout(f"{b}.linear2", ratio * d, d)
    return out + norm_layout("readout.norm", d) + linear_layout("readout.head", d, C)


# ------------------------------------------------------------------------------------------------------- networks
class Net:
    """Parameters by name (`w`) and the three parts that every network has: embed, branch(l), readout."""

    def __init__(self, layout, width, depth, dtype):
        self.width, self.depth, self.dtype = width, depth, dtype
        self.w = {n: parameter(p, n, s).to(dtype).requires_grad_() for p, (n, s) in enumerate(layout)}

    def linear(self, name, x):
        return x @ self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def norm(self, name, x):
        return F.layer_norm(x, [self.width], self.w[f"{name}.gamma"], self.w[f"{name}.beta"], LN_EPS)

    def forward(self, x):
        """hidden = [h_0 .. h_L], branches = [f_0 .. f_{L-1}], logits."""
        hidden, branches = [self.embed(x)], []
        for l in range(self.depth):
            branches.append(self.branch(l, hidden[-1]))
            hidden.append(hidden[-1] + branches[-1])
        return hidden, branches, self.readout(hidden[-1])

    def feature_mean(self, v):
        """Sum over features, mean over the batch (and over the tokens)."""
        return v.sum(-1).mean()


class ResMlp(Net):
    def __init__(self, dtype, width=8, depth=3):
        super().__init__(resmlp_layout(width, depth), width, depth, dtype)

    def embed(self, x):
        return self.linear("embed", x)

    def branch(self, l, h):
        b = f"blocks.{l}"
        return self.linear(f"{b}.linear2", F.gelu(self.linear(f"{b}.linear1", self.norm(f"{b}.norm", h))))

    def readout(self, h):
        return self.linear("readout.head", self.norm("readout.norm", h))

    def top(self, g):  # where the readout looks
        return g

    def spread(self, a):  # one credit vector a sample -> the shape of h
        return a


class VitMini(Net):
    def __init__(self, dtype, width=8, depth=2, heads=2, patch=8, ratio=2):
        super().__init__(vit_layout(width, depth, patch, ratio), width, depth, dtype)
        self.heads, self.patch = heads, patch

    def embed(self, x):
        p, g = self.patch, 32 // self.patch
        v = x.reshape(N, 3, g, p, g, p).permute(0, 2, 4, 1, 3, 5).reshape(N, g * g, 3 * p * p)
        cls = self.w["embed.cls"].expand(N, 1, self.width)
        return torch.cat([cls, self.linear("embed.patch", v)], 1) + self.w["embed.positions"]

    def attention(self, name, h):
        n, t, d = h.shape
        split = lambda v: v.reshape(n, t, self.heads, d // self.heads).transpose(1, 2)
        q, k, v = (split(self.linear(f"{name}.{part}", h)) for part in ("query", "key", "value"))
        mix = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(d // self.heads), -1) @ v
        return self.linear(f"{name}.output", mix.transpose(1, 2).reshape(n, t, d))

    def branch(self, l, h):
        b = f"blocks.{l}"
        a = self.attention(f"{b}.attention", self.norm(f"{b}.norm1", h))
        return a + self.linear(f"{b}.linear2", F.gelu(self.linear(f"{b}.linear1", self.norm(f"{b}.norm2", h + a))))

    def readout(self, h):
        return self.linear("readout.head", self.norm("readout.norm", h[:, 0]))

    def top(self, g):
        return g[:, 0]

    def spread(self, a):
        return a[:, None, :]


NETWORKS = {"resmlp": ResMlp, "vit-mini": VitMini}
RULES = ["bp", "fa", "dfa", "bp+penalty", "fa+penalty", "dfa+penalty"]


# --------------------------------------------------------------------------------------------------- credit, step
def credits(net, logits, top_gradient, y):
    e = torch.softmax(logits, -1) - F.one_hot(y, C).to(net.dtype)
    dfa = [e @ (wave(1000 + l, [net.width, C]) / math.sqrt(C)).to(net.dtype).T for l in range(net.depth)]
    fa = [top_gradient]
    for l in reversed(range(net.depth - 1)):
        fa.insert(0, fa[0] @ (wave(2000 + l, [net.width, net.width]) / math.sqrt(net.width)).to(net.dtype).T)
    return {"dfa": dfa, "fa": fa}


def normalised(a):
    return a / (a.square().mean(-1, keepdim=True).sqrt() + RMS_EPS)


def objectives(net, x, y, rule, credit):
    """The losses of one training step; each reaches only the parameters that it trains."""
    kind, penalty = rule.split("+")[0], LAMBDA if "+" in rule else 0.0
    hidden, branches, logits = net.forward(x)
    if kind == "bp":
        return [F.cross_entropy(logits, y) + sum(penalty * net.feature_mean(f * f) for f in branches)]
    local = [net.spread(normalised(a)).detach() for a in credit[kind]]
    losses = [net.feature_mean(hidden[0] * local[0])]
    for l in range(net.depth):
        f = net.branch(l, hidden[l].detach())
        losses.append(net.feature_mean(f * local[l]) + penalty * net.feature_mean(f * f))
    return losses + [F.cross_entropy(net.readout(hidden[-1].detach()), y)]


def evaluate(name, dtype):
    """All golden tensors of one network, as a flat description that `golden` summarises."""
    x, y = inputs().to(dtype), torch.tensor(LABELS)
    net = NETWORKS[name](dtype)
    hidden, _, logits = net.forward(x)
    loss = F.cross_entropy(logits, y)
    gradient = list(torch.autograd.grad(loss, hidden))
    top = hidden[-1].detach().requires_grad_()
    top_gradient = torch.autograd.grad(F.cross_entropy(net.readout(top), y), top)[0]
    credit = credits(net, logits.detach(), net.top(top_gradient), y)
    steps = {}
    for rule in RULES:
        net = NETWORKS[name](dtype)  # a fresh start for each rule
        optimizer = torch.optim.AdamW(list(net.w.values()), **ADAMW)
        losses = objectives(net, x, y, rule, credit)
        sum(losses).backward()
        grads = {n: w.grad.clone() for n, w in net.w.items()}
        optimizer.step()
        after = {n: w.detach() for n, w in net.w.items()}
        steps[rule] = {"loss": torch.stack(losses).detach(), "gradient": grads, "after": after}
    detached = lambda ts: [t.detach() for t in ts]
    return {"hidden": detached(hidden), "logits": logits.detach(), "loss": loss.detach(), "gradient": gradient,
            "credit": {k: detached(v) for k, v in credit.items()}, "step": steps}


# ------------------------------------------------------------------------------------------------- checks on itself
def self_checks(name, run):
    """Largest deviations; each has its bound."""
    x, y = inputs(), torch.tensor(LABELS)
    net = NETWORKS[name](torch.float64)
    ce = lambda z: F.cross_entropy(z, y)

    @torch.no_grad()
    def loss_from(l, h):
        for i in range(l, net.depth):
            h = h + net.branch(i, h)
        return float(ce(net.readout(h)))

    worst = {}
    # 1. g_l against central differences, element by element (a stride of elements for the larger network).
    dev = 0.0
    for l, g in enumerate(run["gradient"]):
        for k in range(0, g.numel(), 1 if g.numel() < 100 else 5):
            step = torch.zeros(g.numel(), dtype=torch.float64)
            step[k] = 1e-6
            step = step.reshape(g.shape)
            fd = (loss_from(l, run["hidden"][l] + step) - loss_from(l, run["hidden"][l] - step)) / 2e-6
            dev = max(dev, abs(fd - float(g.flatten()[k])) / float(g.abs().max()))
    worst["gradient vs finite differences, over max|g_l|"] = (dev, 1e-5)
    # 2. Parameter gradients of every rule along a fixed direction: each loss by central differences, with h_l, a~
    #    held at their values for the local rules (so that a loss moves only through the parameters it trains).
    dev = 0.0
    for rule in RULES:
        step = run["step"][rule]
        h0 = run["hidden"]

        def total(eps):
            moved = NETWORKS[name](torch.float64)
            with torch.no_grad():
                for p, w in enumerate(moved.w.values()):
                    w += eps * wave(5000 + p, list(w.shape))
                if rule.startswith("bp"):
                    return float(objectives(moved, x, y, rule, None)[0])
                local = [net.spread(normalised(a)) for a in run["credit"][rule.split("+")[0]]]
                out = (moved.embed(x) * local[0]).sum(-1).mean() + ce(moved.readout(h0[-1]))
                for l in range(net.depth):
                    f = moved.branch(l, h0[l])
                    out = out + (f * local[l]).sum(-1).mean()
                    out = out + (LAMBDA * (f * f).sum(-1).mean() if "+" in rule else 0.0)
                return float(out)

        fd = (total(1e-6) - total(-1e-6)) / 2e-6
        ad = sum(float((g * wave(5000 + p, list(g.shape))).sum()) for p, g in enumerate(step["gradient"].values()))
        dev = max(dev, abs(fd - ad) / abs(ad))
    worst["parameter gradients vs finite differences, along one direction"] = (dev, 1e-6)
    # 3. AdamW's first step in closed form.
    dev, start = 0.0, NETWORKS[name](torch.float64).w
    for step in run["step"].values():
        for n, g in step["gradient"].items():
            want = start[n].detach() * (1 - 1e-3 * 0.01) - 1e-3 * g / (g.abs() + 1e-8)
            dev = max(dev, float((want - step["after"][n]).abs().max()))
    worst["AdamW vs closed form, absolute"] = (dev, 1e-14)
    # 4. The readout's gradient is the same under bp, fa, dfa; the penalty leaves the local embed alone.
    dev = 0.0
    bp, g = run["step"]["bp"]["gradient"], {r: run["step"][r]["gradient"] for r in RULES}
    for rule in ("fa", "dfa", "fa+penalty", "dfa+penalty"):
        for n in bp:
            base = bp if n.startswith("readout") else g[rule.split("+")[0]] if n.startswith("embed") else None
            if base is not None:
                dev = max(dev, float((base[n] - g[rule][n]).abs().max()))
    worst["readout the same under all rules, absolute"] = (dev, 1e-15)
    # 5. By hand: the last Linear's bias in a local block has gradient mean a~_l (attention and GELU play no part).
    dev = 0.0
    for rule in ("fa", "dfa"):
        for l, a in enumerate(run["credit"][rule]):
            dev = max(dev, float((g[rule][f"blocks.{l}.linear2.bias"] - normalised(a).mean(0)).abs().max()))
    worst["local bias gradient vs mean credit, absolute"] = (dev, 1e-14)
    # 6. vit: attention against torch.nn.MultiheadAttention, patches against a strided convolution.
    if name == "vit-mini":
        w, d = net.w, net.width
        mha = torch.nn.MultiheadAttention(d, net.heads, batch_first=True, dtype=torch.float64)
        part = lambda kind: [w[f"blocks.0.attention.{n}.{kind}"].detach() for n in ("query", "key", "value")]
        mha.in_proj_weight.data = torch.cat([v.T for v in part("weight")])
        mha.in_proj_bias.data = torch.cat(part("bias"))
        mha.out_proj.weight.data = w["blocks.0.attention.output.weight"].detach().T.contiguous()
        mha.out_proj.bias.data = w["blocks.0.attention.output.bias"].detach()
        h = run["hidden"][0]
        ours = net.attention("blocks.0.attention", h)
        dev = float((mha(h, h, h, need_weights=False)[0] - ours).detach().abs().max())
        kernel = w["embed.patch.weight"].T.reshape(d, 3, net.patch, net.patch)
        conv = F.conv2d(x.reshape(N, 3, 32, 32), kernel, w["embed.patch.bias"], stride=net.patch).flatten(2).mT
        dev = max(dev, float((conv + w["embed.positions"][:, 1:] - h[:, 1:]).detach().abs().max()))
        worst["attention and patches vs torch.nn, absolute"] = (dev, 1e-14)
    for what, (value, bound) in worst.items():
        print(f"  {name}: {what}: {value:.1e} (bound {bound:.0e})")
        assert value < bound, what
    return {what: float(f"{value:.1e}") for what, (value, _) in worst.items()}


def relative(a, b):
    """L2 distance of float32's tensor from float64's, over the latter's norm."""
    return float((a.double() - b).norm() / b.norm())


def ill_conditioned(run64, run32):
    """Parameters whose first AdamW step, lr g/(|g| + eps), moves somewhere by over 1 % of lr when the gradient
    moves by ten times float32's own error in it (measured: the RMS over the tensor)."""
    found, eps = {}, ADAMW["eps"]
    for rule in RULES:
        for n, g in run64["step"][rule]["gradient"].items():
            error = 10 * (run32["step"][rule]["gradient"][n].double() - g).square().mean().sqrt()
            zero = bool(g.abs().max() < 1e-15)
            moved = (error * eps / (g.abs() + eps).square()).flatten()
            bad = list(range(g.numel())) if zero else (moved > 0.01).nonzero().flatten().tolist()
            if bad:
                found.setdefault((n, zero), {})[rule] = bad
    assert all(n.endswith("attention.key.bias") == zero for n, zero in found), found
    zero_reason = ("mathematically zero gradient: the key bias adds the same q.b to every score of a query and softmax "
                   "ignores it; what is computed is rounding, and AdamW divides it by eps")
    return [{"parameter": n, "rules": list(rules), "elements": sorted(set(sum(rules.values(), []))),
             "reason": zero_reason if zero else "elements whose |gradient| is near AdamW's eps = 1e-8"}
            for (n, zero), rules in found.items()]


def float32_distance(run64, run32, ill):
    """Worst relative L2 distance a tensor; `step.after` leaves out ill_conditioned, `step.gradient` the key biases
    (zero), and `weak` names the gradients beyond 1e-4: batch sums that nearly cancel (see TOLERANCE above)."""
    worst = {k: max(relative(a, b) for a, b in zip(run32[k], run64[k])) for k in ("hidden", "gradient")}
    worst["logits"] = relative(run32["logits"], run64["logits"])
    worst["credit"] = {k: max(map(relative, run32["credit"][k], run64["credit"][k])) for k in ("dfa", "fa")}
    skip = {"after": {(e["parameter"], rule) for e in ill for rule in e["rules"]}}
    skip["gradient"] = {(n, r) for n, r in skip["after"] if n.endswith("key.bias")}
    each = {part: {r: {n: relative(run32["step"][r][part][n], b) for n, b in run64["step"][r][part].items()
                       if (n, r) not in skip[part]} for r in RULES} for part in ("gradient", "after")}
    for part, rules in each.items():
        worst[f"step.{part}"] = {r: max(of.values()) for r, of in rules.items()}
    worst["weak"] = {r: {n: v for n, v in of.items() if v > 1e-4} for r, of in each["gradient"].items()}
    return worst


# ------------------------------------------------------------------------------------------------------------ JSON
def number(v):
    """Twelve significant digits, the shorter notation."""
    plain, exp = f"{v:.12g}", f"{v:.11e}"
    mantissa, power = exp.split("e")
    exp = f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(power)}"
    return Number(min(plain, exp, key=len))


class Number(float):
    """A float that knows its spelling."""

    def __new__(cls, text):
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __repr__(self):
        return self.text


def summary(t, head, shape=True):
    v = t.double().flatten()
    out = {"shape": list(t.shape)} if shape else {}
    out["head"] = [number(float(e)) for e in v[:head]]
    out["norm"] = number(float(v.norm()))
    out["sum"] = number(float(v.sum()))
    out["probe"] = number(float((v * torch.cos(torch.arange(len(v), dtype=torch.float64))).sum()))
    return out


def golden(run):
    steps = {rule: {"loss": [number(float(v)) for v in step["loss"]],
                    "gradient": {n: summary(t, HEAD_GRADIENT) for n, t in step["gradient"].items()},
                    "after": {n: summary(t, HEAD_AFTER, shape=False) for n, t in step["after"].items()}}
             for rule, step in run["step"].items()}
    state = lambda ts: [summary(t, HEAD_STATE) for t in ts]
    return {"hidden": state(run["hidden"]), "logits": summary(run["logits"], HEAD_STATE),
            "loss": number(float(run["loss"])), "gradient": state(run["gradient"]),
            "credit": {k: state(v) for k, v in run["credit"].items()}, "step": steps}


def write(v):
    """JSON with one line a tensor."""
    if isinstance(v, Number):
        return v.text
    if isinstance(v, dict):
        line = "" if "head" in v else "\n"
        return "{" + ",".join(f"{line}{json.dumps(k)}:{write(w)}" for k, w in v.items()) + "}"
    if isinstance(v, list):
        return "[" + (",\n" if v and isinstance(v[0], dict) else ",").join(map(write, v)) + "]"
    return json.dumps(v)


def short(v):
    return {k: short(w) for k, w in v.items()} if isinstance(v, dict) else float(f"{v:.1e}")


def compare(a, b, where="golden"):
    """Largest distance between two JSON trees, relative to 1e-3 + |value|; the trees must have the same keys."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        return max([compare(a[k], b[k], f"{where}.{k}") for k in a], default=0.0)
    if isinstance(a, list):
        assert len(a) == len(b), where
        return max([compare(x, y, where) for x, y in zip(a, b)], default=0.0)
    if isinstance(a, (int, float)):
        return abs(a - b) / (1e-3 + abs(a))
    return 0.0


def main():
    out = {"made_by": "python tests/golden/make_golden.py", "torch": torch.__version__,
           "definitions": "see the docstring of make_golden.py"}
    for name in NETWORKS:
        run64, run32 = evaluate(name, torch.float64), evaluate(name, torch.float32)
        checks = self_checks(name, run64)
        ill = ill_conditioned(run64, run32)
        out[name] = golden(run64)
        out[name]["ill_conditioned"] = ill
        out[name]["float32_distance"] = short(float32_distance(run64, run32, ill))
        out[name]["self_checks"] = checks
    text = write(out) + "\n"
    json.loads(text)
    if "--check" in sys.argv[1:]:
        stored = json.loads(OUT.read_text())
        fresh = json.loads(text)
        worst = max(compare(stored[n][k], fresh[n][k]) for n in NETWORKS
                    for k in ("hidden", "logits", "loss", "gradient", "credit", "step"))
        print(f"largest difference from {OUT.name} (made with torch {stored['torch']}): {worst:.1e}")
        sys.exit(worst > 1e-9)
    assert len(text) < 150_000, len(text)
    OUT.write_text(text)
    print(f"wrote {OUT} ({len(text)} bytes)")


if __name__ == "__main__":
    main()
