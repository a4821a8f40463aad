"""Merges: releases that do not say so, because a person merged them, and the words are the forge's.

They are known by what they do: bring exactly the certified tree onto exactly the certified base.
"""

from collections.abc import Mapping
from dataclasses import replace

from outerloop.gate.core.certificate import Certificate
from outerloop.gate.verify.releases import Release, read, trailers_of
from outerloop.runtime.git import Repository
from outerloop.runtime.git.process import succeed

Line = dict[tuple[str, str], str]


async def line_of(repository: Repository, *revisions: str) -> Line:
    """The commits of the first-parent line of `revisions`, by base ("" of a first commit) and tree."""
    flags = ("--first-parent", "--format=%H %T %P")
    listed = await succeed(repository.directory, "log", *flags, *revisions, "--")
    words = (line.split() for line in listed.decode().splitlines())
    return {("".join(parents[:1]), tree): commit for commit, tree, *parents in words}


def merged_by(certificate: Certificate, line: Line) -> str:
    """The commit of the line that does what is certified; "" if there is none."""
    done = (certificate.base_commit, certificate.candidate_tree)
    return line.get(done, "") if certificate.kind == "change" else ""


async def merges_of(
    repository: Repository, line: Line, certificates: Mapping[str, Certificate]
) -> list[Release]:
    """The commits of the line that do what one of `certificates` (by hash) says, as if they said so too."""
    found = {
        commit: {"Certificate": name, **trailers_of(certificate)}
        for name, certificate in certificates.items()
        if (commit := merged_by(certificate, line))
    }
    return [
        replace(release, parents=release.parents[:1], trailers=said)
        for release in await read(repository, list(found))
        if (said := found[release.commit]) and not _says_else(release, said)
    ]


def _says_else(release: Release, said: Mapping[str, str]) -> bool:
    return release.trailers.get("Certificate", said["Certificate"]) != said["Certificate"]
