"""Where the files are that a user edits: recipes, backbones, the command line.

In a clone ``models_iic.py``, ``data.py``, ``graphs.py`` and ``configs/`` lie beside
the package; a wheel carries the same files inside it (``hatch_build.py``). There is one
copy of each in a clone, and it is the one that runs.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from iic_tf.errors import require

_PACKAGE = Path(__file__).parent


def root() -> Path:
    """Folder of ``models_iic.py``, ``data.py``, ``graphs.py`` and ``configs/``."""
    clone = _PACKAGE.parent
    return clone if (clone / "models_iic.py").is_file() else _PACKAGE / "_root"


def find_config(place: str) -> Path:
    """A file of options: as given, else one of those that come with the package.

    Args:
        place: A path such as ``configs/mnist.yaml``.
    """
    path = Path(place)
    shipped = root() / path
    return shipped if not path.exists() and shipped.is_file() else path


@cache
def root_module(name: str) -> ModuleType:
    """``data`` or ``graphs``, under a name that no module of the user's can have.

    Args:
        name: Name of the file without its ending.

    Raises:
        UserError: If there is no such file.
    """
    path = root() / f"{name}.py"
    require(path.is_file(), f"{path} must exist", name=name)
    known = f"iic_tf._root_{name}"
    spec = importlib.util.spec_from_file_location(known, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    spec.loader.exec_module(module)
    return module
