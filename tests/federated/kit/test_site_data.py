"""The data of a site: what of the run's settings holds for it."""

from __future__ import annotations

import pytest

from federated.kit.site_data import own_data
from shared.config.compose import compose
from shared.data.sources.table import PLAIN_COLUMNS


@pytest.mark.parametrize(("path", "source", "patient"), [("a.zip", "zip", "who"), ("a.npz", "npz", None)])
def test_columns_are_named_where_there_are_some(path: str, source: str, patient: str | None) -> None:
    cfg = compose(["data=folder", "data.path=server", "data.columns.patient_id=who"])
    own = own_data(cfg, path=path).images
    assert (own.path, own.source, own.columns.patient_id) == (path, source, patient)
    assert own.columns == (PLAIN_COLUMNS if patient is None else cfg.images.columns)
