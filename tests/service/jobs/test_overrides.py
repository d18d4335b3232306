"""Settings that come as JSON: written as plain values of Hydra's grammar, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.jobs.overrides import SERVERS_OWN, written_overrides
from shared.config.compose import compose


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"trainer.max_epochs": 15}, ["trainer.max_epochs=15"]),
        ({"model": "resnet18"}, ["model=resnet18"]),
        ({"a": "NULL", "b": "1e3", "c": "two words"}, ['a="NULL"', 'b="1e3"', 'c="two words"']),
        ({"a.b": None, "c": True, "d": 0.5}, ["a.b=null", "c=true", "d=0.5"]),
        ({"model.widths": [4, 8]}, ["model.widths=[4,8]"]),
        ({"x": {"loss": "lower"}}, ["x={loss:lower}"]),
        ({"description": 'a "b" \\'}, [r'description="a \"b\" \\"']),
    ],
)
def test_values_are_written(given, written):
    assert written_overrides(given) == (written, [])


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model._target_", "os.system", "names that begin with _"),
        ("_target_", "os.system", "names that begin with _"),
        ("task", {"_target_": "os.system"}, "no name of a setting"),
        ("+x", 1, "named by words"),
        ("~model", 1, "named by words"),
        ("data@x", 1, "named by words"),
        ("../../x", 1, "named by words"),
        ("a=b c", 1, "named by words"),
        ("", 1, "named by words"),
        ("description", "${oc.env:HOME}", "interpolations"),
        ("task", {"metrics": ["${oc.env:HOME}"]}, "interpolations"),
        ("description", "http://169.254.169.254/", "addresses"),
        ("description", "a\nb", "on one line"),
        ("description", "a\0b", "on one line"),
        ("description", "x" * 1001, "at most 1000"),
        ("seed", float("nan"), "finite"),
        ("seed", 10**30, "too large"),
        ("x", [[[[[1]]]]], "nested too deeply"),
        ("x", [1] * 1001, "too long"),
        *((name, "x", "cannot be set here") for name in SERVERS_OWN),
        ("tracking.database_url", "x", "cannot be set here"),
        ("hydra.run.dir", "/", "cannot be set here"),
        ("hydra.searchpath", ["file"], "cannot be set here"),
    ],
)
def test_what_is_not_a_plain_setting_is_refused(key, value, says):
    overrides, problems = written_overrides({key: value})
    assert overrides == []
    assert says in " ".join(problems), problems


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12).filter(
    lambda text: "${" not in text and "://" not in text
)


@given(
    text=TEXTS | st.sampled_from(['"', "\\", '\\"', "\\\\", "$", "{", "'", "null", "a,b", "[x]", "a=b", "x\\"])
)
def test_any_text_arrives_as_it_is(text: Any):
    """Hydra reads the same text that was sent: nothing in it is grammar."""
    (override,), problems = written_overrides({"description": text})
    assert problems == []
    assert compose([override]).description == text
