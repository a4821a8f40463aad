"""What the model is told: Markdown files, with `$name` where evidence goes (string.Template)."""

from importlib.resources import files


def load(name: str) -> str:
    """The text of the prompt file `name`, e.g. "system.md"."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
