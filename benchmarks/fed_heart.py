"""Fed-Heart-Disease: logistic regression of four hospitals, pooled and federated, by hospital and scaling.

    python -m benchmarks.fed_heart HEART_DISEASE.csv [--seeds 5] [--better | --trees] 2>/dev/null

The file is the UCI Heart Disease table with the columns ``dataset`` (hospital) and ``num``. The test rows are
those of FLamby: 34 % of each hospital, by scikit-learn's `train_test_split` with the random state 43. Accuracy
after the last round or epoch, median of the seeds, and the smallest and the largest.

The pooled model is trained as published: Adam at 0.001, batches of 4, 50 epochs. The federated ones have 15
rounds of 3 local epochs of plain SGD, whose learning rate (and FedAdam's on the server) has the smallest
validation loss on 74 of the training rows, with one seed; then all but 8 of the training rows are trained on.

With ``--better``, scaling and learning rate are chosen together, by the mean validation loss over two draws of
74 training rows, pooled and for SCAFFOLD; and rows with gaps are trained on too, where they are filled.

With ``--trees``, 50 trees of each library (of a federated forest, 50 of each hospital), pooled and federated,
with settings that were chosen beforehand.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split

import fedtwin
from shared.tasks.tables.trained_model import TableModel

INPUTS = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak"]
QUIET = ["trainer.progress=false", "trainer.accelerator=cpu", "federation.workers=1"]
STRATEGIES = ["fedavg", "fedprox", "scaffold", "fedadam"]
SCALINGS = ["federated", "local", "none"]
RATES = [0.003, 0.01, 0.03, 0.1]
POOLED = [
    *("trainer.optimizer.name=adamw", "trainer.optimizer.lr=0.001", "trainer.optimizer.weight_decay=0"),
    *("trainer.max_epochs=50", "trainer.early_stopping.enabled=false"),
]
SAME_LENGTH = ["trainer.max_epochs=45", "trainer.early_stopping.enabled=false"]
READINGS = {
    "gaps left out": [],
    "gaps filled": ["data.missing=indicator", "data.missing_in={chol: [0], trestbps: [0]}"],
}
DRAWS = 2
TREES = 50
_SMALL = ["model.subsample=0.8", "model.colsample=0.8"]
OF_TREES = {
    "trees": ["model.min_samples_leaf=5", "model.max_depth=3", "model.colsample=0.8"],
    "xgboost": ["model.max_depth=3", *_SMALL],
    "lightgbm": ["model.max_leaves=8", "model.min_samples_leaf=5", *_SMALL],
    "forest": [],
}
AT_ONCE = ["federation.num_rounds=1", f"federation.local_epochs={TREES}"]
ONE_BY_ONE = [f"federation.num_rounds={TREES}", "federation.local_epochs=1"]
WAYS = {
    "bagging": ["strategy=bagging", *ONE_BY_ONE],
    "cyclic": ["strategy=cyclic", *ONE_BY_ONE],
    "averaged ensembles": ["strategy=bagging", *AT_ONCE],
    "united forests": ["strategy=bagging", *AT_ONCE],
}
BY_MODEL = {
    "trees": [],  # those of pooled training, bit for bit
    "xgboost": ["bagging", "cyclic", "averaged ensembles"],
    "lightgbm": ["bagging", "cyclic", "averaged ensembles"],
    "forest": ["united forests"],
}
SEARCH, ALL = ["data.val_fraction=0.1"], ["data.val_fraction=0.01"]


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--better", action="store_true")
    parser.add_argument("--trees", action="store_true")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path, rows = Path(folder) / "heart.csv", split_rows(pd.read_csv(options.file))
        rows.to_csv(path, index=False)
        test = rows[rows["split"] == "test"]
        hospitals = [*test["dataset"].unique(), "all"]
        print(f"| scaling | model | {' | '.join(hospitals)} |\n|{'---|' * (2 + len(hospitals))}")
        if options.better:
            better(path, test, seeds=options.seeds, folder=folder)
        if options.trees:
            of_trees(path, test, seeds=options.seeds, folder=folder)
        for scaling in SCALINGS if not (options.better or options.trees) else ():
            common = ["experiment=fed_heart_disease", f"data.path={path}", f"data.scaling={scaling}", *QUIET]
            seeds = [f"seed={seed}" for seed in range(options.seeds)]
            runs = [fedtwin.train([*common, *POOLED, *ALL, seed], store=folder) for seed in seeds]
            tell(scaling, "pooled", [accuracies(run, test) for run in runs])
            if scaling == "federated":
                train = rows[rows["split"] == "train"].dropna(subset=INPUTS)
                own = [on_own_statistics(run, test, train) for run in runs]
                tell(scaling, "pooled, tested on own statistics", own)
            for strategy in STRATEGIES:
                chosen = best_settings(strategy, common, folder=folder)
                given = [*common, *ALL, f"strategy={strategy}", *chosen]
                runs = [fedtwin.federate([*given, seed], store=folder) for seed in seeds]
                rates = ", ".join(text.partition("=")[2] for text in chosen[1:])
                tell(scaling, f"{strategy} ({rates})", [accuracies(run, test) for run in runs])
    print(f"\n{(time.monotonic() - begun) / 60:.0f} minutes")


def better(path: Path, test: pd.DataFrame, *, seeds: int, folder: str) -> None:
    """Choose scaling and learning rate inside the training rows, of each reading of gaps by itself."""
    plain = ["experiment=fed_heart_disease", f"data.path={path}", "trainer.optimizer.momentum=0", *QUIET]
    for model, reading in product(("pooled", "scaffold"), READINGS):
        train = partial(fedtwin.train if model == "pooled" else fedtwin.federate, store=folder)
        own = [*plain, *READINGS[reading], *(SAME_LENGTH if model == "pooled" else [f"strategy={model}"])]
        tried = {
            (scaling, rate): [*own, f"data.scaling={scaling}", f"trainer.optimizer.lr={rate}"]
            for scaling, rate in product(SCALINGS[:2], RATES[2:])
        }
        losses = {
            key: np.mean(
                [last_loss(train([*given, *SEARCH, f"data.split_seed={k}", "seed=0"])) for k in range(DRAWS)]
            )
            for key, given in tried.items()
        }
        chosen = min(losses, key=losses.__getitem__)
        runs = [train([*tried[chosen], *ALL, f"seed={seed}"]) for seed in range(seeds)]
        tell(chosen[0], f"{model}, {reading} ({chosen[1]})", [accuracies(run, test) for run in runs])


def of_trees(path: Path, test: pd.DataFrame, *, seeds: int, folder: str) -> None:
    """Trees of each library, which take the rows as they are."""
    plain = [f"data.path={path}", "data.drop_first_level=false", *ALL, *QUIET]
    length = [f"trainer.max_epochs={TREES}", "trainer.early_stopping.enabled=false"]
    for model, ways in BY_MODEL.items():
        # The model is named first: its file has settings of its own.
        own = ["experiment=fed_heart_disease", f"model={model}", *plain, *OF_TREES[model]]
        runs = [fedtwin.train([*own, *length, f"seed={seed}"], store=folder) for seed in range(seeds)]
        tell("", f"{model}, pooled", [accuracies(run, test) for run in runs])
        for way in ways:
            runs = [fedtwin.federate([*own, *WAYS[way], f"seed={seed}"], store=folder) for seed in range(seeds)]
            tell("", f"{model}, {way}", [accuracies(run, test) for run in runs])


def best_settings(strategy: str, common: Sequence[str], *, folder: str) -> list[str]:
    """The learning rates with the smallest validation loss; the test rows are not looked at."""
    plain = "trainer.optimizer.momentum=0"
    tried = [[plain, f"trainer.optimizer.lr={rate}"] for rate in RATES]
    if strategy == "fedadam":
        tried = [
            [plain, f"trainer.optimizer.lr={rate}", f"strategy.server_learning_rate={server}"]
            for rate in RATES[1:3]
            for server in RATES
        ]
    losses = []
    for settings in tried:
        run = fedtwin.federate([*common, *SEARCH, f"strategy={strategy}", *settings, "seed=0"], store=folder)
        losses.append(last_loss(run))
    return tried[int(np.argmin(losses))]


def last_loss(run: fedtwin.Run) -> float:
    """The validation loss, of all clients together, after the last epoch or round."""
    values = run.metrics
    own = values[(values["stage"] == "val") & (values["name"] == "loss") & values["client_id"].isna()]
    return float(own.sort_values("round" if run.mode == "federated" else "epoch")["value"].iloc[-1])


def tell(scaling: str, model: str, found: Sequence[Sequence[float]]) -> None:
    """Print a row: the median of the seeds, with the smallest and the largest."""
    columns = np.array(found).T
    cells = (f"{np.median(own):.3f} [{own.min():.3f}, {own.max():.3f}]" for own in columns)
    print(f"| {scaling} | {model} | {' | '.join(cells)} |", flush=True)


def split_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the column ``split``: FLamby's test rows, of the complete rows of each hospital."""
    whole = rows.dropna(subset=INPUTS)
    parts = []
    for _, own in whole.groupby("dataset", sort=False):
        sick = own["num"] > 0
        enough = sick.value_counts().min() > 1
        train, test = train_test_split(own, test_size=0.34, random_state=43, stratify=sick if enough else None)
        parts += [train.assign(split="train"), test.assign(split="test")]
    done: pd.DataFrame = pd.concat(parts)
    # Rows with a gap, which the published protocol leaves out, can only be trained on.
    return pd.concat([done, rows.drop(done.index).assign(split="train")])


def on_own_statistics(run: fedtwin.Run, test: pd.DataFrame, train: pd.DataFrame) -> list[float]:
    """The accuracies where each hospital's test rows are standardised by its own training rows, not by all.

    So were the published columns of the hospitals measured, of inputs of which each, the levels of a category
    too, is less its mean and divided by its deviation.
    """
    model = fedtwin.load_model(run)
    assert isinstance(model, TableModel)

    def prepared(rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(model.prepare(torch.from_numpy(np.stack([row for _, row in model.read(rows)]))))

    inputs, known = prepared(test), prepared(train)
    for hospital in test["dataset"].unique():
        here, own = test["dataset"] == hospital, known[train["dataset"] == hospital]
        spread = np.where(own.std(axis=0) > 0, own.std(axis=0), 1.0)
        inputs[here] = known.mean(axis=0) + known.std(axis=0) * (inputs[here] - own.mean(axis=0)) / spread
    with torch.no_grad():
        answers = model.network(torch.from_numpy(inputs)).argmax(dim=1).numpy()
    right = answers == (test["num"] > 0).to_numpy()
    return [*(right[test["dataset"] == name].mean() for name in test["dataset"].unique()), right.mean()]


def accuracies(run: fedtwin.Run, test: pd.DataFrame) -> list[float]:
    """The share of right answers in each hospital's test rows, and in all."""
    right = np.array(fedtwin.predict(run, test).answers) == np.where(test["num"] > 0, "disease", "no disease")
    return [*(right[test["dataset"] == name].mean() for name in test["dataset"].unique()), right.mean()]


if __name__ == "__main__":
    main()
