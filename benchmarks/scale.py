"""Scaling benchmark: cost of `fedtwin simulate` over clients, parameters and images, and of writing rows.

python -m benchmarks.scale --data pneumoniamnist.npz
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.speed import machine, ours
from benchmarks.speed.images import repeated
from benchmarks.speed.meter import child_environment, measure
from benchmarks.speed.processes import adopt_orphans
from benchmarks.speed.sample import make_sample
from shared.metrics.point import MetricPoint
from shared.tracking.store import Store

SAMPLED, ROUNDS, ROWS_A_CLIENT = 10, 4, 10
CLIENTS = (10, 100, 1_000, 10_000)
IMAGES = (1_000, 10_000, 100_000)
MODELS = {  # by their trainable parameters
    80_210: ("model=cnn",),
    1_211_330: ("model=cnn", "model.hidden=768"),
    11_171_266: ("model=resnet18", "model.stem=imagenet", "model.norm=group"),
    23_505_858: ("model=resnet50", "model.stem=imagenet", "model.norm=group"),
}
POINTS, BATCHES = 200_000, (10, 1_000, 10_000)
TIMEOUT_S = 1200.0
_INK, _MEMORY = "#0072B2", "#D55E00"  # Okabe and Ito (2008)


@dataclass(frozen=True)
class Cost:
    """One size along one axis.

    Attributes
    ----------
    axis : {"clients", "parameters", "images"}
    start_s : float
        From the command's start to its end, without its rounds.
    round_s : float
        Mean of all rounds but the first.
    megabytes : float
        Peak memory of all processes.
    """

    axis: str
    size: int
    start_s: float
    round_s: float
    megabytes: float


def settings(data: Path, *, clients: int, sampled: int, model: Sequence[str] = ("model=cnn",)) -> list[str]:
    """The overrides of one command.

    Parameters
    ----------
    clients, sampled : int
        Number of clients sampled per round.
    """
    return [
        "data=npz",
        f"data.path={data}",
        "data.batch_size=32",
        *model,
        "partition=iid",
        f"partition.min_examples={ROWS_A_CLIENT - 2}",
        f"federation.num_clients={clients}",
        f"federation.num_rounds={ROUNDS}",
        "federation.local_epochs=1",
        f"strategy.fraction_train={sampled / clients:g}",
        "strategy.fraction_evaluate=0",
        "trainer.test_model=last",
        "trainer.accelerator=cpu",
        "trainer.progress=false",
    ]


def costs(data: Path, *, folder: Path, clients: Sequence[int], images: Sequence[int]) -> Iterator[Cost]:
    """Measure along each axis, the others held.

    Parameters
    ----------
    folder : Path
        Scratch.
    """
    for count in clients:
        rows = _images(data, count * ROWS_A_CLIENT, folder)
        yield _cost("clients", count, settings(rows, clients=count, sampled=SAMPLED), folder)
    rows = _images(data, SAMPLED * 32, folder)  # one step a client
    for count, model in MODELS.items():
        yield _cost("parameters", count, settings(rows, clients=SAMPLED, sampled=SAMPLED, model=model), folder)
    for count in images:
        rows = _images(data, count, folder)
        yield _cost("images", count, settings(rows, clients=SAMPLED, sampled=SAMPLED), folder)


def _images(data: Path, rows: int, folder: Path) -> Path:
    return repeated(data, rows=rows, path=folder / f"rows-{rows}.npz")


def _cost(axis: str, size: int, overrides: Sequence[str], folder: Path) -> Cost:
    home, own = folder / "home", folder / f"{axis}-{size}"
    own.mkdir()
    home.mkdir(exist_ok=True)
    measured = measure(
        [*ours.command("simulate"), *overrides],
        env=child_environment(FEDTWIN_HOME=str(home)),
        folder=own,
        timeout_s=TIMEOUT_S,
    )
    marks = ours.marks_of_last_run(home) if measured.status == 0 else []
    sample = make_sample(axis, "local", run=1, rounds=ROUNDS, measured=measured, marks=marks)
    shutil.rmtree(own)
    if sample.error or sample.round_wall is None or sample.rest_wall is None or sample.memory is None:
        raise SystemExit(f"{axis} {size}: {sample.error}")
    return Cost(axis, size, sample.rest_wall, sample.round_wall, sample.memory)


def rows_a_second(folder: Path, *, batch: int, points: int = POINTS) -> float:
    """Metric rows that a store on SQLite takes, each batch in a transaction that is on disk when it returns.

    Parameters
    ----------
    folder : Path
        Of the database.
    batch : int
        Rows of a transaction.
    points : int
        All rows.
    """
    path = folder / f"rows-{batch}.db"
    with Store(f"sqlite:///{path}") as store:
        run_id = store.runs.create(name="rows", training_mode="federated", config={}, seed=0)
        names = [f"metric_{number}" for number in range(10)]
        began = time.perf_counter()
        for start in range(0, points, batch):
            store.metrics.add(
                run_id,
                [
                    MetricPoint(
                        stage="train",
                        name=names[row % 10],
                        value=float(row),
                        round=row // 1000,
                        client_id=row // 10 % 100,
                        num_examples=10,
                    )
                    for row in range(start, min(points, start + batch))
                ],
            )
        return points / (time.perf_counter() - began)


def draw(found: Sequence[Cost], path: Path) -> None:
    """Write the figure: one panel per axis with seconds per round and memory.

    Parameters
    ----------
    path : Path
        Of a PNG file.
    """
    axes_names = list(dict.fromkeys(cost.axis for cost in found))
    fig = Figure(figsize=(4.2 * len(axes_names), 3.6), facecolor="white", layout="constrained")
    FigureCanvasAgg(fig)
    for axes, name in zip(fig.subplots(1, len(axes_names), squeeze=False)[0], axes_names, strict=True):
        mine = [cost for cost in found if cost.axis == name]
        sizes = [cost.size for cost in mine]
        axes.loglog(sizes, [cost.round_s for cost in mine], "o-", color=_INK, label="per round, s")
        axes.loglog(sizes, [cost.start_s for cost in mine], "s--", color=_INK, label="start and end, s")
        axes.set_xlabel(name)
        axes.set_ylabel("seconds", color=_INK)
        axes.grid(visible=True, which="major", alpha=0.3)
        memory = axes.twinx()
        memory.plot(sizes, [cost.megabytes for cost in mine], "^:", color=_MEMORY, label="peak memory, MB")
        memory.set_ylim(bottom=0)
        memory.set_ylabel("MB", color=_MEMORY)
        if name == axes_names[0]:
            lines = [*axes.get_lines(), *memory.get_lines()]
            labels = [str(line.get_label()) for line in lines]
            fig.legend(lines, labels, loc="outside upper center", ncols=len(lines), frameon=False)
    fig.savefig(path, dpi=150)


def main() -> None:
    """Measure, print the tables, write JSON and the figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="PneumoniaMNIST's .npz (28 x 28)")
    parser.add_argument("--out", type=Path, default=Path("outputs/scale"), help="folder of the results")
    parser.add_argument("--small", action="store_true", help="without the largest sizes, to try it")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    adopt_orphans()
    described = machine.describe()
    print(f"{machine.line(described)}\n\n| axis | size | per round, s | start and end, s | peak memory, MB |")
    print("|---|---|---|---|---|")
    found: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="fedtwin-scale-") as scratch:
        clients, images = (CLIENTS[:-1], IMAGES[:-1]) if options.small else (CLIENTS, IMAGES)
        for cost in costs(options.data.absolute(), folder=Path(scratch), clients=clients, images=images):
            found.append(cost)
            print(
                f"| {cost.axis} | {cost.size:,} | {cost.round_s:.2f} | {cost.start_s:.1f} | "
                f"{cost.megabytes:.0f} |",
                flush=True,
            )
        rates = {batch: rows_a_second(Path(scratch), batch=batch) for batch in BATCHES}
    print("\n| rows a transaction | rows a second, SQLite |\n|---|---|")
    for batch, rate in rates.items():
        print(f"| {batch:,} | {rate:,.0f} |")
    written = {"machine": described, "costs": [asdict(cost) for cost in found], "rows_a_second": rates}
    (options.out / "scale.json").write_text(json.dumps(written, indent=1) + "\n")
    draw(found, options.out / "scale.png")


if __name__ == "__main__":
    main()
