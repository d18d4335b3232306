"""The commands on stored runs: ``runs``, ``show``, ``export``, ``resume``, ``stop`` and ``report``."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from rich.console import Console

from federated.launch.local_superlink import sweep
from shared.runtime.errors import ConfigError, TrackingError
from shared.runtime.files import check_new
from shared.runtime.home import Home, open_home
from shared.runtime.output import exact_output
from shared.tracking import show
from shared.tracking.export import export_parts, export_run
from shared.tracking.rows import STORED_MODES
from shared.tracking.store import Store


def run_command(options: Namespace) -> None:
    """Run one of these commands.

    Parameters
    ----------
    options : Namespace
        From `fedtwin.cli.parser.parse`.

    Raises
    ------
    FedtwinError
    """
    home = open_home()
    with Store(home.database_url) as store:
        store.runs.settle(home.journals)
        sweep(store, home=home)
        COMMANDS[options.command](options, store, home)


def _runs(options: Namespace, store: Store, home: Home) -> None:
    limit = options.limit if options.tag is None else None
    rows = store.runs.search(
        mode=STORED_MODES.get(options.mode, options.mode), status=options.status, limit=limit
    )
    if options.tag is not None:
        rows = [row for row in rows if options.tag in row.tags][: options.limit]
    several = len(store.tenants.search()) > 1
    tenants = store.runs.tenants([row.id for row in rows]) if several else {}
    if options.format == "json":
        listed = show.runs_json(rows)
        owned = [{**one, "tenant": tenants.get(one["id"])} for one in listed] if several else listed
        print(json.dumps(owned, indent=2))
    else:
        Console().print(show.runs_table(rows, tenants=tenants if several else None))


def _show(options: Namespace, store: Store, home: Home) -> None:
    if options.format == "json":
        print(json.dumps(show.run_json(store, options.run), indent=2))
    else:
        _print_page(store, options.run)


def _export(options: Namespace, store: Store, home: Home) -> None:
    check_new(options.output, force=options.force)
    if options.format == "model":
        _export_model(options, home)
        return
    if options.format == "ro-crate":
        from shared.tracking.ro_crate import write_crate

        if options.output is None:
            raise ConfigError("a crate is a folder or a ZIP: pass --output FOLDER or --output FILE.zip")
        print(write_crate(store, options.run, home=home, path=options.output))
        return
    if options.output is None and options.format == "parquet":
        raise TrackingError("Parquet is binary: pass --output FILE")
    if options.output is not None:
        print(export_run(store, options.run, format=options.format, path=options.output))
        return
    exact_output()
    for part in export_parts(store, options.run, format=options.format):
        sys.stdout.write(part.decode())


def _export_model(options: Namespace, home: Home) -> None:
    from fedtwin.models import load_trees  # PyTorch, which no list of runs needs
    from shared.runtime.files import replacing

    content = load_trees(options.run, store=home.root)
    if options.output is None:
        sys.stdout.write(content.decode())
        return
    with replacing(options.output) as file:
        file.write(content)
    print(options.output)


def _resume(options: Namespace, store: Store, home: Home) -> None:
    if store.runs.get(options.run).training_mode == "sweep":
        from fedtwin.cli.sweep import train

        if options.settings:
            raise ConfigError(
                f"{options.settings[0]}: a sweep goes on with the settings of its plan; --workers may differ"
            )
        train(options.run, options, store=store, home=home)
        return
    if (options.workers, options.scheduler, options.results, options.keep_models) != (None, None, None, False):
        raise ConfigError(
            "--workers, --scheduler, --results and --keep-models have no effect but on a sweep; leave them out "
            "(federation.workers=2: clients at once)"
        )
    from simulations.resuming import resume  # not needed to list runs, nor are the modules that train

    run_id = resume(options.run, store=store, home=home, settings=options.settings)
    if store.runs.get(run_id).training_mode != "compare":
        _print_page(store, run_id)
        return
    from simulations.report.terminal import print_comparison

    print_comparison(Console(), run_id, store=store, home=home)


def _print_page(store: Store, run_id: int) -> None:
    from fedtwin.cli.run_page import run_page  # NumPy, which no list of runs needs

    Console().print(run_page(store, run_id))


def _stop(options: Namespace, store: Store, home: Home) -> None:
    from fedtwin.cli.sweep import closing_line
    from shared.runtime.waiting import waiting
    from simulations.sweeps.stopping import request_stop

    with waiting(f"waiting for the trials of sweep {options.run}, which keep what they have trained"):
        run = request_stop(options.run, store=store, home=home)
    if run.status == "completed":
        print(f"sweep {run.id} has completed meanwhile")
        return
    print(closing_line(store, run.id))


def _report(options: Namespace, store: Store, home: Home) -> None:
    from simulations.sweeps.report import write_sweep_report

    print(write_sweep_report(store, options.run, home=home))


COMMANDS = {
    "runs": _runs,
    "show": _show,
    "export": _export,
    "resume": _resume,
    "stop": _stop,
    "report": _report,
}
