"""The commands of ``models_iic.py``, a module each."""

EXIT_FAILED, EXIT_USAGE, EXIT_DEGENERATE = 1, 2, 3
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143
