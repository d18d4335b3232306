from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from shared.data.profile import SpanTable
from shared.metrics.catalogue import CLASSIFICATION
from shared.metrics.classification import ClassificationMetrics
from shared.metrics.gap import GapRow, Interval
from shared.metrics.outputs import Outputs
from simulations.report.client_figures import value_spans
from simulations.report.comparison_figures import (
    client_bars,
    confusion_matrices,
    gap_figure,
    learning_curves,
    mean_history,
    roc_curves,
    save,
    to_svg,
    value_distribution,
)
from simulations.report.figure_style import FEDERATED, POOLED, VERDICTS, colour_of, plain
from simulations.report.prediction_figures import macro_roc
from tests.profiles import counted

CURVE = [(100.0, 0.5), (200.0, 0.7), (300.0, 0.8)]
AWKWARD = ["$x^2 and $5", "_hidden", "<b>&amp;", "two\nlines", "肺炎", "a very long name of a hospital indeed"]


def words(fig: Figure) -> str:
    return " ".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def drawn(fig: Figure) -> str:
    return to_svg(fig)


def gap_row(metric: str, low: float, value: float, high: float, *, falling: bool = False) -> GapRow:
    return GapRow(
        metric=metric,
        pooled=Interval(0.9, 0.88, 0.92),
        federated=Interval(0.9 - value, 0.85, 0.9),
        gap=Interval(value, low, high),
        local=None,
        better="lower" if falling else "higher",
        confidence=0.95,
        undefined=0,
    )


def predictions(classes: int, *, seed: int = 0, ties: bool = False) -> Outputs:
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=200)
    logits = rng.normal(size=(200, classes))
    logits[np.arange(200), labels] += 1.5
    odds = np.exp(np.round(logits) if ties else logits)
    return Outputs(odds / odds.sum(axis=1, keepdims=True), labels)


# --- curves ---------------------------------------------------------------------------------------


def test_mean_of_curves_is_taken_where_all_have_values() -> None:
    first, second = [(0.0, 0.0), (10.0, 1.0), (20.0, 2.0)], [(0.0, 2.0), (5.0, 4.0), (10.0, 3.0)]
    assert mean_history([first, second]) == [(0.0, 1.0), (5.0, 2.25), (10.0, 2.0)]


def test_mean_leaves_out_nan_and_empty_curves() -> None:
    assert mean_history([[(1.0, 0.5), (2.0, float("nan"))], []]) == [(1.0, 0.5)]
    assert mean_history([]) == []


def test_learning_curves_draw_the_numbers() -> None:
    other = [(x, v - 0.1) for x, v in CURVE]
    fig = learning_curves([CURVE], [other], metric="val/auroc")
    pooled, federated = fig.axes[0].lines
    assert (pooled.get_color(), federated.get_color()) == (POOLED, FEDERATED)
    assert pooled.get_linestyle() != federated.get_linestyle()
    assert np.array(pooled.get_xydata()).tolist() == [list(point) for point in CURVE]
    assert np.array(federated.get_ydata()).tolist() == pytest.approx([0.4, 0.6, 0.7])
    assert "Validation AUROC: pooled ends at 0.800, federated ends at 0.700" in words(fig)
    assert "training examples seen" in words(fig)


def test_seeds_are_thin_lines_around_their_mean() -> None:
    fig = learning_curves([CURVE, [(x, v + 0.1) for x, v in CURVE]], [CURVE], metric="loss", clients=[CURVE])
    widths = [line.get_linewidth() for line in fig.axes[0].lines]
    assert len(widths) == 1 + 3 + 1  # a client, two seeds and their mean, the only federated seed
    assert "mean of 2 seeds" in words(fig)
    assert "pooled ends at 0.850" in words(fig)


def test_a_curve_without_values_is_no_error() -> None:
    fig = learning_curves([], [[(100.0, float("nan"))]], metric="val/loss")
    assert "no values" in words(fig)
    assert drawn(fig)


def test_a_single_point_is_seen() -> None:
    fig = learning_curves([[(1.0, 0.5)]], [[(1.0, 0.4)]], metric="val/loss", x="round")
    assert [line.get_marker() for line in fig.axes[0].lines] == ["o", "o"]


# --- gaps -----------------------------------------------------------------------------------------


def test_right_of_zero_federated_is_always_worse() -> None:
    fig = gap_figure(
        [
            gap_row("loss", -0.3, -0.2, -0.1, falling=True),
            gap_row("accuracy", 0.01, 0.02, 0.03),
            gap_row("auroc", -0.01, 0.0, 0.01),
        ]
    )
    loss, others = fig.axes
    interval, dot = loss.lines[1:]  # the first is the line at zero
    assert np.array(interval.get_xdata()).tolist() == pytest.approx([0.1, 0.3])
    assert np.array(dot.get_xdata()).tolist() == pytest.approx([0.2])
    assert dot.get_color() == VERDICTS["worse"]
    clear, unclear = others.lines[2], others.lines[4]
    assert clear.get_markerfacecolor() == VERDICTS["worse"]
    assert unclear.get_markerfacecolor() == "white"
    text = words(fig)
    assert "Federated training is clearly worse in 2 of 3 metrics" in text
    assert "+0.200 [+0.100, +0.300]" in text
    assert "federated better" in text


def test_undefined_gaps_are_named_as_such() -> None:
    nan = float("nan")
    fig = gap_figure([gap_row("auroc", nan, nan, nan), gap_row("accuracy", -0.1, 0.0, 0.1)])
    assert "n/a" in words(fig)
    assert "No clear gap in any of 2 metrics" in words(fig)
    assert drawn(fig)


# --- clients --------------------------------------------------------------------------------------


def test_clients_are_measured_from_the_aggregate() -> None:
    fig = client_bars("val/accuracy", {"north": 0.9, "south": 0.7}, 0.85, 0.95)
    text = words(fig)
    assert "Validation accuracy by client: worst south at 0.700, spread 0.200" in text
    assert "aggregate 0.850" in text
    assert "pooled 0.950" in text
    stems = fig.axes[0].collections[0]
    assert [np.asarray(path.vertices)[:, 1].tolist() for path in stems.get_paths()] == [
        [0.85, 0.9],
        [0.85, 0.7],
    ]


def test_clients_without_values() -> None:
    nan = float("nan")
    assert "worst south" in words(client_bars("accuracy", {"north": nan, "south": 0.7}))
    nothing = client_bars("accuracy", {"north": nan})
    assert "no client has a value" in words(nothing)
    assert drawn(nothing)
    assert drawn(client_bars("accuracy", {}))


@pytest.mark.parametrize(("clients", "classes"), [(4, 2), (12, 3), (100, 10), (1, 2)])
def test_value_distribution_of_few_and_many_clients(clients: int, classes: int) -> None:
    counts = np.random.default_rng(0).integers(0, 60, size=(clients, classes))
    fig = value_distribution(
        counted(counts, [f"class {k}" for k in range(classes)], [f"c{i}" for i in range(clients)])
    )
    sizes, table = fig.axes[:2]
    assert [bar.get_height() for bar in sizes.patches if isinstance(bar, Rectangle)] == counts.sum(
        axis=1
    ).tolist()
    ticks = [text.get_text() for text in table.get_xticklabels()]
    assert len(ticks) <= 25
    assert ticks[0] == "c0"
    assert len(table.texts) == (counts.size if clients <= 12 else 0)
    assert drawn(fig)


def test_value_distribution_states_the_skew() -> None:
    fig = value_distribution(counted([[9, 1], [5, 5], [0, 0]], ["normal", "pneumonia"]))
    assert "3 clients: 0 to 10 examples each, largest label 0% to 90%" in words(fig)
    shades = np.asarray(fig.axes[1].collections[0].get_array()).reshape(2, 3)
    assert shades.tolist() == [[0.9, 0.5, 0.0], [0.1, 0.5, 0.0]]


def test_spans_are_drawn_from_the_smallest_to_the_largest_value() -> None:
    spans = SpanTable("age", ("a", "b", "c"), ((4.0, 80.5), (20.0, 60.0), None), np.array([3, 4, 5]))
    fig = value_spans(spans)
    assert "3 clients: 3 to 5 examples each, age 4 to 80.5" in words(fig)
    assert [list(line.get_ydata()) for line in fig.axes[1].lines] == [[4.0, 80.5], [20.0, 60.0]]
    assert drawn(fig)


# --- test answers ---------------------------------------------------------------------------------


def test_confusion_matrices_are_shaded_by_row_and_show_counts() -> None:
    fig = confusion_matrices({"pooled": [[8, 2], [1, 3]], "federated": [[5, 5], [0, 0]]}, ["normal", "ill"])
    shades = [np.asarray(axes.collections[0].get_array()).reshape(2, 2).tolist() for axes in fig.axes[:2]]
    assert shades == [[[0.8, 0.2], [0.25, 0.75]], [[0.5, 0.5], [0.0, 0.0]]]
    assert [text.get_text() for text in fig.axes[0].texts] == ["8", "2", "1", "3"]
    assert "Accuracy: pooled 78.6%, federated 50.0%" in words(fig)


@pytest.mark.parametrize(("models", "classes"), [(1, 2), (3, 2), (3, 10), (2, 30)])
def test_confusion_matrices_of_all_sizes_are_drawn(models: int, classes: int) -> None:
    matrix = np.eye(classes, dtype=np.int64)
    assert drawn(
        confusion_matrices({f"model {n}": matrix for n in range(models)}, [f"k{k}" for k in range(classes)])
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_area_under_the_drawn_curve_is_the_auroc(classes: int, ties: bool) -> None:
    pred = predictions(classes, ties=ties)
    false_rate, true_rate = macro_roc(pred)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    assert (np.diff(false_rate) >= 0).all()
    area = np.trapezoid(true_rate, false_rate)
    assert area == pytest.approx(ClassificationMetrics(pred.num_classes).values(pred)["auroc"], abs=1e-12)


def test_roc_marks_the_threshold_of_two_classes() -> None:
    p = np.array([0.9, 0.2, 0.7, 0.4])
    pred = Outputs(np.stack([1 - p, p], axis=1), np.array([1, 0, 0, 1]))
    fig = roc_curves({"pooled": pred, "federated": pred}, ["normal", "ill"])
    dots = [line for line in fig.axes[0].lines if line.get_marker() == "o"]
    assert [(dot.get_xdata(), dot.get_ydata()) for dot in dots] == [([0.5], [0.5])] * 2
    assert "ROC: pooled 0.750, federated 0.750" in words(fig)
    assert "true positive rate of ill" in words(fig)


def test_roc_of_what_has_none() -> None:
    p = np.array([0.9, 0.2])
    one_class = Outputs(np.stack([1 - p, p], axis=1), np.array([0, 0]))
    diverged = Outputs(np.full((2, 3), np.nan), np.array([0, 1]))
    assert "pooled n/a" in words(roc_curves({"pooled": one_class}, ["normal", "ill"]))
    fig = roc_curves({"pooled": diverged}, ["a", "b", "c"])
    assert "pooled n/a" in words(fig)
    assert drawn(fig)


# --- style and files ------------------------------------------------------------------------------


def test_twins_have_the_same_colours_everywhere() -> None:
    assert colour_of("pooled") == colour_of("Pooled, seed 1") == POOLED
    assert colour_of("federated", 7) == FEDERATED
    assert colour_of("something else", 0) != colour_of("something else", 1)


def test_labels_are_short_plain_and_seen() -> None:
    assert plain("two\nlines") == "two lines"
    assert plain("_x") == " _x"
    assert plain("a" * 50, length=10) == "aaaaaa…aaa"
    assert plain("$5") == r"\$5"


def awkward_figures() -> Sequence[Figure]:
    size = len(AWKWARD)
    answers = predictions(size)
    return [
        client_bars("accuracy", {name: 0.5 + 0.01 * i for i, name in enumerate(AWKWARD)}),
        value_distribution(counted(np.ones((size, size), dtype=int), AWKWARD, AWKWARD)),
        confusion_matrices({name: np.eye(size, dtype=int) for name in AWKWARD[:2]}, AWKWARD),
        roc_curves(dict.fromkeys(AWKWARD, answers), AWKWARD),
    ]


def test_names_that_users_choose_break_no_figure(tmp_path: Path) -> None:
    figures = awkward_figures()
    for fig in figures:
        assert "<b>" not in to_svg(fig)
    save(figures[1], tmp_path / "labels.png")


def test_png_has_twice_the_resolution_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    save(learning_curves([CURVE], [CURVE], metric="loss"), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert image.size == (1440, 800)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_figure_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    broken = Figure()
    broken.text(0.5, 0.5, "$\\nocommand{$", parse_math=True)
    with pytest.raises(ValueError, match="nocommand"):
        save(broken, path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_svg_is_one_clean_element() -> None:
    rows = [gap_row(metric, 0.01, 0.02, 0.03) for metric in (spec.name for spec in CLASSIFICATION)]
    for fig in (gap_figure(rows), value_distribution(counted([[1, 2], [3, 4]], ["a", "b"]))):
        svg = to_svg(fig, prefix="f1-")
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.get("viewBox")
        for unwanted in ("<style", "<script", "<image", "<metadata", "<!", "<?", "data:"):
            assert unwanted not in svg
        ids = re.findall(r'\sid="([^"]*)"', svg)
        assert len(ids) == len(set(ids)) > 0
        used = set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg))
        assert {name for pair in used for name in pair if name} <= set(ids)
        assert all(name.startswith("f1-") for name in ids)


def test_same_figure_same_svg() -> None:
    first, second = (to_svg(learning_curves([CURVE], [CURVE], metric="loss")) for _ in range(2))
    assert first == second


def test_no_global_figures() -> None:
    code = "import sys, simulations.report.comparison_figures"
    code += "; print('matplotlib.pyplot' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
