"""``python -m centralized``: the same as ``fedtwin centralized``."""

from centralized.app import main

main()
