"""A training in plain PyTorch; the lines that end in `# +` are what its audit adds."""

from dfa import BATCH, Net, accuracy, data, frozen_accuracy, train
from torch.utils.data import DataLoader

import fa_audit  # +
from fa_audit.torch import Recorder  # +

rows, test = data()
net = Net()
train(net, rows)
print(f"accuracy {accuracy(net, test):.4f}")

recorder = Recorder(net, layers=[net.embed, *net.blocks])  # +
for x, y in DataLoader(test, BATCH):  # +
    recorder.record(x, y, lambda h, logits, y=y: net.credit(h, logits, y))  # +
recorder.save("trace.safetensors", method="dfa", arch="residual mlp", seed=42, accuracy=accuracy(net, test),  # +
              frozen_accuracy=frozen_accuracy())  # +
print(fa_audit.diagnose("trace.safetensors"))  # +
