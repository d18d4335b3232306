"""`hydra_app`: makes a command with Hydra's overrides of a function that takes a `Config`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from shared.config.compose import CONF_DIR, from_hydra
from shared.config.config import Config
from shared.config.mistakes import check_overrides, explain
from shared.config.no_effect import UNUSED, reject_unused
from shared.runtime.output import survive_encoding
from shared.runtime.secrets import without_secrets
from shared.runtime.terminal import report_errors
from shared.tasks.settle import settle

if TYPE_CHECKING:
    from fedtwin.cli.multirun import Sweep

_RAISE = "HYDRA_FULL_ERROR"
_SWEEPING = {"-m", "--multirun"}


def hydra_app(run: Callable[[Config], int | None]) -> Callable[[], None]:
    """A Hydra app: composes ``conf/`` with the command line, validates, and calls the function.

    Parameters
    ----------
    run : callable
        Gives the id of the run that it made. Imports what it needs itself: ``--help``, ``--cfg`` and invalid
        settings shall cost nothing.

    Returns
    -------
    callable
        Reads ``sys.argv``; prints an error that a user can mend, and exits with 2; Ctrl-C exits with 130. Of a
        ``--multirun``, every job runs, and a table at the end has them all.
    """
    sweeps: list[Sweep] = []  # one, if this is a sweep

    @wraps(run, assigned=("__doc__", "__name__"))
    def validated(settings: DictConfig) -> None:
        typed = list(HydraConfig.get().overrides.task)

        def checked() -> Config:
            cfg = from_hydra(settings)
            if (command := f"fedtwin {run.__name__}") in UNUSED:
                reject_unused(typed, cfg, command=command)
            return cfg

        with report_errors():
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                run(checked())
                return
            from fedtwin.cli.multirun import Sweep, finish_job, last_run

            sweep = sweeps[0] if sweeps else Sweep()
            sweeps[:] = [sweep]
            with sweep.job(HydraConfig.get().job.num, typed) as job:
                cfg = checked()
                since, done = last_run(cfg), None
                try:
                    done = run(cfg)
                finally:
                    finish_job(job, cfg, done, since=since)

    validated.__module__ = f"fedtwin {run.__name__}"  # what Hydra calls the program
    with_settings = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
    composed: Callable[[], None] = with_settings(validated)

    @wraps(run, assigned=("__doc__", "__name__"))
    def app() -> None:
        survive_encoding()  # here too: `python -m centralized` does without `fedtwin.cli.main`
        program, *typed = sys.argv
        with report_errors():
            # Arguments as they were typed, and data that is not named is recognised.
            sys.argv = [program, *settle(typed, sweep=not _SWEEPING.isdisjoint(typed))]
            arguments = get_args_parser().parse_args()
            if arguments.help:
                from fedtwin.cli.help import print_help

                print_help(run.__name__, overrides=arguments.overrides)
                return
            folders = [CONF_DIR, *([Path(arguments.config_dir)] if arguments.config_dir else [])]
            check_overrides(arguments.overrides, folders=folders, sweep=arguments.multirun)
            shown = arguments.cfg is not None or arguments.info is not None
            with _raised(), _masked() if shown else nullcontext():
                try:
                    with _summed_up(sweeps):
                        composed()
                except (HydraException, OmegaConfBaseException) as error:
                    raise explain(error, arguments.overrides, folders=folders) from None

    return app


@contextmanager
def _summed_up(sweeps: list[Sweep]) -> Iterator[None]:
    """Print the table of a sweep after it, and exit with 2 if a job of it failed."""
    try:
        yield
    finally:
        if sweeps:
            from fedtwin.cli.multirun import print_sweep

            print_sweep(sweeps[0])
    if sweeps and sweeps[0].failed:
        sys.exit(2)


@contextmanager
def _masked() -> Iterator[None]:
    """Print settings without the passwords of databases."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in printed.getvalue().splitlines(keepends=True):
            name, colon, value = line.partition(": ")  # a URL that is a whole value is masked as one
            sys.stdout.write(without_secrets(name) + colon + without_secrets(value))


@contextmanager
def _raised() -> Iterator[None]:
    # Without this Hydra prints its errors itself, in words for programmers.
    before = os.environ.get(_RAISE)
    os.environ[_RAISE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RAISE]
        else:
            os.environ[_RAISE] = before
