"""The lines of a sweep where there is no terminal."""

from __future__ import annotations

import pytest

from simulations.sweeps.progress import Progress
from simulations.sweeps.terminal import SweepBoard


@pytest.mark.parametrize(("pruned", "says"), [(True, "trial 3 pruned  "), (False, "trial 3 completed  ")])
def test_a_line_says_how_a_trial_ended(pruned, says, store, capsys):
    with SweepBoard(store) as board:
        board.show(
            Progress(
                sweep_id=1,
                total=4,
                done=2,
                running=0,
                failed=0,
                waiting=1,
                pruned=1,
                seconds=5.0,
                seconds_left=None,
                best=None,
                finished=3,
                finished_pruned=pruned,
            )
        )
    assert capsys.readouterr().err.startswith(says)
