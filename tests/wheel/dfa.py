"""What the three trainings share: points on clusters, a residual network, and direct feedback alignment as local losses."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

CLASSES, INPUTS, WIDTH, DEPTH, EPOCHS, BATCH = 10, 32, 64, 4, 5, 128


def data():
    """Training and test data, x [N, INPUTS] and y [N]."""
    torch.set_num_threads(1)  # small matrices
    torch.manual_seed(42)
    centres, y = torch.randn(CLASSES, INPUTS), torch.randint(CLASSES, (5280,))
    x = centres[y] + 2.5 * torch.randn(len(y), INPUTS)
    return torch.utils.data.TensorDataset(x[:4000], y[:4000]), torch.utils.data.TensorDataset(x[4000:], y[4000:])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, h):
        return h + self.branch(h)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(INPUTS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.readout = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES))
        self.feedback = [torch.randn(WIDTH, CLASSES) / CLASSES**0.5 for _ in range(DEPTH + 1)]

    def forward(self, x):
        h = self.embed(x)
        for block in self.blocks:
            h = block(h)
        return self.readout(h)

    def credit(self, hidden, logits, y):
        """a_0 ... a_L = e B_l^T, each [N, WIDTH]"""
        e = logits.softmax(1) - one_hot(y, CLASSES)
        return [e @ b.T for b in self.feedback]

    def local_loss(self, x, y, frozen=False):
        """Embedding and blocks (where they are not `frozen`) learn from <f_l, a_l / RMS(a_l)>, each cut off from the others,
        the readout from the loss."""
        h = self.embed(x)
        branches, h = [h], h.detach()
        for block in self.blocks:
            branches.append(block.branch(h))
            h = (h + branches[-1]).detach()
        logits = self.readout(h)
        loss = cross_entropy(logits, y)
        a = self.credit(None, logits.detach(), y)
        for branch, a_l in zip(branches[: 1 if frozen else None], [a[0], *a], strict=False):
            loss = loss + (branch * a_l / (a_l.square().mean(1, keepdim=True).sqrt() + 1e-6)).sum() / len(x)
        return loss, logits


def train(net, rows, frozen=False):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(EPOCHS):
        for x, y in torch.utils.data.DataLoader(rows, BATCH, shuffle=True):
            optimizer.zero_grad()
            net.local_loss(x, y, frozen)[0].backward()
            optimizer.step()


def accuracy(net, rows):
    with torch.no_grad():
        return (net(rows.tensors[0]).argmax(1) == rows.tensors[1]).float().mean().item()


def frozen_accuracy():
    """Of the same network with frozen blocks."""
    with torch.random.fork_rng():
        rows, test = data()
        net = Net()
        train(net, rows, frozen=True)
        return accuracy(net, test)
