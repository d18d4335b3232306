"""Preflight of a site's data: readable, ``metadata.csv`` valid, no image missing, label counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import numpy as np

from federated.kit.site_data import source_of
from federated.kit.site_file import KitFacts, SiteDatabase, SiteFile
from shared.config.compose import compose
from shared.config.data import ImageDataConfig
from shared.config.overrides import assign
from shared.data.sources.listing import is_table
from shared.data.sources.metadata_csv import MetadataSource, has_metadata, image_name
from shared.data.sources.open import open_source
from shared.data.sources.table import annotate
from shared.data.tables.files import open_table
from shared.runtime.counts import count_of
from shared.runtime.errors import DataError, MetadataError, bullet_list
from shared.runtime.findings import Finding
from shared.tasks.images.learner import ImageLearner
from shared.tasks.task import learner_of

_SHAPE = "images/ and metadata.csv with the columns filename,label (docs/data.md)"


def check_data(site: SiteFile, facts: KitFacts, *, cache_dir: Path, decode: bool) -> list[Finding]:
    """Look at a site's data without sending a word of it anywhere.

    Parameters
    ----------
    facts : KitFacts
        The classes that the federation agreed on, if it did.
    decode : bool
        Also read every image.
    """
    if site.database is not None:
        return [_database(site.database)]
    if site.data_path is None:
        return [
            Finding(
                "data", "failed", "data_path is not set", f"write into site.yaml where the data is: {_SHAPE}"
            )
        ]
    path = Path(site.data_path)
    if (problem := _unreadable(path)) is not None:
        return [
            Finding(
                "data",
                "failed",
                problem,
                "name the right path in site.yaml, or give this account the right to read",
            )
        ]
    if path.is_file() and is_table(path.name):
        return [_table(path)]
    source = source_of(path)
    if source is None and site.may_run:
        return [Finding("data", "ok", f"{path} can be read; what it holds, {_own_code(site)} knows")]
    if source is None:
        return [
            Finding(
                "data",
                "failed",
                f"{path} is not a ZIP, an .npz, or a folder with metadata.csv or class folders",
                f"make it a ZIP or a folder with {_SHAPE}",
            )
        ]
    overrides = [f"data={source}", assign("data.path", str(path))]
    cfg = compose(overrides).replace("data", classes=facts.classes)
    learner = learner_of(cfg)
    assert isinstance(learner, ImageLearner)
    try:
        findings = [_labels(cfg.images, cache_dir, learner)]
        if decode:
            data = learner.dataset(cache=cache_dir, progress=True, sides=("train", "val"))
            findings.append(Finding("images", "ok", f"{count_of(len(data), 'image')} read"))
    except DataError as error:
        fix = "mend what is listed; docs/data.md says what is expected"
        if not site.may_run:
            return [Finding("data", "failed", str(error), fix)]
        return [Finding("data", "warning", str(error), f"{fix}, unless {_own_code(site)} reads this data")]
    return findings


def _table(path: Path) -> Finding:
    try:
        cfg = compose(["data=table", assign("data.path", str(path)), "data.target=target"])
        names = open_table(cfg.table, texts=lambda name: False).names
    except DataError as error:
        return Finding(
            "data", "failed", str(error), "mend what is listed; docs/tables.md says what is expected"
        )
    return Finding("data", "ok", f"a table with {_columns(names)}")


def _database(database: SiteDatabase) -> Finding:
    from shared.data.sql.query import names_of

    try:
        cfg = compose(["data=sql", "data.url=env:X", "data.table=x", "data.target=target"])
        names = names_of(cfg.replace("data", **database.model_dump()).table)
    except DataError as error:
        return Finding(
            "data", "failed", str(error), "mend database in site.yaml; docs/tables.md says what is expected"
        )
    return Finding("data", "ok", f"a query with {_columns(names)}")


def _columns(names: Sequence[str]) -> str:
    shown = f"{', '.join(names[:30])}{' ...' if len(names) > 30 else ''}"
    return f"{count_of(len(names), 'column')}: {shown}"


def _own_code(site: SiteFile) -> str:
    return f"the site's own code ({', '.join(site.may_run)})"


def _unreadable(path: Path) -> str | None:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None


def _labels(cfg: ImageDataConfig, cache_dir: Path, learner: ImageLearner) -> Finding:
    source = open_source(cfg, cache_dir=cache_dir)
    table = source.table()
    notes = annotate(
        table,
        naming=source.naming,
        classes=cfg.classes,
        positive=cfg.positive,
        read_targets=learner.read_targets,
    )
    if isinstance(source, MetadataSource):
        there = source.content.files()
        wanted = table.columns[cfg.columns.filename]
        if has_metadata(there):
            top = next(name for name in there if name.rpartition("/")[2] == "metadata.csv")
            wanted = [top.removesuffix("metadata.csv") + image_name(name) for name in wanted]
        if lost := [name for name in wanted if name not in there]:
            raise MetadataError(
                f"{len(lost)} of {len(wanted)} images that metadata.csv names are not there:\n"
                + bullet_list(lost, limit=10)
            )
    strata = notes.targets.strata
    assert strata is not None
    counts = Counter(strata.numbers.tolist())
    shown = ", ".join(f"{name}: {counts.get(number, 0)}" for number, name in enumerate(strata.names))
    people = f", {len(notes.groups.names)} patients" if notes.groups is not None else ""
    given = "" if notes.given is None else f", {int(np.sum(notes.given == 'train'))} of them to train"
    said = "".join(f"; {note}" for note in notes.notes)
    return Finding("data", "ok", f"{count_of(len(table), 'image')}{people}{given}; {shown}{said}")
