"""The table on which tests grow trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write_table(path: Path, *, size: int = 240) -> Path:
    """Numbers with gaps and ties, a category, a site, and targets of each kind."""
    rng = np.random.default_rng(0)
    age, pain = rng.normal(50, 12, size).round(), rng.choice(["none", "some", "much"], size)
    signal = age / 12 + np.where(pain == "much", 2.0, 0.0) + rng.normal(0, 1, size)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(size) < 0.1, np.nan, age),
            "pain": np.where(rng.random(size) < 0.1, None, pain),
            "pulse": rng.normal(70, 9, size).round(2),
            "site": rng.choice(["north", "south", "east"], size, p=[0.7, 0.25, 0.05]),
            "sick": np.where(signal > 5.2, "yes", "no"),
            "grade": np.digitize(signal, [4.0, 5.5]).astype(str),
            "score": signal.round(4),
        }
    )
    frame.to_csv(path, index=False)
    return path


def of_table(path: Path, target: str) -> list[str]:
    """The settings that read it."""
    task = "tabular_regression" if target == "score" else "tabular_classification"
    others = sorted({"sick", "grade", "score"} - {target})
    return [f"task={task}", f"data.path={path}", f"data.target={target}", f"data.drop=[{','.join(others)}]"]
