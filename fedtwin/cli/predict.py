"""``fedtwin predict RUN PATH``: what a run's model says about new rows, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import json
import sys
from argparse import Namespace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.runtime.output import exact_output
from shared.runtime.tables import FittingTable
from shared.runtime.waiting import waiting
from shared.tasks.predictions import Predictions


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
    with waiting("loading the model and predicting"):
        from fedtwin.models import predict  # which imports torch

        done = predict(options.run, options.path)
    if options.format == "json":
        print(json.dumps(done.records(), indent=2))
    elif options.format == "csv":
        exact_output()
        columns, values = done.columns()
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([done.noun, "prediction", *columns])
        for name, answer, row in zip(done.names, done.answers, values.tolist(), strict=True):
            writer.writerow([name, answer, *row])
    else:
        Console().print(_as_table(done))


def _as_table(done: Predictions) -> Table:
    certainties = done.certainties
    table = FittingTable(title="predictions", title_justify="left", title_style="bold")
    for column in (done.noun, "prediction", *(() if certainties is None else ("probability",))):
        table.add_column(column, justify="right" if column == "probability" else "left")
    for place, (name, answer) in enumerate(zip(done.names, done.answers, strict=True)):
        more = () if certainties is None else (f"{certainties[place]:.3f}",)
        # A Text is never read as markup, and a name of a file could hold anything.
        table.add_row(_text(name), _text(answer), *more)
    return table


def _text(value: str | float) -> Text:
    text = value if isinstance(value, str) else f"{value:.6g}"
    return Text("".join(letter if letter.isprintable() else " " for letter in text))
