"""The electric load of 17 homes, 24 hours ahead: models against the same hour yesterday, by who trains them.

    python -m benchmarks.electricity FILE [--seeds 5] [--models mlp lstm tcn trees ...] [--write PAGE]

The file is that of `experiment=electricity` (CityLearn Challenge 2022, also packed). Each model is trained on
the rows of all homes (pooled), by a federation with a home a client, by each home alone, and, of networks, by
each home from the federated model on (fine-tuned). Mean absolute error of the last fifth of the year in kWh,
of each home by the model that it would use, mean over the homes; median of the seeds, the smallest and the
largest.

``--write`` puts the tables between the two marks of a page (`MARKS`), after each comparison.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import fedtwin

SETTINGS = {  # chosen on the validation part, pooled, with seed 42
    "mlp": ["model=mlp", "model.hidden=[64]", "model.dropout=0.2", "trainer.optimizer.lr=0.001"],
    "lstm": ["model=lstm", "model.hidden=32", "model.dropout=0.2", "trainer.optimizer.lr=0.003"],
    "tcn": ["model=tcn", "model.channels=24", "trainer.optimizer.lr=0.001"],
}
TREES = ("trees", "lightgbm", "xgboost")  # on lags; settings chosen beforehand
LENGTHS = ["federation.num_rounds=50", "federation.local_epochs=1", "compare.fine_tune=0"]
SETTINGS |= {name: [f"model={name}", "model.learning_rate=0.2", *LENGTHS] for name in TREES}
SETTINGS["forest"] = ["model=forest", "model.max_leaves=256", *LENGTHS]
QUIET = ["trainer.progress=false", "trainer.accelerator=cpu"]
KINDS = ("pooled", "federated", "alone", "fine_tuned")
MARKS = ("<!-- benchmarks/electricity.py -->", "<!-- end -->")


def main() -> None:
    """Train, and print two tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=["mlp", "lstm", "tcn"])
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    if options.write is not None and not all(
        mark in options.write.read_text(encoding="utf-8") for mark in MARKS
    ):
        parser.error(f"{options.write} lacks the marks {MARKS[0]} and {MARKS[1]}, between which the tables go")
    begun = time.monotonic()
    found: dict[str, list[fedtwin.Comparison]] = {name: [] for name in options.models}
    with tempfile.TemporaryDirectory() as folder:
        path = unpacked(options.file, Path(folder))
        for seed in range(options.seeds):
            for name in options.models:
                given = ["experiment=electricity", f"data.path={path}", f"seed={seed}", *SETTINGS[name], *QUIET]
                found[name].append(fedtwin.compare(given, store=folder))
                text = "\n".join(tables(found))
                print(f"{text}\n\n{(time.monotonic() - begun) / 60:.0f} minutes", flush=True)
                if options.write is not None:
                    write(options.write, text)


def unpacked(path: Path, folder: Path) -> Path:
    """A file as it is once unpacked: a larger one is kept in the cache, for the processes that read it next."""
    if path.suffix != ".gz":
        return path
    plain = folder / path.stem
    with gzip.open(path) as packed, plain.open("wb") as file:
        shutil.copyfileobj(packed, file)
    return plain


def tables(found: dict[str, list[fedtwin.Comparison]]) -> list[str]:
    """Errors by model and by who trains it, and what joining brings homes."""
    ran = {name: own for name, own in found.items() if own}
    first = next(iter(ran.values()))[0].gap
    floor = float(first.loc["seasonal_mae", "pooled"])
    last = float(first.loc["persistence_mae", "pooled"])
    lines = [
        "| model | seeds | pooled | federated | home alone | fine-tuned | gap of seed 0, 95 % CI |",
        "|---|---|---|---|---|---|---|",
        f"| same hour yesterday | | {floor:.3f} | {floor:.3f} | {floor:.3f} | {floor:.3f} | |",
        f"| last value | | {last:.3f} | {last:.3f} | {last:.3f} | {last:.3f} | |",
    ]
    for name, own in ran.items():
        cells = [spread([error(one, kind) for one in own]) if trained(own, kind) else "" for kind in KINDS]
        row, noun = own[0].gap.loc["mae"], own[0].run.row.summary["gap"][0]["noun"]
        gap = f"{row['gap']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}], {row['groups']} {noun}s"
        lines.append(f"| {name} | {len(own)} | {' | '.join(cells)} | {gap} |")
    lines += [
        "",
        "| homes of 17 where | " + " | ".join(ran) + " |",
        f"|---|{'---|' * len(ran)}",
    ]
    for told, better, worse in (
        ("federated is better than alone", "federated", "alone"),
        ("fine-tuned is better than alone", "fine_tuned", "alone"),
        ("fine-tuned is better than pooled", "fine_tuned", "pooled"),
    ):
        counts = [
            spread([int((sites(one)[better] < sites(one)[worse]).sum()) for one in own], digits=0)
            if trained(own, better)
            else ""
            for own in ran.values()
        ]
        lines.append(f"| {told} | {' | '.join(counts)} |")
    return lines


def trained(own: Sequence[fedtwin.Comparison], kind: str) -> bool:
    """Whether there is a model of a kind: trees are not fine-tuned."""
    return bool(sites(own[0])[kind].notna().all())


def error(one: fedtwin.Comparison, kind: str) -> float:
    """Mean absolute error, mean over the homes, which have as many test windows each."""
    return float(sites(one)[kind].mean())


def sites(one: fedtwin.Comparison) -> pd.DataFrame:
    """What joining brings each home."""
    assert one.sites is not None
    return one.sites


def spread(values: Sequence[float], *, digits: int = 3) -> str:
    """Median, and of several the smallest and the largest."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if len(values) > 1 else "")


def write(page: Path, text: str) -> None:
    """Put the tables between the marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
