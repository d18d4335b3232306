"""`TableSpec`: what a client tells of its rows' inputs, and what is agreed on of all; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from shared.runtime.errors import FederationError, ReplyRejected

if TYPE_CHECKING:
    from shared.config.trainer import TrainerConfig
    from shared.data.dataset import Dataset, Ints
    from shared.data.profile import Profile
    from shared.data.schema import Schema
    from shared.data.tables.load import TableData


class TableSpec:
    """Adds the inputs of a table to what a spec tells of its targets; stands in front of it.

    Attributes
    ----------
    inputs : tuple of Column
    """

    def __init__(self, schema: Schema) -> None:
        super().__init__(schema)  # type: ignore[call-arg]  # of the spec behind
        self.inputs = schema.inputs

    def profile(self, data: Dataset, rows: Ints) -> Profile:
        """What is told of the targets, and of each input that is a number its count, mean and spread.

        An input with fewer values than ``data.min_count`` is left out.
        """
        from shared.data.profile import Moments
        from shared.data.tables.prepare import are_numbers

        data = cast("TableData", data)
        moments, missing = {}, {}
        for place in are_numbers(self.inputs):
            values = data.inputs[rows, place]
            there = values[~np.isnan(values)]
            if len(there) >= data.min_count:
                moments[self.inputs[place].name] = Moments.of(there)
            if len(there) < len(values):
                missing[self.inputs[place].name] = len(values) - len(there)
        told: Profile = super().profile(data, rows)  # type: ignore[misc]
        return replace(told, moments=moments, missing=missing)

    def check_profile(self, profile: Profile, *, num_examples: int) -> None:
        """Check that the moments are of these inputs, and of no more rows than there are.

        Raises
        ------
        ReplyRejected
        """
        from shared.data.tables.prepare import are_numbers

        known = {self.inputs[place].name for place in are_numbers(self.inputs)}
        if strangers := sorted({*profile.moments, *profile.missing} - known):
            raise ReplyRejected(f"it tells of {strangers}, which are no numeric inputs")
        for name, moments in profile.moments.items():
            if moments.number + profile.missing.get(name, 0) > num_examples:
                raise ReplyRejected(f"it counts {moments.number} values of {name} in {num_examples} examples")
        rest = replace(profile, moments={}, missing={})
        super().check_profile(rest, num_examples=num_examples)  # type: ignore[misc]

    def agree(self, profiles: Mapping[str, Profile], *, trainer: TrainerConfig) -> dict[str, Any]:
        """Mean and deviation of each input over all training rows, exact from those of each client.

        Raises
        ------
        FederationError
            No client tells anything of the inputs.
        """
        from shared.data.profile import Moments
        from shared.data.tables.prepare import agreed_inputs, are_numbers

        found = {}
        for place in are_numbers(self.inputs):
            name = self.inputs[place].name
            if own := [profile.moments[name] for profile in profiles.values() if name in profile.moments]:
                found[name] = reduce(Moments.with_, own)
        if not found and are_numbers(self.inputs):
            raise FederationError(
                "no client tells the mean and deviation of its inputs: each has too few rows (data.min_count), "
                "or its site keeps them back (may_leave.counts in site.yaml must hold moments)"
            )
        agreed: dict[str, Any] = super().agree(profiles, trainer=trainer)  # type: ignore[misc]
        return {**agreed, **agreed_inputs(self.inputs, found)}
