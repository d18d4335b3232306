"""`TabularClassificationSpec`: what is measured, told and shown; imports no torch."""

from __future__ import annotations

from shared.tasks.image_classification.spec import ClassificationSpec
from shared.tasks.tables.spec import TableSpec


class TabularClassificationSpec(TableSpec, ClassificationSpec):
    """Of the targets the same as of images, and of the inputs what is told of a table's."""
