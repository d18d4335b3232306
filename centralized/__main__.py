"""``python -m centralized``: same as ``fedtwin centralized``."""

from fedtwin.cli.apps import centralized

centralized()
