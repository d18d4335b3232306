"""``python -m fedtwin``: the same as ``fedtwin``."""

from fedtwin.cli.main import command

command()
