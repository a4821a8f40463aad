"""Texts: files that a person names, read so that what is wrong with one is said in a sentence."""

from pathlib import Path

from outerloop.runtime.errors import UserError

MOST_BYTES = 256_000_000


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        UserError: naming the file and why it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"{path} is too large: {MOST_BYTES:,} bytes may be read of one: divide it")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: see its byte {error.start}") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path} cannot be read: {why}") from error
