"""Fed-Heart-Disease: logistic regression of four hospitals, pooled and federated, by hospital and scaling.

    python -m benchmarks.fed_heart HEART_DISEASE.csv [--seeds 5] 2>/dev/null

The file is the UCI Heart Disease table with the columns ``dataset`` (hospital) and ``num``. The test rows are
those of FLamby: 34 % of each hospital, by scikit-learn's `train_test_split` with the random state 43. Of the
others, a tenth is for validation, which chooses nothing here. Accuracy after the last round or epoch, mean of
the seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import fedtwin

INPUTS = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalch", "exang", "oldpeak"]
QUIET = ["trainer.progress=false", "compare.resamples=200", "trainer.accelerator=cpu"]
STRATEGIES = ["fedavg", "fedprox", "scaffold", "fedadam"]
READINGS = {
    "as published": [],
    "chol 0 as missing, gaps filled": ["data.missing=indicator", "data.missing_in={chol: [0], trestbps: [0]}"],
    "not scaled": ["data.scaling=none"],
}


def main() -> None:
    """Train, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, rows = Path(folder) / "heart.csv", split_rows(pd.read_csv(options.file))
        rows.to_csv(path, index=False)
        test = rows[rows["split"] == "test"]
        print(f"{'':<46}{''.join(f'{name:>15}' for name in (*test['dataset'].unique(), 'all'))}{'gap':>24}")
        seeds = ",".join(str(seed) for seed in range(options.seeds))
        for reading, settings in READINGS.items():
            for strategy in STRATEGIES if not settings else STRATEGIES[:1]:
                given = [
                    f"data.path={path}",
                    f"strategy={strategy}",
                    f"compare.seeds=[{seeds}]",
                    *settings,
                    *QUIET,
                ]
                if strategy == "scaffold":
                    given.append("trainer.optimizer.momentum=0")
                result = fedtwin.compare(["experiment=fed_heart_disease", *given], store=folder)
                gap = result.gap.loc["accuracy"]
                for twin, runs in (("pooled", result.pooled), ("federated", result.federated)):
                    if twin == "pooled" and strategy != STRATEGIES[0]:
                        continue
                    found = np.mean([accuracies(run, test) for run in runs], axis=0)
                    name = f"{reading}: {twin if twin == 'pooled' else strategy}"
                    told = (
                        f"{gap['gap']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]" if twin != "pooled" else ""
                    )
                    print(f"{name:<46}{''.join(f'{value:>15.3f}' for value in found)}{told:>24}", flush=True)


def split_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the column ``split``: FLamby's test rows, of the complete rows of each hospital."""
    whole = rows.dropna(subset=INPUTS)
    parts = []
    for _, own in whole.groupby("dataset", sort=False):
        sick = own["num"] > 0
        enough = sick.value_counts().min() > 1
        train, test = train_test_split(own, test_size=0.34, random_state=43, stratify=sick if enough else None)
        parts += [train.assign(split="train"), test.assign(split="test")]
    done = pd.concat(parts)
    # Rows with a gap, which the published protocol leaves out, can only be trained on.
    return pd.concat([done, rows.drop(done.index).assign(split="train")])


def accuracies(run: fedtwin.Run, test: pd.DataFrame) -> list[float]:
    """The share of right answers in each hospital's test rows, and in all."""
    right = np.array(fedtwin.predict(run, test).answers) == np.where(test["num"] > 0, "disease", "no disease")
    return [*(right[test["dataset"] == name].mean() for name in test["dataset"].unique()), right.mean()]


if __name__ == "__main__":
    main()
