"""How long tests with generated input run: a plugin of pytest.

In the gate hypothesis draws the same few examples each time. With ``HYPOTHESIS_PROFILE=long`` (and pytest's
``--timeout=0``) it draws others, 200 times as many, and keeps what failed in ``.hypothesis`` for the next time.
"""

from __future__ import annotations

import os

from hypothesis import settings

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "gate")
_TIMES = {"gate": 1, "long": 200}

# No deadline for an example: how long one takes says as much about the machine.
settings.register_profile("gate", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("long", deadline=None, max_examples=50 * _TIMES["long"], print_blob=True)
settings.load_profile(_PROFILE)


def draws(in_the_gate: int) -> int:
    """``max_examples`` of a test for which the profiles' 50 in the gate are too few or too many."""
    return in_the_gate * _TIMES[_PROFILE]
