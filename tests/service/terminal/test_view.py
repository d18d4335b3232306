"""`RunState` and `WatchView` on messages whose outcome is known by hand."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from rich.console import Console

from service.terminal.state import RunState
from service.terminal.stream_client import Connection
from service.terminal.text import duration, number, plain, sparkline, steady_scale
from service.terminal.view import WatchView, status_line

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
LIVE = Connection("live")


def at(seconds: float) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat()


def summary(**changes) -> dict:
    given = {
        "id": 3,
        "name": "digits",
        "tags": [],
        "training_mode": "federated",
        "status": "running",
        "seed": 7,
        "parent_id": None,
        "started": at(0),
        "ended": None,
        "error": None,
        "stop_reason": None,
        "data": "digits",
        "model": "cnn",
        "strategy": "fedavg",
        "progress": {"unit": "round", "done": 0, "total": 10},
        "monitor": {"key": "val/accuracy", "mode": "max"},
        "best": None,
        "gap": None,
        "sparkline": [],
    }
    return given | changes


class Script:
    """Messages of run 3, with ids that grow."""

    def __init__(self, **run) -> None:
        self.ids = count(1)
        self.now = 0.0
        self.state = RunState(3, clock=lambda: NOON.timestamp() + self.now)
        self.say("training_mode", run=summary(**run), clients=[])

    def say(self, kind: str, *, run_id: int = 3, **fields) -> None:
        given = {"type": kind, "run_id": run_id, "cursor": None, "time": at(self.now)}
        self.state.apply([given | fields])

    def row(
        self, value: float, *, client_id=None, round=None, epoch=None, stage="val", name="accuracy"
    ) -> dict:
        row = {"id": next(self.ids), "client_id": client_id, "round": round, "epoch": epoch, "stage": stage}
        finite = {"value": value} if math.isfinite(value) else {"value": None, "not_finite": repr(value)}
        return row | {"name": name, "time": at(self.now), "num_examples": 5} | finite

    def round(self, number: int, *, failed=None, **values: float) -> None:
        """The clients' rows of a round, their aggregate (the mean), and the record."""
        for name, value in values.items():
            client_id = int(name.removeprefix("client_"))
            rows = [self.row(value, client_id=client_id, round=number)]
            self.say("client_metrics", round=number, client_id=client_id, stage="val", rows=rows)
        mean = sum(values.values()) / len(values) if values else 0.5
        self.say("round_metrics", round=number, rows=[self.row(mean, round=number)], record=None)
        record = {"round": number, "ended": at(self.now), "failed": failed or {}}
        self.say("round_metrics", round=number, rows=[], record=record)

    def page(self, *, width=100, height=None, connection=LIVE, **options) -> list[str]:
        console = Console(width=width, force_terminal=True, color_system=None, **options)
        with console.capture() as captured:
            console.print(WatchView(self.state, connection, height=height))
        return captured.get().splitlines()


class TestState:
    def test_values_are_kept_by_stage_and_by_client_in_their_order(self):
        script = Script()
        script.round(1, client_0=0.2, client_1=0.4)
        script.round(2, client_0=0.6, client_1=0.5)
        assert list(script.state.aggregates[("val", "accuracy")]) == pytest.approx([0.3, 0.55])
        assert list(script.state.client_values[1][("val", "accuracy")]) == [0.4, 0.5]
        assert script.state.client_rounds == {0: 2, 1: 2}
        assert script.state.best == pytest.approx(0.55)

    def test_what_is_not_finite_stays_what_it_was(self):
        script = Script()
        rows = [script.row(value, epoch=1, name=f"m{value}") for value in (math.nan, math.inf, -math.inf)]
        script.say("epoch_end", epoch=1, stage="val", rows=rows)
        values = [script.state.aggregates[("val", name)][-1] for name in ("mnan", "minf", "m-inf")]
        assert math.isnan(values[0])
        assert values[1:] == [math.inf, -math.inf]

    def test_the_best_follows_the_direction_of_the_monitored_metric(self):
        script = Script(monitor={"key": "val/accuracy", "mode": "min"})
        assert script.state.best is None
        for step, value in enumerate((0.4, 0.2, math.nan, 0.3), start=1):
            script.round(step, client_0=value)
        assert script.state.best == 0.2

    def test_progress_and_the_time_that_is_left(self):
        script = Script()
        assert script.state.seconds_left() is None
        script.now = 30
        script.round(1, client_0=0.5)  # with what came before it: 30 s for one round, 9 are left
        assert script.state.seconds_left() == pytest.approx(270)
        for step in (2, 3, 4):
            script.now += 10
            script.round(step, client_0=0.5)
        progress = script.state.progress()
        assert (progress.unit, progress.done, progress.total) == ("round", 4, 10)
        script.now += 4  # 10 s a round since the first; 6 rounds are left, of which 4 s have gone by
        assert script.state.seconds_left() == pytest.approx(56)
        assert script.state.age() == pytest.approx(4)

    def test_epochs_count_when_their_training_has_ended(self):
        script = Script(training_mode="centralized", progress={"unit": "epoch", "done": 0, "total": 4})
        script.say("epoch_end", epoch=1, stage="val", rows=[script.row(0.5, epoch=1)])
        assert script.state.progress().done == 0
        script.say("epoch_end", epoch=1, stage="train", rows=[script.row(0.5, epoch=1, stage="train")])
        assert script.state.progress().done == 1

    def test_silence_that_the_pace_does_not_explain_is_stale(self):
        script = Script()
        for step in (1, 2, 3):
            script.now += 20
            script.round(step, client_0=0.5)
        script.now += 99
        assert not script.state.stale()
        assert script.state.seconds_left() is not None
        script.now += 2  # five rounds of 20 s
        assert script.state.stale()
        assert script.state.seconds_left() is None

    def test_a_clock_that_is_wrong_here_does_not_matter(self):
        script = Script()
        script.round(1, client_0=0.5)
        script.now = 3600.0  # ours goes an hour ahead of the server's
        heartbeat = {"type": "heartbeat", "run_id": 3, "cursor": None, "time": at(8), "database": "reachable"}
        script.state.apply([heartbeat])
        assert script.state.age() == pytest.approx(8)

    def test_clients_are_sorted_by_worst_and_those_without_a_value_come_last(self):
        script = Script()
        script.round(1, client_0=0.9, client_1=math.nan, client_2=0.1, client_3=0.5)
        script.say("training_mode", run=summary(), clients=[{"client_id": 8, "name": "h", "num_examples": 4}])
        assert script.state.worst_first() == [2, 3, 0, 1, 8]
        script.say("training_mode", run=summary(monitor={"key": "val/accuracy", "mode": "min"}), clients=[])
        assert script.state.worst_first() == [0, 3, 2, 1, 8]

    def test_while_no_client_has_validated_they_are_compared_by_their_training(self):
        script = Script()
        rows = [script.row(0.3, client_id=0, round=1, stage="train", name="loss")]
        script.say("client_metrics", round=1, client_id=0, stage="train", rows=rows)
        assert script.state.compared_by() == ("train", "loss", False)
        script.round(1, client_0=0.5)
        assert script.state.compared_by() == ("val", "accuracy", True)

    def test_events_are_said_once_however_often_their_record_comes(self):
        script = Script()
        script.now = 5
        for _ in range(2):
            script.round(4, client_0=0.5, failed={"2": "NaN in conv1.weight"})
        script.now = 9
        script.say("early_stopping", reason="no better for 3 rounds")
        script.say("error", message="out of memory")
        shown = [(event.time - NOON.timestamp(), event.text) for event in script.state.events(10)]
        assert shown == [
            (5, "round 4: client 2 dropped: NaN in conv1.weight"),
            (9, "no better for 3 rounds"),
            (9, "error: out of memory"),
        ]
        assert [event.text for event in script.state.events(1)] == ["error: out of memory"]
        assert script.state.events(0) == []

    def test_only_the_last_events_are_kept(self):
        script = Script()
        for step in range(1, 61):
            script.now = step
            script.round(step, failed={"0": "late"})
        texts = [event.text for event in script.state.events(1000)]
        assert len(texts) == 50
        assert texts[-1].startswith("round 60:")

    def test_the_end_is_the_end_until_the_run_is_resumed(self):
        script = Script()
        script.say("training_end", status="stopped", run=summary(status="stopped", ended=at(9)))
        assert script.state.ended
        assert script.state.status == "stopped"
        assert script.state.age() is None
        assert script.state.seconds() == 9
        script.say("training_mode", run=summary(status="stopped", ended=at(9)), clients=[])
        assert script.state.ended
        script.say("training_mode", run=summary(), clients=[])
        assert not script.state.ended

    def test_other_runs_and_messages_that_are_not_known_are_left_out(self):
        script = Script()
        script.say("epoch_end", run_id=4, epoch=1, stage="val", rows=[script.row(0.1, epoch=1)])
        script.say("something_new", what=1)
        script.say("heartbeat", run_id=None, database="reachable")
        assert script.state.aggregates == {}

    def test_runs_of_a_comparison_are_its_children(self):
        script = Script(training_mode="compare", progress=None)
        for run_id, parent_id in ((4, 3), (5, 3), (6, None), (4, 3)):
            run = summary(id=run_id, parent_id=parent_id, status="completed")
            script.say("run_status", run_id=run_id, run=run)
        assert sorted(script.state.children) == [4, 5]
        assert script.state.has_children


class TestPage:
    def test_a_federated_run(self):
        script = Script()
        clients = [{"client_id": 0, "name": "north", "num_examples": 120}]
        script.say("training_mode", run=summary(), clients=clients)
        script.now = 10
        script.round(1, client_0=0.25, client_1=0.75)
        script.now = 20
        script.round(2, client_0=0.5, client_1=0.5, failed={"1": "late"})
        script.now = 24
        lines = script.page()
        assert lines[0].split() == [
            "run",
            "3",
            "running",
            "live,",
            "updated",
            "4",
            "s",
            "ago",
            "federated",
            "digits",
        ]
        assert "round 2 of 10, 24.0 s, 1 min 16 s remaining" in lines[1]
        assert lines[2].split() == [
            "best",
            "val/accuracy",
            "0.5",
            "digits",
            "·",
            "cnn",
            "·",
            "fedavg",
            "·",
            "seed",
            "7",
        ]
        assert ["accuracy", "0.5", "▄▄"] in [line.split() for line in lines]
        rows = [line.split() for line in lines]
        assert ["0", "north", "120", "2", "0.5", "▁▅"] in rows  # of 0.25 to 0.75, as the other one
        assert ["1", "-", "2", "0.5", "█▅", "1"] in rows
        assert "round 2: client 1 dropped: late" in lines[-1]

    def test_clients_have_the_columns_of_their_own_task(self):
        script = Script(monitor={"key": "val/mae", "mode": "min"})
        for client_id, mae in ((0, 4.5), (1, 7.5)):
            values = {"mae": mae, "rmse": 8.25, "r2": -0.5, "seconds": 3.0}
            rows = [
                script.row(value, client_id=client_id, round=1, name=name) for name, value in values.items()
            ]
            script.say("client_metrics", round=1, client_id=client_id, stage="val", rows=rows)
        rows = [line.split() for line in script.page(width=120)]
        assert ["client", "name", "examples", "round", "val/mae", "rmse", "r2"] in rows
        assert ["1", "-", "1", "7.5", "█", "8.25", "-0.5"] in rows
        (first,) = [place for place, row in enumerate(rows) if row[:1] == ["client"]]
        assert rows[first + 1][0] == "1", "the larger error is the worse one"

    def test_the_course_of_one_stage_is_long_rather_than_those_of_all_short(self):
        script = Script()
        for step in range(1, 41):
            rows = [script.row(step / 40, round=step, stage=stage) for stage in ("train", "val", "test")]
            script.say("round_metrics", round=step, rows=rows, record=None)
        (line,) = [line.split() for line in script.page(width=80) if line.startswith("accuracy")]
        assert line[0::2] == ["accuracy", line[2], "1"]
        assert len(line[3]) == 21
        assert (line[3][0], line[3][-1]) == ("▁", "█")
        (line,) = [line.split() for line in script.page(width=140) if line.startswith("accuracy")]
        assert [len(line[place]) for place in (2, 4, 6)] == [27] * 3

    def test_clients_that_do_not_fit_are_counted(self):
        script = Script()
        script.round(1, **{f"client_{number}": number / 100 for number in range(40)})
        lines = script.page(width=80, height=24)
        assert len(lines) == 24
        assert lines[-1] == "... and 27 more"
        assert lines[12].split()[:2] == ["2", "-"]
        assert len(script.page(width=80)) == 50

    @pytest.mark.parametrize("width", [30, 60, 80, 200])
    @pytest.mark.parametrize("height", [12, 24, 60])
    def test_it_fits_every_terminal(self, width, height):
        script = Script(name="a long name " * 9, stop_reason="r " * 99, error="e " * 99)
        for step in range(1, 9):
            script.now += 5
            script.round(step, **{f"client_{number}": number / 100 for number in range(9)})
            names = ("loss", "f1", "auroc", "precision", "bytes_down")
            rows = [
                script.row(0.5, round=step, stage=stage, name=n) for stage in ("train", "test") for n in names
            ]
            script.say("round_metrics", round=step, rows=rows, record=None)
        lines = script.page(width=width, height=height)
        assert all(len(line) <= width for line in lines)
        assert len(lines) <= max(height, 19)  # below that a terminal's own edge cuts it

    def test_a_comparison_shows_its_runs(self):
        script = Script(training_mode="compare", progress=None)
        run = summary(id=4, parent_id=3, training_mode="centralized", sparkline=[0.1, None, 0.3])
        run |= {
            "best": {"key": "val/accuracy", "value": 0.3},
            "progress": {"unit": "epoch", "done": 3, "total": 8},
        }
        script.say("run_status", run_id=4, run=run)
        expected = ["4", "pooled", "7", "running", "epoch", "3", "of", "8", "val/accuracy", "0.3", "▁", "█"]
        assert expected in [line.split() for line in script.page()]
        assert "runs of this comparison, 0 of 1 finished" in [line.rstrip() for line in script.page()]
        script.say("training_mode", run=script.state.run | {"planned_runs": 12}, clients=[])
        assert "runs of this comparison, 0 of 12 finished" in [line.rstrip() for line in script.page()]

    @pytest.mark.parametrize(
        ("connection", "text"),
        [
            (Connection("connecting"), "connecting"),
            (
                Connection("waiting", time.monotonic() + 9.5, "Connection refused"),
                "disconnected: Connection refused",
            ),
        ],
    )
    def test_it_says_when_it_is_not_connected(self, connection, text):
        lines = Script().page(connection=connection)
        assert text in lines[0]
        assert "live" not in lines[0]

    def test_it_says_when_the_server_has_no_database(self):
        script = Script()
        script.say("heartbeat", database="unreachable")
        assert "the server cannot reach its database" in script.page()[0]
        script.say("heartbeat", database="reachable")
        assert "live" in script.page()[0]

    def test_before_the_first_message_there_is_little_to_say(self):
        script = Script()
        script.state = RunState(3)
        assert script.page(connection=Connection("connecting")) == ["run 3   connecting"]

    def test_why_a_run_ended_is_shown(self):
        script = Script()
        ended = summary(
            status="failed", ended=at(9), error="QuorumError: 1 of 2 replies", stop_reason="interrupted"
        )
        script.say("training_end", status="failed", run=ended)
        lines = script.page(connection=None)
        assert lines[0].split() == ["run", "3", "failed", "federated", "digits"]
        assert "QuorumError: 1 of 2 replies" in lines
        assert "interrupted" in lines

    def test_names_and_reasons_are_text(self):
        evil = "[bold red]\x1b[2J\x1b]0;title\x07\u202e\x9b31m:smile:[/nothing]"
        script = Script(name=evil, error=evil, stop_reason=evil)
        script.say(
            "training_mode", run=summary(name=evil), clients=[{"client_id": 0, "name": evil, "num_examples": 1}]
        )
        script.round(1, client_0=0.5, failed={"0": evil})
        rows = [script.row(0.5, round=1, name=evil)]
        script.say("round_metrics", round=1, rows=rows, record=None)
        page = "\n".join(script.page())
        assert "[bold red]" in page
        assert ":smile:[/nothing]" in page
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(page)


def test_a_line_for_where_no_page_can_be_drawn():
    script = Script()
    script.round(1, client_0=0.5)
    script.round(2, client_0=0.25)
    assert status_line(script.state).plain == "run 3 running, round 2 of 10, val/accuracy 0.25 (best 0.5)"
    assert status_line(RunState(3)).plain == "run 3 unknown"


def test_sparklines():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], width=10).plain == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 0, 9, 5], width=2).plain == "▁█"  # the means of two each
    assert sparkline([0, 0, math.nan, 5], width=2).plain == "▁█"
    assert sparkline([5, 5], width=4).plain == "▁▁"
    assert sparkline([0, math.nan, math.inf, 1], width=4).plain == "▁  █"
    assert sparkline([1, 2], width=4, scale=(0, 2)).plain == "▅█"
    assert sparkline([0, 7], width=2, blocks="_#").plain == "_#"
    assert (
        sparkline([], width=4).plain
        == sparkline([1], width=0).plain
        == sparkline([math.nan], width=3).plain
        == ""
    )


def test_the_scale_of_a_sparkline_does_not_blow_up_noise():
    assert steady_scale([0.2, math.nan, 0.9], "accuracy") == (0.2, 0.9)
    assert steady_scale([0.95, 0.97], "accuracy") == pytest.approx((0.91, 1.01))
    assert steady_scale([200.0, 202.0], "loss") == pytest.approx((190.9, 211.1))
    assert steady_scale([math.inf], "loss") is None
    settled = [0.96, 0.97, 0.96, 0.97]
    assert len(set(sparkline(settled, width=4, scale=steady_scale(settled, "auroc")).plain)) <= 2


def test_numbers_and_lengths_of_time():
    assert [number(value) for value in (0.123456, 1e-7, math.nan, 12345.6)] == [
        "0.1235",
        "1e-07",
        "nan",
        "1.235e+04",
    ]
    assert number(3_920_000, "bytes_up") == "3.92 MB"
    assert [duration(value) for value in (0.04, 59.96, 61, 3599.6, 7800)] == [
        "0.0 s",
        "1 min 0 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 10 min",
    ]
    assert duration(4.4, exact=False) == "4 s"


def test_text_is_cut_and_plain():
    assert plain("a\nb\tc").plain == "a b c"
    assert len(plain("x" * 900).plain) == 503
