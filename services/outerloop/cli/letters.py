"""`outerloop dlq`: records that could not be handled, and sending them again once the fault is mended."""

from typing import Annotated, Any

import typer
from rich.progress import Progress

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.kafka import connected, partitions_of, producer, records
from outerloop.cli.output import AsJson
from outerloop.cli.service import load_services
from outerloop.runtime.errors import UserError
from outerloop.runtime.settings import Settings
from outerloop.runtime.topics import dead_letter_topic

app = typer.Typer(help="Dead letters: list, show, re-drive.", no_args_is_help=True)
Where = Annotated[str, typer.Argument(help="TOPIC:PARTITION:OFFSET of the dead letter, as `list` shows it")]
Which = Annotated[
    str, typer.Argument(help="TOPIC:PARTITION:OFFSET of one, as `list` shows it, or the TOPIC of all")
]
_PREVIEW = 2000


@app.command("list")
def list_(*, as_json: AsJson = False) -> None:
    """Every dead letter with what went wrong."""
    rows = [_row(letter) for letter in output.run(_letters(common()))]
    output.report(rows, as_json=as_json, empty="no dead letters")


@app.command()
def show(where: Where, *, as_json: AsJson = False) -> None:
    """One dead letter: its headers, its error with the stack, the beginning of its value."""
    letter = output.run(_find(where))
    value = letter.value or b""
    shown = {**_headers(letter), "bytes": len(value), "value": repr(value[:_PREVIEW])}
    if as_json:
        output.emit(shown)
        return
    for name, text in shown.items():
        output.write(f"{name}: {text}")


@app.command()
def redrive(where: Which) -> None:
    """Send dead letters back to the topic they came from; handlers are idempotent, so twice does no harm."""
    output.run(_redrive(where))


async def _redrive(where: str) -> None:
    settings = common()
    whole, cut = [], 0
    for letter in await _one_or_all(where):
        if size := _headers(letter).get("ol-dlq-truncated"):
            cut += 1
            named = f"{letter.topic}:{letter.partition}:{letter.offset}"
            output.say(f"{named} holds only a part of the {size} bytes that it had: it was too large to keep")
        else:
            whole.append(letter)
    if not whole:
        raise UserError(f"{where}: nothing of it can be sent again")
    # One that failed again stands there once more: were both sent, each time would double them.
    once = {(letter.key, letter.value, tuple(_own(letter))): letter for letter in whole}
    console = output.console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        async with connected(settings, producer(settings)) as kafka:
            for letter in bar.track(once.values(), description="sending"):
                topic = _headers(letter)["ol-dlq-topic"]
                await kafka.send_and_wait(topic, letter.value, key=letter.key, headers=_own(letter))
    left = f"; {cut} are not whole, and stay" if cut else ""
    output.say(f"sent {where if ':' in where else f'{len(once)} of {where}'} to {topic} again{left}")


async def _one_or_all(where: str) -> list[Any]:
    if ":" in where:
        return [await _find(where)]
    if where not in dead_letter_topics():
        raise UserError(f"{where} is no topic of dead letters; `outerloop dlq list` shows them")
    return await records(common(), where)


def dead_letter_topics() -> list[str]:
    """Where our services put what they cannot handle; other topics may end in .dlq too."""
    return [dead_letter_topic(t, name) for name, app in load_services().items() for t in app.CONSUMES]


async def _letters(settings: Settings) -> list[Any]:
    there = await partitions_of(settings, dead_letter_topics())
    return [letter for topic in sorted(there) for letter in await records(settings, topic)]


async def _find(where: str) -> Any:
    topic, _, rest = where.partition(":")
    partition, _, offset = rest.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise UserError(f"{where}: expected TOPIC:PARTITION:OFFSET, as `outerloop dlq list` shows it")
    for letter in await records(common(), topic):
        if (letter.partition, letter.offset) == (int(partition), int(offset)):
            return letter
    raise UserError(f"there is no dead letter {where}; `outerloop dlq list` shows them")


def _row(letter: Any) -> dict[str, Any]:
    headers = _headers(letter)
    return {
        "letter": f"{letter.topic}:{letter.partition}:{letter.offset}",
        "from": f"{headers['ol-dlq-topic']}[{headers['ol-dlq-partition']}]@{headers['ol-dlq-offset']}",
        "attempts": int(headers["ol-dlq-attempts"]),
        "error": f"{headers['ol-dlq-error-type']}: {headers['ol-dlq-error']}",
    }


def _own(letter: Any) -> list[tuple[str, bytes]]:
    """The headers that a record had before it was a dead letter."""
    return [(k, v) for k, v in letter.headers if not k.startswith("ol-dlq-")]


def _headers(letter: Any) -> dict[str, str]:
    return {k: v.decode("utf-8", "backslashreplace") for k, v in letter.headers}
