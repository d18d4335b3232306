"""`parse`: the arguments of every command that is not a Hydra app."""

from __future__ import annotations

import argparse
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# They read their own arguments: the Hydra apps, and one with subcommands.
APPS = {
    "compare": "train pooled and federated twins and print the gap between them",
    "centralized": "train on pooled data",
    "simulate": "train federated, with clients in processes of this machine",
    "federated": "train federated, in a simulation started through `flwr run`",
    "partition": "show how the rows are shared out among clients",
    "deploy": "many machines: kits for a server and its sites",
}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the arguments of a command.

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fedtwin",
        description="Train one model twice, pooled and federated, and see what federation costs.",
    )
    parser.add_argument("--version", action="version", version=f"fedtwin {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in APPS.items():
        commands.add_parser(name, help=f"{text} (more: fedtwin {name} --help)", add_help=False)
    listing = commands.add_parser("runs", help="list the runs in the database")
    listing.add_argument("--mode", choices=["centralized", "federated", "local", "compare"])
    listing.add_argument("--status", choices=["pending", "running", "completed", "failed", "stopped"])
    listing.add_argument("--tag", help="only runs with this tag")
    listing.add_argument("--limit", type=int, default=30, help="how many, newest first (30)")
    show = commands.add_parser("show", help="show one run: status, metrics, clients, rounds")
    for command in (listing, show):
        command.add_argument("--format", choices=["table", "json"], default="table")
    export = commands.add_parser("export", help="write a run's metrics to a file or to standard output")
    export.add_argument("--format", choices=["csv", "json", "parquet"], default="csv")
    export.add_argument("--output", type=Path, help="the file; without it csv and json go to standard output")
    resume = commands.add_parser(
        "resume", help="resume an interrupted run from its last completed epoch or round"
    )
    predict = commands.add_parser("predict", help="predict for new images with a run's model")
    delete = commands.add_parser("delete", help="delete a run: its rows and its files")
    rename = commands.add_parser("rename", help="give a run another name")
    tag = commands.add_parser("tag", help="add tags to a run, or remove some, and list them")
    watch = commands.add_parser("watch", help="follow a run in the terminal until it has ended")
    for command in (show, export, resume, predict, delete, rename, tag, watch):
        command.add_argument("run", type=int, help="the run's id (see `fedtwin runs`)")
    predict.add_argument(
        "path",
        type=Path,
        help="an image, a folder of images, or a ZIP of images",
    )
    predict.add_argument("--format", choices=["table", "csv", "json"], default="table")
    predict.description = "A task of your own may take other files."
    delete.description = (
        "A run that has not ended is not deleted, nor is one that belongs to a comparison alone."
    )
    delete.add_argument("--with-children", action="store_true", help="also the runs of a comparison")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    rename.add_argument("name")
    tag.add_argument("tags", nargs="*", metavar="TAG", help="one word")
    tag.add_argument("--remove", nargs="+", default=[], metavar="TAG")
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
