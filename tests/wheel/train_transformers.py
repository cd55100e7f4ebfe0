"""The same under Hugging Face's Trainer; the lines that end in `# +` are what its audit adds."""

from dfa import BATCH, EPOCHS, Net, data, frozen_accuracy
from torch import nn
from transformers import Trainer, TrainingArguments
from transformers.modeling_outputs import SequenceClassifierOutput

from fa_audit.transformers import FaAudit  # +


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = Net()

    def forward(self, x, labels=None):
        loss, logits = (None, self.net(x)) if labels is None else self.net.local_loss(x, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


train, test = ([{"x": x, "labels": y} for x, y in part] for part in data())
model = Model()
callbacks = []
callbacks.append(FaAudit(["net.embed", "net.blocks.*"], model.net.credit, method="dfa", accuracy="eval_accuracy",  # +
                         frozen_accuracy=frozen_accuracy()))  # +
args = TrainingArguments("out", num_train_epochs=EPOCHS, per_device_train_batch_size=BATCH, report_to=[], use_cpu=True,
                         per_device_eval_batch_size=BATCH, eval_strategy="epoch", save_strategy="no", disable_tqdm=True,
                         learning_rate=1e-3, weight_decay=0.01)
Trainer(model, args, train_dataset=train, eval_dataset=test, callbacks=callbacks,
        compute_metrics=lambda found: {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}).train()
