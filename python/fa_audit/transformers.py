"""A callback of Hugging Face's Trainer that records every n-th evaluation and ends with the verdict.

    from fa_audit.transformers import FaAudit
    audit = FaAudit(layers=["bert.embeddings", "bert.encoder.layer.*"], credit=lambda hidden, logits, y: [...],
                    method="dfa", accuracy="eval_accuracy", frozen_accuracy=0.35)
    Trainer(model, args, callbacks=[audit], ...).train()
    audit.verdict                                      # fa_audit.Verdict

A batch is a mapping with `labels`, and the model called with it returns an output with `logits`, as models for
sequence or image classification do.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import TrainerCallback

from fa_audit._program import Verdict
from fa_audit._training import OPTIONS, Batch, Credit, Layers, Training, cut, moved
from fa_audit.torch import Loss


def logits_of(net: Any, x: Mapping[str, Any], y: Tensor) -> Tensor:
    """Without labels: the loss is the recorder's."""
    logits: Tensor = net(**x).logits
    return logits


class FaAudit(TrainerCallback):  # type: ignore[misc]
    def __init__(self, layers: Layers, credit: Credit | None = None, *, every: int = 1, measured: int = 2, batches: int = 10,
                 out: str | os.PathLike[str] = "fa-audit", accuracy: str | None = None,
                 frozen_accuracy: float | None = None, frozen: str | os.PathLike[str] | None = None,
                 loss: Loss = nn.functional.cross_entropy, **metadata: Any) -> None:
        self.training = Training(layers, credit, every, measured, batches, out, accuracy, frozen_accuracy, frozen, loss,
                                 logits_of, metadata)
        self.seen: list[Batch] = []
        self.metrics: Mapping[str, Any] = {}

    __init__.__doc__ = OPTIONS

    @property
    def verdict(self) -> Verdict | None:
        """After the training."""
        return self.training.verdict

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.deepspeed or getattr(args, "fsdp", None):
            raise ValueError("deepspeed and fsdp split the network over processes: FaAudit records networks that lie whole on "
                             "a device (one device, or DDP)")
        self.seen, self.metrics = [], {}
        self.training.start()

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] | None = None,
                    model: Any = None, eval_dataloader: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or model is None or eval_dataloader is None:
            return
        self.metrics = metrics or {}
        if not self.seen:  # an evaluation's batches are the same each time
            self.seen = [self._pair(batch, model) for batch in itertools.islice(eval_dataloader, self.training.batches)]
        self.training.evaluated(model, self.seen, int((state.epoch or 0) + 1e-6), state.global_step, self.metrics)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and model is not None:
            self.training.finish(model, self.seen, int((state.epoch or 0) + 1e-6), self.metrics)

    @staticmethod
    def _pair(batch: Any, model: Any) -> Batch:
        if not isinstance(batch, Mapping) or not isinstance(batch.get("labels"), Tensor):
            raise ValueError(f"an evaluation batch is {type(batch).__name__} without `labels`: expected a mapping with them")
        x = {key: value for key, value in batch.items() if key != "labels"}
        return moved(cut(x, batch["labels"]), next(model.parameters()).device)
