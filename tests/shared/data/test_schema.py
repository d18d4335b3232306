"""Schemas: JSON there and back, and differences in words."""

from __future__ import annotations

from dataclasses import replace

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
    other = Schema(inputs=(Column("age", "id"), Column("bmi", "numeric")), targets=TABLE.targets, horizon=12)
    assert TABLE.differences(other) == [
        "it lacks the inputs 'sex', which the server has",
        "it has the inputs 'bmi', which the server has not; set data.inputs or data.drop, so that all read the "
        "same",
        "its 'age' is id, the server's numeric; set data.kinds.age, so that all read it alike",
        "its horizon is 12 steps, the server's 24",
    ]
    age, sex = TABLE.inputs
    levels = replace(TABLE, inputs=(age, replace(sex, levels=("f",))))
    assert TABLE.differences(levels) == [
        "the levels of its 'sex' are 'f', the server's 'f', 'm'; set data.levels.sex to all that there are at "
        "any site, so that all number them alike"
    ]
    assert TABLE.differences(replace(TABLE, inputs=(sex, age))) == [
        "its inputs come in the order 'sex', 'age', the server's are 'age', 'sex'; set data.inputs to one order"
    ]


def test_another_length_of_step_is_named() -> None:
    hours, quarters = (Schema(inputs=(Column("when", "timestamp", (step,)),)) for step in ("1 h", "15 min"))
    assert hours.differences(quarters) == [
        "its 'when' goes on by 15 min, the server's by 1 h; bring both to one step"
    ]
