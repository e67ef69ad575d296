"""``iic`` and ``python -m iic_tf``: all that ``python models_iic.py`` does."""

import importlib
import sys

from iic_tf.root_files import root


def main() -> int:
    """Runs the command line of this installation."""
    sys.path.insert(0, str(root()))
    return importlib.import_module("models_iic").main()


if __name__ == "__main__":
    sys.exit(main())
