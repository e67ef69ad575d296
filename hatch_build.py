"""What a user edits in a clone goes along inside a wheel (iic_tf/root_files.py)."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT_FILES = (
    "models_iic.py",
    "data.py",
    "graphs.py",
    "utils.py",
    "commands",
    "configs",
)


class RootFiles(BuildHookInterface):
    """Copies the root files into a wheel; an editable install finds them in the clone.

    A copy there would even hide the package: a folder of its name without its modules.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the files to what is built.

        Args:
            version: ``standard`` or ``editable``.
            build_data: Takes paths in the clone and in the wheel.
        """
        if version == "standard":
            build_data["force_include"] |= {
                name: f"iic_tf/_root/{name}" for name in ROOT_FILES
            }
