"""Outputs of a notebook cell that are replaced as a run goes on."""

import html
from pathlib import Path
from typing import Any


class Output:
    """One output below the running cell, which each ``show`` replaces."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, shown: Any) -> None:
        """Shows an object of ``IPython.display`` in place of the last one."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def bar(self, done: int, of: int, words: str) -> None:
        """Shows a progress bar with words beside it."""
        from IPython.display import HTML

        bar = f'<progress value="{done}" max="{of}" style="width: 20em"></progress>'
        self.show(HTML(f"{bar} {html.escape(words)}"))

    def plot(self, path: Path) -> None:
        """Shows a PNG file as it is now."""
        from IPython.display import Image

        self.show(Image(data=path.read_bytes(), format="png", width=700))
