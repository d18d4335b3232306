"""Changes of a stored configuration: what is set, and what is refused by name."""

from __future__ import annotations

import pytest

from shared.config.edits import with_settings
from shared.runtime.errors import ConfigError

SNAPSHOT = {"federation": {"num_rounds": 2}, "data": {"augment": {"horizontal_flip": True}}}


def test_a_known_setting_is_changed_in_a_copy() -> None:
    assert with_settings(SNAPSHOT, ["federation.num_rounds=3"])["federation"] == {"num_rounds": 3}
    assert SNAPSHOT["federation"] == {"num_rounds": 2}


@pytest.mark.parametrize(
    ("text", "meant"), [("federation.num_round=3", "num_rounds"), ("data.augment.flip=true", "no such setting")]
)
def test_an_unknown_setting_is_said_to_be_unknown(text: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{text.partition('=')[0]}: .*{meant}"):
        with_settings(SNAPSHOT, [text])
