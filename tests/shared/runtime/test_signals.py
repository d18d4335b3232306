"""What signals do to a process that trains."""

from __future__ import annotations

import signal

import pytest

from shared.runtime.signals import BY_USER, interrupt_on, sigterm_as_interrupt, why_interrupted


def test_a_signal_interrupts_for_a_reason_of_its_own_to_the_end_of_the_block():
    before = signal.getsignal(signal.SIGUSR2)
    with interrupt_on(signal.SIGUSR2, reason="enough was seen"):
        with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
            signal.raise_signal(signal.SIGTERM)
        assert why_interrupted() == BY_USER
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGUSR2)
        assert why_interrupted() == "enough was seen"
    assert why_interrupted() == BY_USER
    assert signal.getsignal(signal.SIGUSR2) is before


def test_a_second_sigterm_does_not_interrupt_what_the_first_one_began():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_as_interrupt():
        with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        signal.raise_signal(signal.SIGTERM)
