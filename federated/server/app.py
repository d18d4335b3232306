"""Flower's ServerApp: the rounds, between Flower's strategy loop and our store."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.superlink.grid import HttpGrid
from torch import Tensor

from federated.kit.server_kit import ServerKit, interruptions, parents
from federated.messages.grid import RoundGrid
from federated.messages.norm_bound import NormBound
from federated.messages.records import TrainOrder, arrays_from_state
from federated.messages.separate_fetching import SeparateFetching
from federated.messages.validate import Contract
from federated.messages.wire import ModelLayout, size_of
from federated.server.checkpoint import Checkpoints, Progress, load_checkpoint
from federated.server.flower_run import first_line, settings_of
from federated.server.metric_aggregation import MetricAggregation
from federated.server.participation import absences
from federated.server.reply_intake import ReplyIntake
from federated.server.roster import Roster, connect
from federated.server.round_recorder import RoundRecorder
from federated.server.rounds import Rounds, StopFederation
from federated.server.server_evaluation import ServerEvaluation
from federated.strategy.aggregation import Averaging
from federated.strategy.base import Algorithm, keeps_state, load_algorithm
from federated.strategy.server_half import ServerContext
from shared.config.config import Config
from shared.data.dataset import Dataset
from shared.data.row_keys import row_keys
from shared.runtime.home import Home, keep_private, open_home
from shared.tasks.base import FitContext, Learner
from shared.tasks.checks import reject_pooled_only
from shared.tasks.chosen_model import ChosenModel
from shared.tasks.evaluation import begin_summary, record_test
from shared.tasks.reading import DATA, read_data
from shared.tasks.selection import Monitor, fallback
from shared.tasks.task import learner_of
from shared.tasks.trained_model import kept_of
from shared.tracking.export import write_results
from shared.tracking.monitor import resumed_monitor
from shared.tracking.rows import ClientRow
from shared.tracking.run_log import logged
from shared.tracking.store import Store
from shared.tracking.tracked_run import tracked_run

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a federation, as Flower calls it.

    Parameters
    ----------
    context : Context
        Its run config holds ``overrides``, or the ``run-id`` of a prepared row and ``home``, and ``resume``.
    """
    keep_private()
    if isinstance(grid, HttpGrid):  # of a SuperLink
        grid = SeparateFetching(grid)
    run_config, home = context.run_config, open_home()
    with Store(home.database_url) as store:
        cfg = settings_of(run_config, store=store, home=home, num_nodes=lambda: len(list(grid.get_node_ids())))
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
    closed: Callable[[str], None] | None = None,
    replied: Callable[[float, str], None] = lambda done, note: None,
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
        Takes a line that people should read, such as who was dropped.
    closed : callable, optional
        Takes the line of a round that is over; ``say`` by default.
    replied : callable
        Takes the rounds done, with the part of the current one, and what it waits for.

    Returns
    -------
    int
        The run's id; it is completed.

    Raises
    ------
    FedtwinError
        The run row ends as failed.
    """
    say = logged(say)
    algorithm = load_algorithm(cfg.strategy)  # before there is a row: its settings may be wrong
    algorithm.check(cfg)
    if not resume:
        reject_pooled_only(cfg)
    with tracked_run(
        store,
        cfg,
        mode="federated",
        folder=home.run_dir,
        journals=home.journals,
        resume=resume,
        interrupted=interrupted,
    ) as run_id:
        say(first_line(run_id, home))
        snapshot = json.dumps(cfg.snapshot())
        learner = learner_of(cfg)
        data, read = read_data(learner, cache=home.cache, sides=("test",))
        spec = learner.spec(data.schema)
        begun = resumed_monitor(store.runs.get(run_id)) if resume else None
        summary = begin_summary(cfg, spec=spec, schema=data.schema, begun_with=begun and Monitor(*begun))
        store.runs.update(run_id, summary={**summary, DATA: read.as_dict(), "row_keys": row_keys(data)})
        roster = connect(grid, cfg, snapshot=snapshot, schema=data.schema, spec=spec, say=say)
        if resume:
            roster.check_same(store.clients.of_run(run_id))
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
            closed=logged(closed) if closed else say,
            replied=replied,
        )
        stop_reason = federation.run(grid, snapshot=snapshot, resume=resume)
        if cfg.trainer.test:
            federation.test()
        federation.warn()
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
        closed: Callable[[str], None],
        replied: Callable[[float, str], None],
    ) -> None:
        self.closed, self.replied = closed, replied
        self.cfg, self.algorithm, self.store, self.run_id = cfg, algorithm, store, run_id
        self.roster, self.monitor, self.say = roster, monitor, say
        self.folder = home.run_dir(run_id)
        self.checkpoints = Checkpoints(self.folder / "checkpoints")
        profiles = {info.name: info.profile for info in roster.clients.values()}
        self.agreed = learner.spec(data.schema).agree(profiles, trainer=cfg.trainer)
        self.of_rows = data.agreed
        context = FitContext(agreed={**self.agreed, **self.of_rows})
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
            "agreed": {**self.agreed, **self.of_rows},
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
                network=network,
                timeout_s=cfg.federation.round_timeout_s,
                local_epochs=cfg.federation.local_epochs,
                total_examples=lambda round: sum(
                    roster.num_examples(client_id, stage="train", round=round) for client_id in roster.clients
                ),
                state_round=(lambda node: progress.accepted.get(roster.nodes[node], 0))
                if keeps_state(cfg, algorithm)
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
                epochs=cfg.federation.local_epochs,
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
            closed=self.closed,
            replied=self.replied,
        )

        times = cfg.federation.max_update_norm

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
                    bound=NormBound(times, trained=model.trained - model.local)
                    if times is not None and algorithm.wire.returns_model
                    else None,
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
        outputs, evaluation = self.evaluation.predict(state), self.evaluation
        if kept := kept_of(evaluation.learner, evaluation.module, evaluation.datamodule):
            self.store.runs.update(self.run_id, summary={"agreed": {**self.agreed, **self.of_rows, **kept}})
        record_test(
            self.store,
            self.run_id,
            outputs,
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

    def warn(self) -> None:
        """Record and say what is to be doubted of the run."""
        absent = absences(self.roster, self.store.rounds.of_run(self.run_id), cfg=self.cfg)
        warnings = [*self.store.runs.get(self.run_id).summary.get("warnings", ()), *absent]
        self.store.runs.update(self.run_id, summary={"warnings": warnings})
        for warning in warnings:
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
