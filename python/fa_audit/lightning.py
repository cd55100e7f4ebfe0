"""A callback of Lightning's Trainer that records every n-th validation and ends with the verdict.

    from fa_audit.lightning import FaAudit
    audit = FaAudit(layers=["embed", "blocks.*"], credit=lambda hidden, logits, y: [...], method="dfa", accuracy="val_acc",
                    frozen_accuracy=0.35)
    trainer = Trainer(callbacks=[audit], ...)
    trainer.fit(module, train_loader, val_loader)      # the validation loader must not shuffle
    audit.verdict                                      # fa_audit.Verdict
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

try:
    import lightning.pytorch as pl
except ImportError:
    import pytorch_lightning as pl

from fa_audit._program import Verdict
from fa_audit._training import OPTIONS, Batch, Credit, Layers, Training, cut
from fa_audit.torch import Forward, Loss

SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy")


def pair(batch: Any) -> Batch:
    """(x, y) of a batch that is such a pair."""
    if isinstance(batch, (tuple, list)) and len(batch) == 2 and isinstance(batch[1], Tensor):
        return batch[0], batch[1]
    raise ValueError(f"a validation batch is {type(batch).__name__}: give split=lambda batch: (x, y), with inputs x and "
                     f"classes y [N]")


class FaAudit(pl.Callback):  # type: ignore[misc]
    def __init__(self, layers: Layers, credit: Credit | None = None, *, every: int = 1, measured: int = 2, batches: int = 10,
                 out: str | os.PathLike[str] = "fa-audit", accuracy: str | None = None,
                 frozen_accuracy: float | None = None, frozen: str | os.PathLike[str] | None = None,
                 loss: Loss = nn.functional.cross_entropy, forward: Forward = lambda net, x, y: net(x),
                 split: Callable[[Any], Batch] = pair, **metadata: Any) -> None:
        super().__init__()
        self.training = Training(layers, credit, every, measured, batches, out, accuracy, frozen_accuracy, frozen, loss,
                                 forward, metadata)
        self.split = split
        self.seen: list[Batch] = []

    __init__.__doc__ = f"""`split(batch)` gives inputs and classes of a validation batch, where it is no pair of them.

{OPTIONS}"""

    @property
    def verdict(self) -> Verdict | None:
        """After the training."""
        return self.training.verdict

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        if type(trainer.strategy).__name__ in SHARDED:
            raise ValueError(f"{type(trainer.strategy).__name__} splits the network over processes: FaAudit records networks "
                             f"that lie whole on a device (one device, or DDP)")

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        self.training.start()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.seen = []

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int,
                                dataloader_idx: int = 0) -> None:
        if trainer.is_global_zero and dataloader_idx == 0 and len(self.seen) < self.training.batches:
            self.seen.append(cut(*self.split(batch)))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero and self.seen and trainer.state.fn == "fit":
            sanity = trainer.sanity_checking
            self.training.evaluated(pl_module, self.seen, 0 if sanity else trainer.current_epoch + 1, trainer.global_step,
                                    None if sanity else trainer.callback_metrics)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.is_global_zero:
            with torch.enable_grad():
                self.training.finish(pl_module, self.seen, trainer.current_epoch, trainer.callback_metrics)
