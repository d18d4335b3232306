"""The ``fedtwin`` command: one line for each way of use; what it needs is imported when it is asked for."""

from __future__ import annotations

import argparse
import atexit
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HYDRA_APPS = {
    "compare": ("simulations.app", "train pooled and federated twins and print the gap between them"),
    "centralized": ("centralized.app", "train on pooled data"),
    "simulate": ("simulations.simulate_app", "train federated, with clients in processes of this machine"),
    "federated": ("federated.app", "train federated, in a simulation started through `flwr run`"),
    "partition": ("simulations.partition_app", "show how the rows are shared out among clients"),
}

# Commands that read their own arguments, as the Hydra apps do.
APPS = {**HYDRA_APPS, "deploy": ("federated.deploy.command", "many machines: kits for a server and its sites")}

# Commands that have a module of their own; the others are in `simulations.commands`.
COMMAND_MODULES = {"serve": "service.serve", "watch": "service.terminal.watch"}


def command() -> None:
    """Run a subcommand, and end the process with it."""
    main()
    if "torch" in sys.modules:
        _end_at_once()


def _end_at_once() -> None:
    # Python would first take apart all that was imported, for a second.
    atexit._run_exitfuncs()
    with suppress(OSError):  # such as a reader who has gone: then Python says so at its own end
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # as it is where it was closed from the start
                stream.flush()
        os._exit(0)


def main() -> None:
    """Run a subcommand; the exit status is 0 only if it did what was asked."""
    # Threads that wait sleep: spinning ones take a busy machine's cores from each other, and all get slow.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = sys.argv[1:]
    if arguments and arguments[0] in APPS:
        sys.argv = [f"fedtwin {arguments[0]}", *arguments[1:]]
        _import(APPS[arguments[0]][0]).main()
        return
    options = parse(arguments)
    from shared.runtime.terminal import report_errors

    with report_errors():
        _import(COMMAND_MODULES.get(options.command, "simulations.commands")).run_command(options)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments of every command that is not a Hydra app.

    Parameters
    ----------
    arguments : list of str
        Without the program's name. A token may begin with a dash.

    Raises
    ------
    SystemExit
        With status 2, after saying what is wrong, or 0 after ``--help``.
    """
    joined: list[str] = []
    for argument in arguments:
        # argparse would take a value that begins with a dash for an option, and random tokens do.
        if joined and joined[-1] == "--token":
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return _parser().parse_args(joined)


def _import(module: str) -> Any:
    from shared.runtime.gc_pause import uncollected

    with uncollected():
        return import_module(module)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedtwin",
        description="Train one model twice, pooled and federated, and see what federation costs.",
    )
    parser.add_argument("--version", action="version", version=f"fedtwin {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, text) in APPS.items():
        commands.add_parser(name, help=f"{text} (more: fedtwin {name} --help)", add_help=False)
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
    watch = commands.add_parser("watch", help="follow a run in the terminal until it has ended")
    for command in (show, export, resume, watch):
        command.add_argument("run", type=int, help="the run's id (see `fedtwin runs`)")
    _add_serve(commands.add_parser("serve", help="open the live page: watch, compare and read runs"))
    _add_watch(watch)
    return parser


def _add_watch(watch: argparse.ArgumentParser) -> None:
    watch.description = "Follow a run until it has ended. Exit status 0: completed, 1: failed, 3: stopped."
    watch.add_argument("--url", help="a server, such as http://127.0.0.1:8765; without: this home's database")
    watch.add_argument("--token", help="of the server at --url (or FEDTWIN_TOKEN)")
    watch.add_argument("--format", choices=["live", "jsonl"], default="live", help="jsonl: one message a line")


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine only)"
    )
    serve.add_argument("--port", type=int, default=8765, help="the port to listen on (8765); 0: a free one")
    serve.add_argument("--token", help="who asks must know it; needed on other addresses (or FEDTWIN_TOKEN)")
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which browsers may open it",
    )
    serve.add_argument("--open", action="store_true", help="show the page in a browser")


def _version() -> str:
    try:
        return version("fedtwin")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    command()
