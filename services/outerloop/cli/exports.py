"""Files that other tools export, as rows or as OTLP requests."""

import gzip
import importlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from outerloop.runtime.errors import PoisonError, UserError
from outerloop.trace.otlp import decode_traces, is_json, split_delimited

_ROWS = 500  # of a Parquet file, at a time
_LENGTH_BYTES = 4  # before each message in a file of the Collector's


def content(file: Path) -> bytes:
    """What a file holds, unpacked where its name ends in .zst or .gz."""
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            return gzip.decompress(data)
        if file.suffix == ".zst":
            return (
                zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
            )
    except (zstandard.ZstdError, gzip.BadGzipFile, EOFError) as error:
        raise UserError(f"{file} is not {file.suffix}: {error}") from error
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from error
    return data


def requests(file: Path) -> Iterator[bytes]:
    """The OTLP requests in a file.

    They are length-delimited (by varints, or as the Collector's file exporter does it), or one alone, or
    JSON: an object a line, or one in all.
    """
    data = content(file)
    if is_json(data):
        yield from _documents(data)
        return
    # The Collector's lengths have four bytes, of which the first is none up to 16 MB.
    split = _collectors if data.startswith(b"\0") else split_delimited
    try:
        parts = list(split(data))
        decode_traces(parts[0] if parts else b"")  # one request alone may look as if it were split
    except PoisonError:
        parts = [data]
    yield from parts


def rows(file: Path) -> Iterator[Any]:
    """The rows of a file of JSON (an object a line, or an array) or Parquet."""
    if file.suffix == ".parquet":
        yield from _parquet(file)
        return
    data = content(file)
    if data.lstrip()[:1] == b"[":
        try:
            yield from json.loads(data)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file} is no JSON: {error}") from error
        return
    for document in _documents(data):
        try:
            yield json.loads(document)
        except (ValueError, RecursionError) as error:
            yield ValueError(f"is no JSON: {error}")


def _documents(data: bytes) -> Iterator[bytes]:
    lines = [line for line in map(bytes.strip, data.splitlines()) if line]
    if lines and not lines[0].endswith(b"}"):  # one document over several lines
        lines = [data]
    yield from lines


def _collectors(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        begins = position + _LENGTH_BYTES
        position = begins + int.from_bytes(data[position:begins], "big")
        if position > len(data) or begins > len(data):
            raise PoisonError("the file ends inside a message")
        yield data[begins:position]


def _parquet(file: Path) -> Iterator[Any]:
    try:
        pyarrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(f"{file}: to read Parquet, `pip install 'outerloop[backfill]'`") from error
    try:
        for batch in parquet.ParquetFile(file).iter_batches(_ROWS):
            yield from pyarrow.Table.from_batches([batch]).cast(_to_microseconds(pyarrow, batch)).to_pylist()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{file} is no Parquet file: {error}") from error


def _to_microseconds(pyarrow: Any, batch: Any) -> Any:
    # Python's times have no nanoseconds.
    fields = [
        f.with_type(pyarrow.timestamp("us", f.type.tz)) if pyarrow.types.is_timestamp(f.type) else f
        for f in batch.schema
    ]
    return pyarrow.schema(fields)
