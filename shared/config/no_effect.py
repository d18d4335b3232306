"""`reject_unused`: settings that somebody typed, and that have no effect with a command or another setting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.config.continuing import within
from shared.runtime.errors import ConfigError, bullet_list

if TYPE_CHECKING:
    from shared.config.config import Config

_FLOWER_ALONE = ("federation.start_timeout_s", "federation.ray_address")
_FEDERATED = ("compare", "trainer.max_epochs", "trainer.early_stopping.enabled", "trainer.num_threads")
# What each command does not follow: settings, or whole groups.
UNUSED: Mapping[str, tuple[str, ...]] = {
    "fedtwin compare": (),  # it says itself what it sets for the twins
    "fedtwin centralized": ("partition", "strategy", "federation", "compare"),
    "fedtwin simulate": _FEDERATED,
    "fedtwin federated": _FEDERATED,
    "flwr run": (
        *(*_FEDERATED, *_FLOWER_ALONE, "federation.workers", "federation.client_gpus", "trainer.progress"),
        *("tracking.run_id", "tracking.parent_id", "federation.kit"),
    ),
}
# What else must be set for a setting to have an effect: which setting has one of which values.
ONLY_WITH: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "trainer.optimizer.momentum": ("trainer.optimizer.name", ("sgd",)),
    "trainer.optimizer.nesterov": ("trainer.optimizer.name", ("sgd",)),
    "trainer.scheduler.warmup": ("trainer.scheduler.name", ("one_cycle",)),
    "trainer.scheduler.patience": ("trainer.scheduler.name", ("plateau",)),
    "trainer.scheduler.factor": ("trainer.scheduler.name", ("plateau",)),
    "data.mean": ("data.standardize", ("dataset",)),
    "data.std": ("data.standardize", ("dataset",)),
    "data.max_bad_share": ("data.on_bad_image", ("skip",)),
    "data.dataset": ("data.source", ("medmnist",)),
    "partition.alpha": ("partition.name", ("dirichlet",)),
    "partition.classes_per_client": ("partition.name", ("pathological",)),
    "partition.sigma": ("partition.name", ("quantity",)),
    "partition.column": ("partition.name", ("natural",)),
    "partition.seed": ("partition.name", ("iid", "stratified", "dirichlet", "pathological", "quantity")),
    "federation.start_timeout_s": ("federation.engine", ("flower",)),
    "compare.fine_tune": ("compare.local_only", (True,)),
}
# With what settings, or all settings below them, have no effect; with some values only, if they are named.
_WITHOUT_STEPS: Mapping[str, tuple[str, ...]] = dict.fromkeys(
    (
        *("trainer.optimizer", "trainer.scheduler", "trainer.gradient_clip", "trainer.ema_decay"),
        *("trainer.logit_adjustment", "trainer.label_smoothing", "trainer.compile", "trainer.precision"),
        *("data.batch_size", "federation.keep_optimizer", "federation.max_update_norm"),
    ),
    (),
)
_OF_TREES: Mapping[str, tuple[str, ...]] = {
    **_WITHOUT_STEPS,
    "data.scaling": (),
    "data.drop_first_level": (),
    "data.missing": ("mean", "indicator"),
}
NOT_WITH: Mapping[tuple[str, Any], Mapping[str, tuple[str, ...]]] = {
    **{("model.name", name): _OF_TREES for name in ("trees", "xgboost", "lightgbm", "forest")},
    **{
        ("model.name", name): {**_WITHOUT_STEPS, "data.eval_batch_size": ()}
        for name in ("kmeans", "gmm", "pca", "isolation_forest")
    },
}
# Settings that have an effect all the same beside another one: series are scaled for trees too.
EVEN_SO: Mapping[str, tuple[str, Any]] = {"data.scaling": ("task.name", "forecasting")}
# Of a training of one mode; a comparison sets early stopping itself, and says so.
_PATIENCE = ("trainer.early_stopping.patience", "trainer.early_stopping.min_delta")
_STOPS = {
    "fedtwin centralized": "trainer.early_stopping.enabled",
    "fedtwin simulate": "federation.early_stopping",
    "fedtwin federated": "federation.early_stopping",
    "flwr run": "federation.early_stopping",
}


def followed(typed: Sequence[str], *, command: str) -> list[str]:
    """The overrides that a command follows, of a list that several commands share."""
    return [text for text in typed if not within(_name_of(text), UNUSED[command])]


def reject_unused(typed: Sequence[str], cfg: Config, *, command: str) -> None:
    """Reject overrides without an effect; what a preset or a default sets is not asked about.

    Parameters
    ----------
    typed : sequence of str
        In Hydra's override grammar.
    cfg : Config
        Composed with them.
    command : str
        Of `UNUSED`.

    Raises
    ------
    ConfigError
        Names every one.
    """
    settings = cfg.model_dump()
    only = dict(ONLY_WITH)
    if command in _STOPS:
        only |= dict.fromkeys(_PATIENCE, (_STOPS[command], (True,)))
    problems = []
    for text in typed:
        name = _name_of(text)
        if text.startswith("~") or name.startswith("hydra"):
            continue
        if within(name, UNUSED[command]):
            problems.append(f"{text} has no effect on {command}; leave it out")
        elif excluded := _excluded(text, name, settings=settings):
            problems.append(excluded)
        elif name in only:
            problems += _unmet(text, *only[name], settings=settings)
    if problems:
        raise ConfigError("settings without an effect:\n" + bullet_list(problems))


def has_effect(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting means anything beside the others of a run.

    Parameters
    ----------
    name : str
        Such as ``trainer.optimizer.lr``.
    """
    return _excluded(f"{name}={_found(name, settings)}", name, settings=settings) is None


def _name_of(text: str) -> str:
    return text.lstrip("+").partition("=")[0].partition("@")[0].replace("/", ".")


def _excluded(text: str, name: str, *, settings: Mapping[str, Any]) -> str | None:
    if name in EVEN_SO and _found(EVEN_SO[name][0], settings) == EVEN_SO[name][1]:
        return None
    for (other, value), without in NOT_WITH.items():
        if _found(other, settings) != value:
            continue
        for setting, values in without.items():
            if within(name, (setting,)) and (not values or text.partition("=")[2] in values):
                return f"{text} has no effect with {other}={value}; leave it out"
    return None


def _found(name: str, settings: Any) -> Any:
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def _unmet(text: str, other: str, values: Collection[Any], *, settings: Mapping[str, Any]) -> list[str]:
    found = _found(other, settings)
    if found in values or found is None:  # None: the group of a user's own has no such setting
        return []
    wanted = " or ".join(str(value).lower() if isinstance(value, bool) else str(value) for value in values)
    shown = str(found).lower() if isinstance(found, bool) else found
    return [f"{text} has no effect with {other}={shown}; leave it out, or set {other}={wanted}"]
