"""A client: takes the global weights, trains them on its rows, sends them back."""

from __future__ import annotations

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from benchmarks.speed.handover import Task
from benchmarks.speed.task import build_model
from quickstart.data import load_rows

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """One local epoch."""
    path = str(context.run_config["task"])
    workload = Task.read(path).workload
    model = build_model(workload.model)
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    rows = load_rows(path, client=int(context.node_config["partition-id"]))
    if context.run_config["way"] == "lightning":
        from quickstart.with_lightning import fit
    else:
        from quickstart.with_loop import fit
    loss = fit(
        model, rows, batch=workload.batch, lr=float(message.content["config"]["lr"]), momentum=workload.momentum
    )
    content = RecordDict(
        {
            "arrays": ArrayRecord(model.state_dict()),
            "metrics": MetricRecord({"train_loss": loss, "num-examples": len(rows)}),
        }
    )
    return Message(content, reply_to=message)
