"""The ``fedtwin`` command: finds the module of a subcommand and imports it; `parser` has the arguments."""

from __future__ import annotations

import atexit
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from fedtwin.cli.parser import APPS, parse
from shared.runtime.output import survive_encoding

NOBODY_READS = 141  # what a shell makes of SIGPIPE
APPS_MODULE = "fedtwin.cli.apps"
# Every other command is a module with a function `run_command`.
COMMANDS = {
    "runs": "fedtwin.cli.runs",
    "show": "fedtwin.cli.runs",
    "export": "fedtwin.cli.runs",
    "resume": "fedtwin.cli.runs",
    "stop": "fedtwin.cli.runs",
    "report": "fedtwin.cli.runs",
    "predict": "fedtwin.cli.predict",
    "sweep": "fedtwin.cli.sweep",
    "data": "fedtwin.cli.data",
    "statistics": "fedtwin.cli.statistics",
    "delete": "fedtwin.cli.edit",
    "prune": "fedtwin.cli.prune",
    "doctor": "fedtwin.cli.doctor",
    "rename": "fedtwin.cli.edit",
    "tag": "fedtwin.cli.edit",
    "serve": "service.serve",
    "worker": "service.jobs.command",
    "follow": "service.integrations.command",
    "jobs": "fedtwin.cli.jobs",
    "datasets": "fedtwin.cli.datasets",
    "token": "fedtwin.cli.access",
    "tenant": "fedtwin.cli.access",
    "models": "fedtwin.cli.models",
    "webhooks": "fedtwin.cli.webhooks",
    "workers": "fedtwin.cli.workers",
    "watch": "service.terminal.watch",
}


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
    try:
        _run(sys.argv[1:])
        if sys.stdout is not None:  # as it is where it was closed from the start
            sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOBODY_READS)


def _run(arguments: list[str]) -> None:
    survive_encoding()
    from shared.runtime.home import keep_private
    from shared.runtime.terminal import report_errors

    with report_errors():
        keep_private()
    if arguments and arguments[0] in APPS:
        name = arguments[0]
        sys.argv = [f"fedtwin {name}", *arguments[1:]]  # these read their own arguments
        if name == "deploy":
            _import("federated.deploy.command").main()
        elif name == "compare" and any(text.partition("=")[0] == "--runs" for text in arguments):
            _import("fedtwin.cli.compare_runs").main(arguments[1:])
        else:
            getattr(_import(APPS_MODULE), name)()
        return
    options = parse(arguments)
    with report_errors():
        _import(COMMANDS[options.command]).run_command(options)


def _import(module: str) -> Any:
    from shared.runtime.gc_pause import uncollected
    from shared.runtime.waiting import waiting

    with uncollected(), waiting("loading fedtwin"):
        return import_module(module)
