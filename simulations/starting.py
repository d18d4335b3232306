"""`with_start`: a training that starts from the weights of a registered model or of a run."""

from __future__ import annotations

from shared.config.config import Config
from shared.config.model import REGISTRY
from shared.runtime.errors import TrackingError, WeightsError, bullet_list
from shared.runtime.home import Home
from shared.tasks.task import learner_of, schema_of_run
from shared.tracking.model_card import weights_path
from shared.tracking.rows import RunRow
from shared.tracking.store import Store


def with_start(cfg: Config, *, store: Store, home: Home) -> Config:
    """The configuration with the file of weights in place of ``registry:NAME@VERSION`` or ``registry:RUN``.

    A run that is there already, or is part of another one, starts from a model or run of its tenant.

    Raises
    ------
    TrackingError
        There is no such model, version or run, or its weights are not on this machine.
    WeightsError
        It is of another task, other classes, inputs or targets; all differences are named.
    """
    weights = cfg.model.weights
    if weights is None or not weights.startswith(REGISTRY):
        return cfg
    name, _, version = weights.removeprefix(REGISTRY).partition("@")
    tracked = cfg.tracking
    began = tracked.run_id if tracked.run_id is not None else tracked.parent_id
    if began is not None:  # of a tenant's job: from what that tenant has
        store = store.of(store.runs.tenant(began))
    is_run = name.isascii() and name.isdecimal() and not version
    run = store.runs.get(int(name) if is_run else store.models.resolve(name, version or "latest").run_id)
    path = weights_path(home, run)
    if path is None:
        raise TrackingError(f"model.weights={weights}: the weights of run {run.id} are not on this machine")
    if problems := _differences(run, cfg, home=home):
        raise WeightsError(
            f"model.weights={weights} is of another problem than this one:\n{bullet_list(problems)}"
        )
    return cfg.replace("model", weights=str(path))


def _differences(run: RunRow, cfg: Config, *, home: Home) -> list[str]:
    config = run.config
    now, then = learner_of(cfg).dataset(cache=home.cache).schema, schema_of_run(run)
    pairs: list[tuple[str, object, object]] = [
        ("task", cfg.task.name, config["task"].get("name")),
        ("classes", now.classes, then.classes),
    ]
    pairs += [("inputs", now.inputs, then.inputs), ("targets", now.targets, then.targets)]
    for name in ("channels", "image_size"):
        pairs.append((f"data.{name}", getattr(cfg.data, name, None), config["data"].get(name)))
    return [f"{name}: {_told(here)} here, {_told(there)} there" for name, here, there in pairs if here != there]


def _told(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(getattr(one, "name", one)) for one in value) or "none"
    return str(value)
