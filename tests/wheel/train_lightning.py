"""The same under Lightning; the lines that end in `# +` are what its audit adds."""

import lightning
import torch
from dfa import BATCH, EPOCHS, Net, data, frozen_accuracy
from torch.utils.data import DataLoader

from fa_audit.lightning import FaAudit  # +


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, k):
        return self.net.local_loss(*batch)[0]

    def validation_step(self, batch, k):
        self.log("val_acc", (self(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=0.01)


train, test = data()
module = Module()
callbacks = []
callbacks.append(FaAudit(["net.embed", "net.blocks.*"], module.net.credit, method="dfa", accuracy="val_acc",  # +
                         frozen_accuracy=frozen_accuracy()))  # +
trainer = lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False,
                            enable_progress_bar=False, enable_model_summary=False, callbacks=callbacks)
trainer.fit(module, DataLoader(train, BATCH, shuffle=True), DataLoader(test, BATCH))
