"""`TabularRegressionSpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from shared.tasks.image_regression.spec import RegressionSpec
from shared.tasks.tables.spec import TableSpec


class TabularRegressionSpec(TableSpec, RegressionSpec):
    """Of the target the same as of images, and of the inputs what is told of a table's."""
