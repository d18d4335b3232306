"""The server: FedAvg, with an evaluation of the global model after every round."""

from __future__ import annotations

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from benchmarks.speed.handover import Plan, Task
from benchmarks.speed.task import build_model, evaluate, read_images, set_weights

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train as the task says."""
    torch.set_num_threads(1)
    task = Task.read(str(context.run_config["task"]))
    workload = task.workload
    test = read_images(task.data, "test")
    model = build_model(workload.model)
    set_weights(model, Plan.load(task.plan))

    def judge(server_round: int, arrays: ArrayRecord) -> MetricRecord:
        model.load_state_dict(arrays.to_torch_state_dict())
        loss, auc = evaluate(model, *test)
        task.mark(server_round, loss=loss, auc=auc)
        return MetricRecord({"loss": loss, "auc": auc})

    strategy = FedAvg(
        fraction_train=workload.sampled / workload.clients,
        fraction_evaluate=0.0,
        min_available_nodes=workload.clients,
    )
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(model.state_dict()),
        train_config=ConfigRecord({"lr": workload.lr}),
        num_rounds=workload.rounds,
        evaluate_fn=judge,
    )
