"""``fedtwin predict RUN PATH``: the classes that a run's model sees in images, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from argparse import Namespace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fedtwin.models import Predictions, predict


def run_command(options: Namespace) -> None:
    """Predict, and write the result to standard output.

    Parameters
    ----------
    options : Namespace
        As parsed by `fedtwin.cli.parser`.

    Raises
    ------
    FedtwinError
    """
    done = predict(options.run, options.path)
    if options.format == "json":
        print(json.dumps(_as_json(done), indent=2))
    elif options.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["image", "prediction", *done.classes])
        for name, label, row in zip(done.names, done.labels, done.probabilities.tolist(), strict=True):
            writer.writerow([name, label, *row])
    else:
        Console().print(_as_table(done))


def _as_json(done: Predictions) -> list[dict[str, object]]:
    return [
        {"image": name, "prediction": label, "probabilities": dict(zip(done.classes, row, strict=True))}
        for name, label, row in zip(done.names, done.labels, done.probabilities.tolist(), strict=True)
    ]


def _as_table(done: Predictions) -> Table:
    table = Table(title="predictions", title_justify="left", title_style="bold")
    for column in ("image", "prediction", "probability"):
        table.add_column(column, justify="right" if column == "probability" else "left")
    for name, label, row in zip(done.names, done.labels, done.probabilities.tolist(), strict=True):
        # A Text is never read as markup, and a name of a file could hold anything.
        table.add_row(_text(name), _text(label), f"{row[done.classes.index(label)]:.3f}")
    return table


def _text(value: str) -> Text:
    return Text("".join(letter if letter.isprintable() else " " for letter in value))
