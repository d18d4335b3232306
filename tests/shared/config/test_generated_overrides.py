"""Overrides as nobody types them: a configuration that can be stored and read again, or an error of ours."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.config.compose import compose
from shared.config.settings import CONF_DIR
from shared.config.stored import read_snapshot
from shared.runtime.errors import LONGEST_TEXT, FedtwinError
from shared.runtime.secrets import without_secrets
from tests.fuzzing import draws

pytestmark = pytest.mark.attack


@cache
def settings_of() -> list[str]:
    """The dotted names of all settings of the default configuration."""

    def names(values: Any, prefix: str) -> list[str]:
        if not isinstance(values, dict) or not values:
            return [prefix]
        return [prefix, *(one for key, value in values.items() for one in names(value, f"{prefix}.{key}"))]

    stored = compose([]).snapshot()
    return [one for key, value in stored.items() for one in names(value, str(key))]


GROUPS = sorted(path.name for path in CONF_DIR.iterdir() if path.is_dir())
OPTIONS = sorted(f"{path.parent.name}={path.stem}" for path in CONF_DIR.glob("*/*.yaml"))
SCALARS = st.sampled_from(
    [
        *[
            "",
            "0",
            "1",
            "-1",
            "2",
            "0.5",
            "1e400",
            "-0.0",
            "1e-400",
            "inf",
            "-inf",
            "nan",
            "9" * 30,
            "9" * 5000,
        ],
        *[
            "true",
            "false",
            "null",
            "None",
            "~",
            "[]",
            "{}",
            "[1,2]",
            "[[1]]",
            "{a:1}",
            "{a:{b:[]}}",
            "[1,,2]",
            "[,",
        ],
        *[
            "${data.name}",
            "${oc.env:HOME}",
            "${x",
            "${a.b.c}",
            "${data}",
            "$",
            "\\",
            "'",
            '"',
            '"a',
            "'b'",
            "a=b",
        ],
        *[
            "os.system",
            "shared.config.config.Config",
            "..",
            "/",
            "/etc/passwd",
            "~root",
            "a\x00b",
            "\n",
            "\t",
            "#",
            "@",
        ],
        *[
            "mean",
            "cosine",
            "cpu",
            "cuda",
            "val/loss",
            "fedavg",
            "a,b",
            "a b",
            "(1)",
            "%s",
            "\u202e",
            "\U0001f600",
            "\ud7ff",
        ],
        "[" * 200,
        "{a:" * 50,
        "x" * 20_000,
    ]
)
VALUES = st.one_of(SCALARS, st.integers().map(str), st.floats().map(str), st.text(max_size=15))
HEADS = st.sampled_from(["", "", "", "", "+", "++", "~", "--", "@", " "])


@st.composite
def overrides(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(OPTIONS))
    name = draw(
        st.one_of(
            st.sampled_from(settings_of()),
            st.sampled_from(settings_of()).map(lambda known: known + "x"),
            st.sampled_from(GROUPS),
            st.text(max_size=10),
        )
    )
    text = draw(HEADS) + name
    return text if draw(st.integers(0, 12)) == 0 else f"{text}={draw(VALUES)}"


@settings(max_examples=draws(60))
@given(given_ones=st.lists(overrides(), min_size=1, max_size=3))
@example(given_ones=["data.path=a\x00b"])
@example(given_ones=["@name=0"])
@example(given_ones=["sweep=0"])
@example(given_ones=["~tracking=20000"])
@example(given_ones=[f"~model={'9' * 5000}"])
def test_any_overrides_are_read_or_refused(given_ones: list[str]) -> None:
    refused, cfg = "", None
    try:
        cfg = compose(given_ones)
    except FedtwinError as error:
        refused = str(error)
    assert (refused != "") == (cfg is None)
    assert len(refused) <= LONGEST_TEXT + 100
    if cfg is None:
        return
    snapshot = json.loads(json.dumps(cfg.snapshot(), allow_nan=False))
    assert read_snapshot(snapshot).snapshot() == snapshot
    without_secrets(snapshot)
