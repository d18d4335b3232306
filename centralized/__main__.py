"""``python -m centralized``: the same as ``fedtwin centralized``."""

from fedtwin.cli.apps import centralized

centralized()
