"""The command line: the composition root, and the only importer of services."""

import logging
import sys

import typer

from outerloop.cli import (
    ask,
    backfill,
    backtest,
    data,
    detectors,
    evals,
    export,
    forget,
    gate,
    label,
    lessons,
    letters,
    local,
    modes,
    pause,
    releases,
    replay,
    review,
    service,
    sessions,
    triage,
    verify,
)
from outerloop.runtime.errors import OuterloopError, UserError

app = typer.Typer(
    name="outerloop",
    help="Production failures of an LLM agent become evals, and evals become gated changes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("dev")(local.dev)
app.command("run")(service.run)
app.command("migrate")(service.migrate)
app.command("topics")(service.topics)
app.command("settings")(service.settings)
app.command("send")(data.send)
app.command("export")(export.export)
app.command("forget")(forget.forget)
app.command("backfill")(backfill.backfill)
app.command("status")(ask.status)
app.command("label")(label.label)
app.command("backtest")(backtest.backtest)
app.command("replay")(replay.replay)
app.command("releases")(releases.releases)
app.command("sql")(ask.sql)
app.command("review")(review.review)
app.command("verify")(verify.verify)
app.command("pause")(pause.pause)
app.command("resume")(pause.resume)
app.add_typer(modes.app, name="modes")
app.add_typer(detectors.app, name="detectors")
app.add_typer(evals.app, name="evals")
app.add_typer(triage.app, name="triage")
app.add_typer(lessons.app, name="lessons")
app.add_typer(sessions.app, name="sessions")
app.add_typer(letters.app, name="dlq")
app.add_typer(gate.app, name="gate")


def main() -> None:
    """Run a command; what a person got wrong is one sentence on stderr, and exit code 2."""
    # Of a Kafka that is away, aiokafka logs what our sentence says. A service sets up its own logging.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        app()
    except OuterloopError as error:
        sys.stderr.write(f"outerloop: {error}\n")
        sys.exit(2 if isinstance(error, UserError) else 1)
    except UnicodeEncodeError:
        # Bytes of an argument that are no text come as halves of surrogate pairs.
        if "".join(sys.argv).isprintable():
            raise
        sys.stderr.write("outerloop: an argument is not UTF-8 text\n")
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        # A file or folder that a person named, wherever it was opened.
        sys.stderr.write(f"outerloop: {error.filename}: {error.strerror}\n")
        sys.exit(2)
