"""Flower's ServerApp: the rounds, between Flower's strategy loop and our store."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from torch import Tensor

from federated.kit.server_kit import ServerKit, interruptions, parents
from federated.messages.grid import RoundGrid
from federated.messages.records import TrainOrder, arrays_from_state
from federated.messages.validate import Contract
from federated.messages.wire import ModelLayout, size_of
from federated.server.checkpoint import Checkpoints, Progress, load_checkpoint
from federated.server.metric_aggregation import MetricAggregation
from federated.server.reply_intake import ReplyIntake
from federated.server.roster import Roster, connect
from federated.server.round_recorder import RoundRecorder
from federated.server.rounds import Rounds, StopFederation
from federated.server.server_evaluation import ServerEvaluation
from federated.strategy.aggregation import Averaging
from federated.strategy.base import Algorithm, load_algorithm
from federated.strategy.server_half import ServerContext
from shared.config.compose import compose
from shared.config.config import Config
from shared.config.stored import read_snapshot
from shared.data.dataset import Dataset
from shared.runtime.home import Home, open_home
from shared.tasks.base import FitContext, Learner
from shared.tasks.checks import reject_pooled_only
from shared.tasks.chosen_model import ChosenModel
from shared.tasks.evaluation import begin_summary, record_test
from shared.tasks.selection import Monitor, fallback
from shared.tasks.task import learner_of
from shared.tracking.export import write_results
from shared.tracking.monitor import resumed_monitor
from shared.tracking.rows import ClientRow
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a federation, as Flower calls it.

    Parameters
    ----------
    context : Context
        Its run config holds ``overrides``, or the ``run-id`` of a prepared row, and ``resume``.
    """
    run_config = context.run_config
    run_id = int(run_config.get("run-id", 0))
    home = open_home()
    with Store(home.database_url) as store:
        if run_id:
            cfg = read_snapshot(store.runs.get(run_id).config).replace("tracking", run_id=run_id)
        else:
            overrides = shlex.split(str(run_config.get("overrides", "")))
            cfg = compose(overrides).replace("federation", engine="flower")
            if not any(text.startswith("federation.num_clients=") for text in overrides):
                cfg = cfg.replace("federation", num_clients=max(1, len(list(grid.get_node_ids()))))
        kit = cfg.federation.kit
        serve(
            grid,
            cfg,
            store=store,
            home=home,
            resume=bool(run_config.get("resume", False)),
            interrupted=interruptions(ServerKit(Path(kit)), below=parents()) if kit else lambda error: False,
        )


def serve(
    grid: Grid,
    cfg: Config,
    *,
    store: Store,
    home: Home,
    resume: bool = False,
    interrupted: Callable[[BaseException], bool] = lambda error: False,
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> int:
    """Run the rounds of one federated training, from the first (or after the last complete one) to the test.

    Parameters
    ----------
    grid : Grid
        Flower's, or any other with its interface.
    resume : bool
        Resume the run in ``tracking.run_id``.
    interrupted : callable
        See `tracked_run`.
    say : callable
        Takes a line of progress.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        The run row ends as failed.
    """
    algorithm = load_algorithm(cfg.strategy)  # before there is a row: its settings may be wrong
    if not resume:
        reject_pooled_only(cfg)
    with tracked_run(store, cfg, mode="federated", resume=resume, interrupted=interrupted) as run_id:
        snapshot = json.dumps(cfg.snapshot())
        learner = learner_of(cfg)
        data = learner.dataset(cache=home.cache, sides=("test",))
        spec = learner.spec(data.schema)
        begun = resumed_monitor(store.runs.get(run_id)) if resume else None
        summary = begin_summary(cfg, spec=spec, schema=data.schema, begun_with=begun and Monitor(*begun))
        store.runs.update(run_id, summary=summary)
        roster = connect(grid, cfg, snapshot=snapshot, schema=data.schema, spec=spec, say=say)
        _write_clients(store, run_id, roster)
        federation = _Federation(
            cfg,
            algorithm=algorithm,
            store=store,
            run_id=run_id,
            home=home,
            roster=roster,
            learner=learner,
            data=data,
            monitor=Monitor(**summary["monitor"]),
            say=say,
        )
        stop_reason = federation.run(grid, snapshot=snapshot, resume=resume)
        federation.test()
        store.runs.finish(run_id, "completed", stop_reason=stop_reason)
    write_results(store, run_id, home.results)
    return run_id


class _Federation:
    """The parts of a federated run put together: one start of the strategy, and the test of what it leaves."""

    def __init__(
        self,
        cfg: Config,
        *,
        algorithm: Algorithm,
        store: Store,
        run_id: int,
        home: Home,
        roster: Roster,
        learner: Learner,
        data: Dataset,
        monitor: Monitor,
        say: Callable[[str], None],
    ) -> None:
        self.cfg, self.algorithm, self.store, self.run_id = cfg, algorithm, store, run_id
        self.roster, self.monitor, self.say = roster, monitor, say
        self.folder = home.run_dir(run_id)
        self.checkpoints = Checkpoints(self.folder / "checkpoints")
        profiles = {info.name: info.profile for info in roster.clients.values()}
        self.agreed = learner.spec(data.schema).agree(profiles, trainer=cfg.trainer)
        context = FitContext(agreed=self.agreed)
        self.evaluation = ServerEvaluation(learner, data=data, context=context, cfg=cfg.trainer)

    def run(self, grid: Grid, *, snapshot: str, resume: bool) -> str | None:
        """Let Flower's strategy do the remaining rounds.

        Returns
        -------
        str or None
            Why it stopped early.
        """
        cfg, roster, network = self.cfg, self.roster, self.evaluation.network
        progress, kept = Progress(threshold=cfg.trainer.fixed_threshold), dict[str, Tensor]()
        if resume and self.checkpoints.last.exists():
            state, progress, kept = load_checkpoint(self.checkpoints.last)
            network.load_state_dict(state)
        progress.run_key = progress.run_key or secrets.token_hex(16)
        done, algorithm = progress.round, self.algorithm
        model = ModelLayout.of(
            arrays := arrays_from_state(network.state_dict()),
            trained=[name for name, parameter in network.named_parameters() if parameter.requires_grad],
            local=algorithm.local_keys(network),
        )
        train_config = TrainOrder(
            snapshot=snapshot,
            lr_scale=progress.lr_scale,
            run_key=progress.run_key,
            agreed=json.dumps(self.agreed),
        ).to_record()
        facts = {
            "agreed": self.agreed,
            "train_message_bytes": size_of(algorithm.wire.message(model)),
            "train_reply_bytes": size_of(algorithm.wire.reply(model)),
        }
        self.store.runs.update(self.run_id, summary=facts)
        strategy = algorithm.server(
            ServerContext(
                nodes=[roster.node_of(client_id) for client_id in roster.clients],
                eval_nodes=[roster.node_of(info.client_id) for info in roster.clients.values() if info.num_val],
                seed=cfg.seed,
                fraction_train=cfg.strategy.fraction_train,
                fraction_evaluate=cfg.strategy.fraction_evaluate,
                min_train=cfg.strategy.min_train,
                round_offset=done,
                trained=model.trained,
                buffers=frozenset(name for name, _ in network.named_buffers()),
                total_examples=lambda round: sum(
                    roster.num_examples(client_id, stage="train", round=round) for client_id in roster.clients
                ),
                state_round=(lambda node: progress.accepted.get(roster.nodes[node], 0))
                if algorithm.keeps_state
                else None,
            )
        )
        strategy.restore({key: tensor.numpy() for key, tensor in kept.items()}, arrays=arrays)
        rounds = Rounds(
            cfg,
            roster=roster,
            intake=ReplyIntake(
                Contract.of(model, wire=algorithm.wire, max_examples=cfg.federation.max_examples),
                roster=roster,
                judge=self.evaluation.spec,
                needs_statistics=cfg.trainer.threshold == "val",
            ),
            metrics=MetricAggregation(roster, judge=self.evaluation.spec),
            recorder=RoundRecorder(self.store, run_id=self.run_id, spec=self.evaluation.spec),
            evaluation=self.evaluation,
            checkpoints=self.checkpoints,
            progress=progress,
            strategy=strategy,
            train_config=train_config,
            monitor=self.monitor,
            say=self.say,
        )

        def evaluate(server_round: int, arrays: ArrayRecord) -> MetricRecord | None:
            if server_round == 0 and done:
                return None  # a resumed run was evaluated after its last round
            return rounds.close(arrays, before_training=server_round == 0)

        try:
            strategy.start(
                grid=RoundGrid(
                    grid,
                    clients=roster.nodes,
                    handler=rounds,
                    ask_again_s=cfg.federation.ask_again_s,
                    examples={info.client_id: info.num_examples for info in roster.clients.values()},
                    take=strategy.take if isinstance(strategy, Averaging) else None,
                ),
                initial_arrays=arrays,
                num_rounds=cfg.federation.num_rounds - done,
                timeout=cfg.federation.round_timeout_s,
                train_config=train_config,
                evaluate_config=TrainOrder(
                    snapshot=snapshot, run_key=progress.run_key, agreed=json.dumps(self.agreed)
                ).to_record(),
                evaluate_fn=evaluate,
            )
        except StopFederation as stop:
            return str(stop)
        return None

    def test(self) -> None:
        """Test the chosen global model on the server's held-out rows, and record it."""
        best = self.cfg.trainer.test_model == "best"
        state, progress, _ = load_checkpoint(self.checkpoints.best if best else self.checkpoints.last)
        record_test(
            self.store,
            self.run_id,
            self.evaluation.predict(state),
            spec=self.evaluation.spec,
            tested=ChosenModel(
                "round",
                progress.round,
                of=self.cfg.federation.num_rounds,
                chosen=best,
                monitor=fallback(self.monitor) if progress.fallback else self.monitor,
                measured=progress.best_value is not None,
            ),
            threshold=progress.threshold,
            folder=self.folder,
            skipped_images=self.evaluation.data.skipped,
        )
        for warning in self.store.runs.get(self.run_id).summary["warnings"]:
            self.say(f"warning: {warning}")


def _write_clients(store: Store, run_id: int, roster: Roster) -> None:
    store.clients.add(
        run_id,
        [
            ClientRow(
                run_id=run_id,
                client_id=info.client_id,
                node_id=str(roster.node_of(info.client_id)),
                name=info.name,
                num_examples=info.num_examples,
                profile=info.profile.as_dict(),
            )
            for info in roster.clients.values()
        ],
    )
