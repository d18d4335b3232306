"""``fedtwin compare --runs 2 3``: the gap of runs that are there, printed like that of a new comparison."""

from __future__ import annotations

import shlex
import sys
from argparse import ArgumentParser

from fedtwin.cli.parser import run_number
from shared.runtime.home import open_home
from shared.runtime.terminal import report_errors
from shared.tracking.store import Store

RUNS = "--runs"


def main(arguments: list[str]) -> None:
    """Read the arguments after ``fedtwin compare``, compare, and print.

    Raises
    ------
    SystemExit
        With status 2 after an error that the user can mend.
    """
    parser = ArgumentParser(
        prog="fedtwin compare",
        description="Compare completed pooled and federated runs, without training; they are paired by seed.",
    )
    parser.add_argument(
        RUNS, nargs="+", type=run_number, required=True, metavar="RUN", help="ids, see fedtwin runs"
    )
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="such as compare.confidence=0.9")
    places = [place for place, text in enumerate(arguments) if "=" in text and not text.startswith("-")]
    settings = [arguments[place] for place in places]  # wherever they stand
    others = [text for place, text in enumerate(arguments) if place not in places]
    options = parser.parse_args([*settings, *others])
    with report_errors():
        from rich.console import Console

        from simulations.compare_stored import compare_stored
        from simulations.report.terminal import print_comparison

        home = open_home()
        with Store(home.database_url) as store:
            store.runs.settle(home.journals)
            command = shlex.join(["fedtwin", "compare", *arguments])
            run_id = compare_stored(
                options.runs, store=store, home=home, settings=options.settings, command=command
            )
            print_comparison(Console(), run_id, store=store, home=home)
        sys.stdout.flush()
