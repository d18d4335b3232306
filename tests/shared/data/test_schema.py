"""Schemas: JSON there and back, and differences in words."""

from __future__ import annotations

from shared.data.schema import Column, Schema

TABLE = Schema(
    inputs=(Column("age", "numeric"), Column("sex", "categorical", ("f", "m"))),
    targets=(Column("load", "numeric"),),
    horizon=24,
)


def test_a_schema_is_the_same_after_json() -> None:
    for schema in (Schema(), Schema(classes=("sick", "gesund", "病")), TABLE):
        assert Schema.from_json(schema.to_json()) == schema


def test_differences_are_named() -> None:
    assert TABLE.differences(TABLE) == []
    (said,) = Schema(classes=("a", "b")).differences(Schema(classes=("b", "a")))
    assert said.startswith("its classes are ['b', 'a'], the server's ['a', 'b']; set data.classes")
    other = Schema(inputs=(Column("age", "id"),), targets=TABLE.targets, horizon=12)
    assert TABLE.differences(other) == [
        "its inputs are age (id), the server's age (numeric), sex (categorical)",
        "its horizon is 12 steps, the server's 24",
    ]
