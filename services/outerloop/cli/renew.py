"""`outerloop gate renew`: a person grants the gate its error once more."""

import getpass
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from outerloop.cli import output
from outerloop.cli.config import common
from outerloop.cli.output import AsJson
from outerloop.gate.release import ledger
from outerloop.runtime.errors import UserError
from outerloop.runtime.git import Repository


def renew(
    agent: Annotated[str, typer.Argument(help="the agent's name")],
    *,
    why: Annotated[
        str, typer.Option("--why", "--reason", help="what was found out about the failed confirmations")
    ],
    by: Annotated[str, typer.Option("--by", "--who", help="who decides; default: the user name")] = "",
    checks: Annotated[bool, typer.Option("--checks", help="the error of people's checks instead")] = False,
    as_json: AsJson = False,
) -> None:
    """Let changes be confirmed again when the gate's error is spent; that much more may then go wrong."""
    if not why.strip():
        raise UserError("--why is empty: say what was found out about the failed confirmations")
    who = by or getpass.getuser()
    failed, term = output.run(_renew(agent, who, why, ledger.CHECKS if checks else ledger.REF))
    if as_json:
        output.emit({"agent": agent, "term": term, "by": who, "open_or_failed": failed})
    else:
        output.say(
            f"{agent}: term {term} of the gate's error begins; {failed} confirmations of the last one had"
            " failed or are open"
        )


async def _renew(agent: str, by: str, why: str, ref: str) -> tuple[int, int]:
    """How many confirmations held an index of the term that ends, and the new term."""
    repositories = common().repositories()
    if agent not in repositories:
        raise UserError(f"OUTERLOOP_AGENTS names no repository of {agent}: add {agent}=URL[#BRANCH]")
    url, _ = repositories[agent]
    with tempfile.TemporaryDirectory(prefix="outerloop-renew-") as cache:
        repository = await Repository.open(url, Path(cache) / "mirror")
        before, _ = await ledger.read(repository, ref=ref)
        term = await ledger.renew(repository, by=by, why=why, when=datetime.now(UTC), ref=ref)
    return before.open_or_failed, term
