"""``python -m centralized``: same as ``fedtwin centralized``."""

from centralized.app import main

main()
