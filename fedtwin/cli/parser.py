"""`parse`: the arguments of every command that is not a Hydra app."""

from __future__ import annotations

import argparse
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# They read their own arguments: the Hydra apps, and one with subcommands.
APPS = {
    "compare": "train pooled and federated twins and print the gap between them; --runs 2 3: of these runs",
    "centralized": "train the pooled baseline",
    "simulate": "train federated, with clients in processes of this machine",
    "federated": "train federated, in a simulation started through `flwr run`",
    "partition": "show how the rows are divided among the clients",
    "deploy": "train across real sites: kits for a server and its sites",
}

# By command, its argument that holds settings.
_SETTINGS = {"data": "what", "statistics": "what", "sweep": "settings"}


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
        if joined and joined[-1] in ("--token", "--train-token"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    parser, known = _parser()
    first = joined[0] if joined else "-"
    if not first.startswith("-") and first not in known:
        from shared.config.problems import did_you_mean

        near = "; did you mean runs?" if first in ("list", "ls") else did_you_mean(first, known)
        parser.error(f"there is no command {first!r}{near or ';'} there are {', '.join(known)}")
    options, more = parser.parse_known_args(joined)
    if options.command in _SETTINGS and not any(text.startswith("-") for text in more):
        # settings behind an option, which argparse takes for no positional arguments
        getattr(options, _SETTINGS[options.command]).extend(more)
    elif more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    return options


def run_number(text: str) -> int:
    """The id of a run, as it is typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a run's number (fedtwin runs lists them), got {text!r}")
    return int(text)


def _parser() -> tuple[argparse.ArgumentParser, tuple[str, ...]]:
    # The parser, and the names of all commands.
    parser = argparse.ArgumentParser(
        prog="fedtwin",
        description="Train one model twice, pooled and federated, and see what federation costs.",
    )
    parser.add_argument("--version", action="version", version=f"fedtwin {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in APPS.items():
        commands.add_parser(name, help=f"{text} (more: fedtwin {name} --help)", add_help=False)
    data = commands.add_parser("data", help="show what lies at a path, as it would be trained on")
    data.add_argument(
        "what",
        nargs="*",
        metavar="PATH or SETTING=VALUE",
        help="a folder, a ZIP or an .npz, and settings of data and task, such as task=image_multilabel",
    )
    data.add_argument("--quick", action="store_true", help="names, labels and splits alone: open no image")
    data.add_argument("--format", choices=["table", "json"], default="table")
    _add_statistics(
        commands.add_parser("statistics", help="show what sites tell of their rows, by site and together")
    )
    _add_sweep(commands.add_parser("sweep", help="train many trials as one plan, several at a time"))
    listing = commands.add_parser("runs", help="list the runs in the database")
    modes = ["pooled", "federated", "local", "comparison", "sweep"]
    listing.add_argument("--mode", choices=[*modes, "centralized", "compare"], metavar=f"{{{','.join(modes)}}}")
    listing.add_argument("--status", choices=["pending", "running", "completed", "failed", "stopped"])
    listing.add_argument("--tag", help="only runs with this tag")
    listing.add_argument("--limit", type=int, default=30, help="how many, newest first (30)")
    show = commands.add_parser("show", help="show one run: status, metrics, clients, rounds")
    for command in (listing, show):
        command.add_argument("--format", choices=["table", "json"], default="table")
    export = commands.add_parser("export", help="write a run's metrics, or its trees, to a file")
    export.add_argument("--format", choices=["csv", "json", "parquet", "model", "ro-crate"], default="csv")
    export.description = (
        "model: the trees that the run chose, as a file: XGBoost's JSON of model=xgboost, LightGBM's text of "
        "model=lightgbm, else JSON of fedtwin's own. ro-crate: the run with its data, software, settings, "
        "metrics and files as an RO-Crate, in a folder or a file that ends in .zip."
    )
    export.add_argument("--output", type=Path, help="the file; without it csv and json go to standard output")
    export.add_argument("--force", action="store_true", help="replace a file that is there")
    resume = commands.add_parser(
        "resume",
        help="resume an interrupted run from its last completed epoch or round, or train a completed one on",
    )
    resume.description = (
        "Of a comparison or a sweep, what is finished stays and what is missing is trained. Settings: more "
        "epochs or rounds (fedtwin resume 3 federation.num_rounds=20), and where it is computed; others are "
        "refused."
    )
    predict = commands.add_parser("predict", help="predict for new images or rows with a trained model")
    predict.add_argument(
        "run", metavar="MODEL", help="a run's id, NAME (its latest version) or NAME@production"
    )
    stop = commands.add_parser("stop", help="stop a sweep; its trials that have ended are kept")
    report = commands.add_parser(
        "report", help="write the report of a sweep, of what its trials reached by now"
    )
    delete = commands.add_parser("delete", help="delete a run: its rows and its files")
    doctor = commands.add_parser("doctor", help="check database, files, caches, processes and versions")
    doctor.description = "Each problem comes with its fix. Exit status 1: something failed. Nothing is changed."
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    _add_prune(commands.add_parser("prune", help="delete old runs, or thin the rows of their clients"))
    rename = commands.add_parser("rename", help="give a run another name")
    tag = commands.add_parser("tag", help="add tags to a run, or remove some, and list them")
    watch = commands.add_parser("watch", help="follow a run in the terminal until it has ended")
    for command in (show, export, resume, stop, report, delete, rename, tag, watch):
        command.add_argument("run", type=run_number, help="the run's id (see `fedtwin runs`)")
    resume.add_argument("--workers", type=count, metavar="N", help="of a sweep: trials at once")
    resume.add_argument("--scheduler", metavar="ADDRESS", help="of a sweep: a Dask scheduler that runs already")
    _add_results(resume, of="of a sweep with --scheduler: ")
    resume.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="such as federation.num_rounds=20")
    predict.add_argument(
        "path",
        type=Path,
        help="an image, a folder or a ZIP of images; of a run on a table, a CSV or Parquet file",
    )
    predict.add_argument("--format", choices=["table", "csv", "json"], default="table")
    predict.description = "A task of your own may take other files."
    delete.description = (
        "A run that has not ended is not deleted, nor is one that belongs to a comparison alone."
    )
    delete.add_argument("--with-children", action="store_true", help="also the runs of a comparison")
    delete.add_argument("--force", action="store_true", help="also if an alias names its model")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    rename.add_argument("name")
    tag.add_argument("tags", nargs="*", metavar="TAG", help="one word")
    tag.add_argument("--remove", nargs="+", default=[], metavar="TAG")
    _add_serve(commands.add_parser("serve", help="open the live page: watch, compare and read runs"))
    _add_worker(commands.add_parser("worker", help="run training jobs that were submitted to the server"))
    _add_follow(
        commands.add_parser("follow", help="send runs as they are written to MLflow, TensorBoard or W&B")
    )
    _add_jobs(commands.add_parser("jobs", help="list training jobs; show, cancel or retry one"))
    _add_datasets(commands.add_parser("datasets", help="list datasets that were uploaded; delete one"))
    _add_token(commands.add_parser("token", help="make, list and revoke API tokens of the server"))
    _add_tenant(commands.add_parser("tenant", help="add and list tenants of the server; set their limits"))
    workers = commands.add_parser("workers", help="list who runs training jobs, and who is gone")
    workers.add_argument("--format", choices=["table", "json"], default="table")
    _add_webhooks(commands.add_parser("webhooks", help="who is told of jobs and models; what was sent"))
    _add_models(commands.add_parser("models", help="list models; show, promote, compare, describe versions"))
    _add_watch(watch)
    return parser, tuple(commands.choices)


def age(text: str) -> timedelta:
    """A number of days, hours or weeks, as it is typed: 90d, 12h, 8w.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    number, unit = text[:-1], {"h": "hours", "d": "days", "w": "weeks"}.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdecimal()) or len(number) > 5:
        raise argparse.ArgumentTypeError(f"expected an age such as 90d, 12h or 8w, got {text!r}")
    return timedelta(**{unit: int(number)})


def count(text: str) -> int:
    """A whole number, as it is typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between, as they are typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as 1,2,3, got {text!r}")
    return list(map(int, parts))


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.description = (
        "A setting with several values (strategy=fedavg,fedprox partition.alpha=0.1,1) is an axis: every "
        "combination is a cell, trained once with each seed. All is checked before anything is trained. Trials "
        "that have ended are kept: fedtwin resume SWEEP trains the others. See docs/sweeps.md."
    )
    sweep.add_argument(
        "settings",
        nargs="*",
        metavar="NAME=VALUE[,VALUE]",
        help="as of fedtwin compare; seed=1,2,3; sweep=PLAN",
    )
    sweep.add_argument(
        "--mode",
        choices=["comparison", "pooled", "federated", "compare", "centralized"],
        metavar="{comparison,pooled,federated}",
        help="what a trial is (comparison)",
    )
    sweep.add_argument("--seeds", type=numbers, metavar="1,2,3", help="the same as seed=1,2,3")
    sweep.add_argument(
        "--cell", action="append", default=[], metavar="'NAME=VALUE ...'", help="a cell by itself; repeatable"
    )
    sweep.add_argument(
        "--draws",
        type=count,
        metavar="N",
        help="draw N combinations; also of lr='interval(0.01,0.1)', 'tag(log,interval(0.001,0.1))'",
    )
    sweep.add_argument("--draw-seed", type=count, metavar="N", help="of what is drawn (0)")
    sweep.add_argument(
        "--search",
        type=count,
        metavar="N",
        help="search: N choices of settings, each proposed by what those before reached on validation rows",
    )
    sweep.add_argument(
        "--sampler", choices=["tpe", "cmaes", "nsga2", "random"], help="of a search: what proposes (tpe)"
    )
    sweep.add_argument(
        "--pruner", choices=["none", "median", "hyperband"], help="of a search: what stops bad trials (none)"
    )
    sweep.add_argument(
        "--objectives",
        type=lambda text: text.split(","),
        metavar="metric,gap,bytes,seconds",
        help="of a search: what is sought (metric)",
    )
    sweep.add_argument("--plan", type=Path, metavar="FILE", help="a YAML file, see docs/sweeps.md")
    sweep.add_argument(
        "--workers", type=count, metavar="N", help="trials at once (as many as cores, memory and GPUs allow)"
    )
    sweep.add_argument(
        "--retries", type=count, metavar="N", help="how often a trial that failed is tried again (1)"
    )
    sweep.add_argument(
        "--scheduler", metavar="ADDRESS", help="use the workers of a Dask scheduler: tcp://host:8786"
    )
    _add_results(sweep, of="with --scheduler: ")
    sweep.add_argument("--name", help="what the sweep is called")
    sweep.add_argument(
        "--reuse", action="store_true", help="take completed runs with the same settings and rows for trials"
    )
    sweep.add_argument("--dry-run", action="store_true", help="check and print the plan; train nothing")


def _add_results(command: argparse.ArgumentParser, *, of: str) -> None:
    command.add_argument(
        "--results",
        choices=["database", "dask"],
        help=f"{of}workers write to this database, or send results through Dask (workers are asked)",
    )
    command.add_argument("--keep-models", action="store_true", help=f"{of}chosen models come through Dask, too")


def _add_statistics(told: argparse.ArgumentParser) -> None:
    told.description = (
        "Mean and deviation of each numeric column and rows by label, from the sums that sites tell; a site "
        "with fewer rows than data.min_count tells nothing."
    )
    told.add_argument(
        "what",
        nargs="*",
        metavar="RUN, PATH or SETTING=VALUE",
        help="a federated run, whose clients have told theirs; or data, with settings as partition=natural",
    )
    told.add_argument("--format", choices=["table", "json"], default="table")


def _add_prune(prune: argparse.ArgumentParser) -> None:
    prune.description = (
        "Without --yes it only says what would go. A run must meet all conditions; a comparison goes with its "
        "runs. Runs with tags, those that can be resumed or are compared elsewhere, and those that have not "
        "ended stay."
    )
    prune.add_argument("--older-than", type=age, metavar="AGE", help="ended so long ago: 90d, 12h, 8w")
    prune.add_argument(
        "--status", action="append", default=[], choices=["completed", "failed", "stopped"], help="repeatable"
    )
    prune.add_argument("--keep-last", type=count, default=None, metavar="N", help="keep the newest N runs")
    prune.add_argument(
        "--thin-clients",
        action="store_true",
        help="keep the runs; of the rows of their clients keep what charts show: first, last, extremes",
    )
    prune.add_argument("--leftovers", action="store_true", help="delete files of runs that are in no database")
    prune.add_argument(
        "--cache",
        action="store_true",
        help="delete decoded data that no run has used for --older-than; the runs stay",
    )
    prune.add_argument(
        "--audit", action="store_true", help="delete entries of the audit log that are older than --older-than"
    )
    prune.add_argument("--yes", action="store_true", help="do it")


def _add_watch(watch: argparse.ArgumentParser) -> None:
    watch.description = "Follow a run until it has ended. Exit status 0: completed, 1: failed, 3: stopped."
    watch.add_argument("--url", help="a server, such as http://127.0.0.1:8765; default: this home's database")
    watch.add_argument("--token", help="of the server at --url (or FEDTWIN_TOKEN)")
    watch.add_argument("--format", choices=["live", "jsonl"], default="live", help="jsonl: one message a line")


def _add_serve(serve: argparse.ArgumentParser) -> None:
    serve.add_argument(
        "--host", default="127.0.0.1", help="the address to listen on (127.0.0.1: this machine only)"
    )
    serve.add_argument("--port", type=int, default=8765, help="the port to listen on (8765); 0: a free one")
    serve.add_argument("--token", help="required of every viewer; needed on other addresses (or FEDTWIN_TOKEN)")
    serve.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name under which browsers may open it",
    )
    serve.add_argument(
        "--allow-webhook",
        action="append",
        default=[],
        metavar="NAME",
        help="a name, address or network that webhooks may reach though private or without TLS; repeatable",
    )
    serve.add_argument("--open", action="store_true", help="show the page in a browser")
    serve.add_argument(
        "--train-token",
        help="lets whoever has it submit training jobs (or FEDTWIN_TRAIN_TOKEN); default: nobody",
    )
    serve.add_argument(
        "--data",
        action="append",
        default=[],
        type=Path,
        metavar="FOLDER",
        help="where the data of submitted jobs may lie; repeatable",
    )
    serve.add_argument(
        "--dataset-limit",
        action="append",
        default=[],
        metavar="NAME=NUMBER",
        help="of uploaded datasets, such as bytes=1000000000 (docs/service.md); repeatable",
    )
    serve.add_argument(
        "--mlflow", metavar="URI", help="also send all runs to this MLflow server, as fedtwin follow mlflow"
    )
    serve.add_argument("--worker", action="store_true", help="also run jobs, one at a time, as fedtwin worker")
    _add_sweep_workers(serve, of="with --worker: ")
    serve.add_argument(
        "--max-trials", type=count, default=200, metavar="N", help="of a sweep that is submitted (200)"
    )
    serve.add_argument(
        "--rate",
        type=float,
        default=100.0,
        metavar="REQUESTS",
        help="of one caller, a second, for long (100; 0: no limit)",
    )


def _add_worker(worker: argparse.ArgumentParser) -> None:
    worker.description = (
        "One job at a time, each in processes of its own; start as many workers as jobs shall run at once. "
        "Ctrl-C stops the job, which returns to the queue and is resumed by the next worker."
    )
    worker.add_argument(
        "--lease",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="after so long without a sign of life the job is another worker's (30)",
    )
    worker.add_argument(
        "--scheduler", metavar="ADDRESS", help="train on the workers of a Dask scheduler: tcp://host:8786"
    )
    worker.add_argument("--ray", metavar="ADDRESS", help="train on a Ray cluster: http://host:8265")
    worker.add_argument("--ray-cpus", type=count, metavar="N", help="of --ray: what each job reserves (1)")
    worker.add_argument("--ray-gpus", type=count, metavar="N", help="of --ray: what each job reserves (0)")
    _add_sweep_workers(worker)


def _add_sweep_workers(command: argparse.ArgumentParser, *, of: str = "") -> None:
    command.add_argument(
        "--sweep-workers",
        type=count,
        default=0,
        metavar="N",
        help=f"{of}trials of a sweep at once (0: as many as cores, memory and GPUs allow)",
    )


def _add_follow(follow: argparse.ArgumentParser) -> None:
    follow.description = (
        "Sends runs, rows, settings, results, files and model versions, each once, also those of before. It is "
        "outside of training: a tracker that is away slows nothing, and gets what it missed. Ctrl-C ends it; "
        "the next call continues. See docs/integrations.md."
    )
    follow.add_argument("tracker", choices=["mlflow", "tensorboard", "wandb"])
    follow.add_argument(
        "--tracking-uri", metavar="URI", help="of mlflow: its server, http://HOST:5000 (or MLFLOW_TRACKING_URI)"
    )
    follow.add_argument("--experiment", metavar="NAME", help="of mlflow; of wandb: the project (fedtwin)")
    follow.add_argument("--folder", type=Path, help="of tensorboard and wandb: where files are written")
    follow.add_argument(
        "--after", type=count, default=0, metavar="RUN", help="leave out this run and older ones"
    )
    follow.add_argument("--once", action="store_true", help="send what there is, and end")
    follow.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)


def _add_jobs(jobs: argparse.ArgumentParser) -> None:
    jobs.add_argument("action", nargs="?", choices=["list", "show", "cancel", "retry"], default="list")
    jobs.add_argument("job", nargs="?", type=job_number, help="the job's id")
    jobs.add_argument("--status", choices=["queued", "running", "completed", "failed", "cancelled"])
    jobs.add_argument("--limit", type=count, default=30, help="how many, newest first (30)")
    jobs.add_argument("--format", choices=["table", "json"], default="table")


def _add_datasets(datasets: argparse.ArgumentParser) -> None:
    datasets.description = (
        "What was uploaded to the server to be trained on: fedtwin datasets; fedtwin datasets delete ward-7. "
        "One that a job or a schedule needs is not deleted. See docs/service.md."
    )
    datasets.add_argument("action", nargs="?", choices=["list", "delete"], default="list")
    datasets.add_argument("what", nargs="*", metavar="NAME")
    datasets.add_argument("--tenant", default="default", help="whose datasets (default)")
    datasets.add_argument("--yes", action="store_true", help="of delete: do not ask")
    datasets.add_argument("--format", choices=["table", "json"], default="table")


def _add_token(token: argparse.ArgumentParser) -> None:
    token.description = (
        "Tokens for programs and people: fedtwin token create ci --scope train --expires 90d; revoke 3. A "
        "token is printed once, to standard output; the database keeps its SHA-256. See docs/service.md."
    )
    token.add_argument("action", nargs="?", choices=["create", "list", "revoke"], default="list")
    token.add_argument("what", nargs="?", metavar="NAME", help="what it is for; of revoke: its number")
    token.add_argument("--tenant", default="default", help="whose runs and jobs it reaches (default)")
    token.add_argument("--scope", choices=["read", "train", "admin"], default="read")
    token.add_argument("--expires", type=age, metavar="AGE", help="such as 90d, 12h or 8w; default: never")
    token.add_argument("--format", choices=["table", "json"], default="table")


def _add_tenant(tenant: argparse.ArgumentParser) -> None:
    tenant.description = (
        "Tenants see nothing of each other's runs and jobs, and share the workers fairly. See docs/service.md."
    )
    tenant.add_argument("action", nargs="?", choices=["create", "list", "limit"], default="list")
    tenant.add_argument("what", nargs="?", metavar="NAME")
    tenant.add_argument("--max-running", type=count, metavar="JOBS", help="at a time; 0: no limit")
    tenant.add_argument("--max-queued", type=count, metavar="JOBS", help="at a time; 0: no limit")
    tenant.add_argument(
        "--max-dataset-bytes",
        type=num_bytes,
        metavar="BYTES",
        help="of all its datasets; 0: as the server allows",
    )
    tenant.add_argument("--format", choices=["table", "json"], default="table")


def _add_webhooks(webhooks: argparse.ArgumentParser) -> None:
    webhooks.description = (
        "A webhook is an address that the server sends events of jobs and models to, signed: fedtwin webhooks "
        "create https://hooks.example/x --event job.completed; test 3; deliveries 3; resend 3 17; delete 3. "
        "The secret of a new one is printed once, to standard output. fedtwin serve sends them; see "
        "docs/integrations.md."
    )
    actions = ["list", "create", "delete", "test", "deliveries", "resend"]
    webhooks.add_argument("action", nargs="?", choices=actions, default="list")
    webhooks.add_argument("what", nargs="*", metavar="URL or NUMBER")
    webhooks.add_argument(
        "--event", action="append", default=[], metavar="EVENT", help="of create; repeatable (all events)"
    )
    webhooks.add_argument("--tenant", default="default", help="of create: whose events (default)")
    webhooks.add_argument(
        "--status", choices=["waiting", "delivered", "failed"], help="of deliveries: only these"
    )
    webhooks.add_argument("--limit", type=count, default=30, help="of deliveries: how many, newest first (30)")
    webhooks.add_argument("--format", choices=["table", "json"], default="table")


def _add_models(models: argparse.ArgumentParser) -> None:
    actions = ["list", "show", "promote", "rollback", "remove-alias", "threshold", "register"]
    actions += ["compare", "card", "export", "formats"]
    models.description = (
        "Every completed run is a version of the model that has the run's name. VERSION is a number, an alias, "
        "or latest: fedtwin models promote ward-7@1.2.0; compare ward-7@production ward-7; card ward-7; "
        "rollback ward-7; threshold ward-7 'f1>=0.8'; register 12; export ward-7 --format onnx --output FILE; "
        "formats. See docs/models.md."
    )
    models.add_argument("action", nargs="?", choices=actions, default="list")
    models.add_argument("what", nargs="*", metavar="NAME[@VERSION]")
    models.add_argument("--alias", default="production", help="of promote, rollback, remove-alias (production)")
    models.add_argument("--confidence", type=share, default=0.95, help="of compare (0.95)")
    models.add_argument("--limit", type=count, default=30, help="of show: how many versions, newest first (30)")
    formats = ["table", "json", "pt2", "onnx", "safetensors", "executorch"]
    models.add_argument("--format", choices=formats, default="table", help="a card's table is Markdown")
    models.add_argument("--output", type=Path, metavar="FILE", help="of export")
    models.add_argument("--force", action="store_true", help="of export: replace a file that is there")
    models.add_argument("--tenant", help="whose models (default)")
    models.add_argument("--rows", type=Path, metavar="FILE", help="of export: rows to check on, not the run's")


def share(text: str) -> float:
    """A number between 0 and 1, as it is typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, got {text!r}")
    return value


def num_bytes(text: str) -> int:
    """A number of bytes, as it is typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise argparse.ArgumentTypeError(f"expected a whole number of bytes, got {text!r}")
    return int(text)


def job_number(text: str) -> int:
    """The id of a job, as it is typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a job's number (fedtwin jobs lists them), got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds of 3 or more, as it is typed.

    Raises
    ------
    argparse.ArgumentTypeError
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 3 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"expected a number of seconds from 3 to 86400, got {text!r}")
    return value


def _version() -> str:
    try:
        return version("fedtwin")
    except PackageNotFoundError:
        return "(not installed)"
