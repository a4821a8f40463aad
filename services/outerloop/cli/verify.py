"""`outerloop verify`: whether what was shipped is what was proven, by git alone."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outerloop.cli import output
from outerloop.cli.output import AsJson
from outerloop.runtime.errors import OuterloopError

if TYPE_CHECKING:
    from outerloop.gate.verify.report import Report

FOUND, COULD_NOT = 1, 3


def verify(
    revision: Annotated[
        str, typer.Argument(metavar="[COMMIT|A..B]", help="default: all of the release branch")
    ] = "",
    *,
    repository: Annotated[Path, typer.Option(help="a clone, or a bare mirror")] = Path(),
    branch: Annotated[str, typer.Option(help="the release branch; default: what outerloop.yaml says")] = "",
    as_json: AsJson = False,
) -> None:
    """Check shipped commits and their proof, offline: exit 0 all is well, 1 not so, 3 could not."""
    try:
        report = output.run(_verify(revision, repository, branch))
    except OuterloopError as error:
        sys.stderr.write(f"outerloop: {error}\n")
        raise typer.Exit(COULD_NOT) from error
    if as_json:
        verified = [asdict(each) for each in report.verified]
        renewals = [{**asdict(each), "at": each.at.isoformat()} for each in report.renewals]
        findings = [asdict(each) for each in report.findings]
        retired = [{**asdict(each), "at": each.at.isoformat()} for each in report.retired]
        said = {"verified": verified, "findings": findings, "renewals": renewals, "retired": retired}
        output.emit(said)
    else:
        _say(report)
    if report.findings:
        raise typer.Exit(FOUND)


async def _verify(revision: str, repository: Path, branch: str) -> "Report":
    # Not at the top: scipy takes a second to import, which every other command would wait for.
    from outerloop.gate.verify.clone import open_clone  # noqa: PLC0415
    from outerloop.gate.verify.report import verify as verified  # noqa: PLC0415

    return await verified(await open_clone(repository, branch), revision)


def _say(report: "Report") -> None:
    for finding in report.findings:
        output.write(f"{finding.commit[:12]}  {finding.what}")
    for renewal in report.renewals:
        output.say(f"the error was granted once more by {renewal.by} at {renewal.at:%F %R}: {renewal.why}")
    for each in report.retired:
        output.say(f"eval {each.eval_id} was retired by {each.by} at {each.at:%F %R}: {each.why}")
    signed = sum(each.signed for each in report.verified)
    about = f"{len(report.verified)} shipped commits, {signed} of them signed"
    output.say(f"{about}: {len(report.findings) or 'nothing'} wrong")
