"""The ``fedtwin`` command: one line for each way of use; what it needs is imported when it is asked for."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HYDRA_APPS = {
    "compare": ("simulations.app", "train pooled and federated twins and print the gap between them"),
    "centralized": ("centralized.app", "train on pooled data"),
    "federated": ("federated.app", "train federated, in a simulation started through `flwr run`"),
    "partition": ("simulations.partition_app", "show how the rows are shared out among clients"),
}


def main() -> None:
    """Run a subcommand; the exit status is 0 only if it did what was asked."""
    # Threads that wait sleep: spinning ones take a busy machine's cores from each other, and all get slow.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:]
    if arguments and arguments[0] in HYDRA_APPS:
        sys.argv = [f"fedtwin {arguments[0]}", *arguments[1:]]
        import_module(HYDRA_APPS[arguments[0]][0]).main()
        return
    options = _parser().parse_args(arguments)
    from shared.terminal import report_errors

    with report_errors():
        import_module("simulations.commands").run_command(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedtwin",
        description="Train one model twice, pooled and federated, and see what federation costs.",
    )
    parser.add_argument("--version", action="version", version=f"fedtwin {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in HYDRA_APPS.items():
        commands.add_parser(name, help=f"{text} (settings: fedtwin {name} --help)", add_help=False)
    listing = commands.add_parser("runs", help="list the runs in the database")
    listing.add_argument("--mode", choices=["centralized", "federated", "local", "compare"])
    listing.add_argument("--status", choices=["pending", "running", "completed", "failed", "stopped"])
    listing.add_argument("--limit", type=int, default=30, help="how many, newest first (30)")
    show = commands.add_parser("show", help="show one run: status, metrics, clients, rounds")
    for command in (listing, show):
        command.add_argument("--format", choices=["table", "json"], default="table")
    export = commands.add_parser("export", help="write a run's metrics to a file or to standard output")
    export.add_argument("--format", choices=["csv", "json", "parquet"], default="csv")
    export.add_argument("--output", type=Path, help="the file; without it csv and json go to standard output")
    resume = commands.add_parser("resume", help="go on with an interrupted run after its last epoch or round")
    for command in (show, export, resume):
        command.add_argument("run", type=int, help="the run's id (see `fedtwin runs`)")
    return parser


def _version() -> str:
    try:
        return version("fedtwin")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    main()
