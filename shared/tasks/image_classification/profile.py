"""What a client may say of its labelled images, and whether what it says can be true; torch-free."""

from __future__ import annotations

from collections.abc import Mapping

from shared.data.dataset import Ints
from shared.data.images.dataset import ImageData
from shared.data.profile import Profile, count_values
from shared.data.schema import Schema
from shared.runtime.errors import ReplyRejected

LABEL = "label"  # the variable whose counts a profile holds


def profile_of(data: ImageData, rows: Ints) -> Profile:
    """How many of some rows have each label."""
    return Profile(counts={LABEL: count_values(data.labels[rows], data.classes)})


def check_profile(profile: Profile, *, schema: Schema, num_examples: int) -> None:
    """Check a profile against the number of training rows; a site may keep its counts to itself.

    Raises
    ------
    ReplyRejected
        It counts other labels than those of the schema, or they do not add up.
    """
    if not profile.counts:
        return
    counts: Mapping[str, int] = profile.counts.get(LABEL, {})
    if tuple(counts) != schema.classes or sum(counts.values()) != num_examples:
        raise ReplyRejected(
            f"its label counts {dict(counts)} do not add up to {num_examples} examples of the classes "
            f"{list(schema.classes)}"
        )
