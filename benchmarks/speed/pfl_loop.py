"""The training in pfl-research, following its documentation; runs in the environment of `pfl_env`."""

from __future__ import annotations

from typing import Any

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.speed.handover import Plan, Task
from benchmarks.speed.task import build_model, evaluate, read_images, set_weights


class Trained(nn.Module):
    """A network with the two methods that pfl asks for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Of a training batch.

        Parameters
        ----------
        images : Tensor [B, 1, H, W], float32
        labels : Tensor [B], int64

        Returns
        -------
        Tensor
            Scalar.
        """
        self.train()
        return functional.cross_entropy(self.network(images), labels)

    def metrics(self, images: Tensor, labels: Tensor) -> dict[str, Any]:
        """None: the global model is evaluated by `CentralEvaluation`."""
        return {}


class CentralEvaluation(TrainingProcessCallback):
    """Evaluates the global model on the test rows after every round, and marks the round."""

    def __init__(self, task: Task, test: tuple[Tensor, Tensor]) -> None:
        self.task, self.test = task, test

    def on_train_begin(self, *, model: PyTorchModel) -> Metrics:
        """Round 0."""
        return self._mark(0, model)

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """The round that has ended."""
        return False, self._mark(central_iteration + 1, model)

    def _mark(self, number: int, model: PyTorchModel) -> Metrics:
        loss, auc = evaluate(model.pytorch_model.network, *self.test)
        self.task.mark(number, loss=loss, auc=auc)
        return Metrics()


def main() -> None:
    """Train as the task says."""
    torch.set_num_threads(1)
    task = Task.read()
    workload, plan = task.workload, Plan.load(task.plan)
    (images, labels), test = (read_images(task.data, side) for side in ("train", "test"))
    network = build_model(workload.model)
    set_weights(network, plan)
    trained = Trained(network)
    model = PyTorchModel(
        model=trained,
        local_optimizer_create=lambda parameters, lr: torch.optim.SGD(
            parameters, lr=lr, momentum=workload.momentum
        ),
        central_optimizer=torch.optim.SGD(trained.parameters(), lr=1.0),
    )
    turns = iter([rows for clients in plan.orders for rows in clients])

    def user(rows: Any) -> Dataset:
        return Dataset([images[rows], labels[rows]])

    train = FederatedDataset(user, lambda: next(turns))
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=workload.rounds,
            evaluation_frequency=workload.rounds + 1,  # none on the clients
            train_cohort_size=workload.sampled,
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(training_data=train, val_data=train, postprocessors=[WeightByDatapoints()]),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=workload.lr, local_batch_size=workload.batch
        ),
        model_eval_params=NNEvalHyperParams(local_batch_size=workload.batch),
        callbacks=[CentralEvaluation(task, test)],
    )


if __name__ == "__main__":
    main()
