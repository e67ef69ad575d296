"""The commands of ``models_iic.py``, a module each."""

import sys
from pathlib import Path

EXIT_FAILED, EXIT_USAGE, EXIT_DEGENERATE = 1, 2, 3
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143


def program() -> str:
    """The command line's own name: ``iic`` where it was started so."""
    started = Path(sys.argv[0])
    if started.stem == "iic":
        return "iic"
    module = started.parts[-2:] == ("iic_tf", "__main__.py")
    return "python -m iic_tf" if module else "models_iic.py"


def typed() -> str:
    """What to type to run it."""
    name = program()
    return f"python {name}" if name == "models_iic.py" else name
