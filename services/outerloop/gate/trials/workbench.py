"""Workbench: makes what a trial request names out of git and ClickHouse, and keeps the last few of it.

CACHE/gate-trials/repositories/AGENT    a mirror for each agent
CACHE/gate-trials/trees/…               checkouts; emptied at the start, as a killed process leaves some
"""

import asyncio
import itertools
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ClientSession

from outerloop.contracts.v1.trial_pb2 import TrialRequested
from outerloop.evals.suite import Entry, read_entry
from outerloop.gate.settings import GateSettings
from outerloop.gate.trials.agent import terms_at
from outerloop.gate.trials.bench import Bench, Records, Subject
from outerloop.gate.trials.runner import Checkouts, Here
from outerloop.gate.trials.terms import terms_sha256
from outerloop.runtime.agentfile import AgentFile
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OuterloopError, TrialNotRunError, UserError
from outerloop.runtime.git import GitError, Repository
from outerloop.store import changes, evals, heldout
from outerloop.trial.run import model_session
from outerloop.trial.sandbox import Sandbox

# Trees that are kept between batches, each with its base, so that the next trial of the same finds it made.
KEPT = 4


@dataclass(frozen=True, slots=True)
class Site:
    """One tree that trials run on, and the evals of the earlier ones, by the hash of their content."""

    repository: Repository
    agentfile: AgentFile
    base_tree: str
    here: Here
    folder: Path
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])


class Workbench:
    """Sites of this process; `trim` must be called while no trial runs, `close` at the end."""

    def __init__(self, settings: GateSettings, db: ClickHouse, sandbox: Sandbox, records: Records) -> None:
        self._settings = settings
        self._db = db
        self._sandbox = sandbox
        self._records = records
        self._terms = terms_sha256(settings)
        self._folder = settings.cache / "gate-trials"
        self._repositories: dict[str, Repository] = {}
        self._sites: OrderedDict[tuple[str, ...], Site] = OrderedDict()
        self._session: ClientSession | None = None
        self._making = asyncio.Lock()
        self._numbers = itertools.count()

    async def bench(self, request: TrialRequested) -> tuple[Bench, Here]:
        """What the trial runs on, and who runs it.

        Raises:
            TrialNotRunError: when that cannot be made here, or is not what the request says.
            OutageError: when ClickHouse is away.
        """
        if request.terms_sha256 != self._terms:
            raise TrialNotRunError(
                "the judge has other settings for trials than this worker: give all replicas of gate the same"
            )
        key = (request.agent, request.base_commit, request.change_id, request.tree)
        async with self._making:
            if key not in self._sites:
                self._sites[key] = await self._make(request)
            self._sites.move_to_end(key)
            site = self._sites[key]
            if request.eval_sha256 not in site.entries:
                site.entries[request.eval_sha256] = await self._entry(site, request)
        return _bench(site, request), site.here

    async def trim(self) -> None:
        """Remove the checkouts that were used the longest ago, beyond those that are kept."""
        while len(self._sites) > KEPT:
            _, site = self._sites.popitem(last=False)
            await asyncio.to_thread(shutil.rmtree, site.folder, ignore_errors=True)

    async def close(self) -> None:
        """Remove all checkouts."""
        self._sites.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None
        await asyncio.to_thread(shutil.rmtree, self._folder / "trees", ignore_errors=True)

    async def _make(self, request: TrialRequested) -> Site:
        change = await changes.get(self._db, request.agent, request.change_id) if request.change_id else None
        if request.change_id and change is None:
            raise TrialNotRunError(f"there is no change {request.change_id} for {request.agent}")
        base = request.base_commit
        with _set_up():
            repository, branch = await self._repository(request.agent)
            await _have(repository, base)
            tree = await (repository.apply(base, change.patch) if change else repository.tree_of(base))
            if tree != request.tree:
                raise TrialNotRunError(f"{request.tree} was asked for, and what was named makes {tree}")
            agentfile = await terms_at(repository, base, request.agent, branch)
        folder = self._folder / "trees" / str(next(self._numbers))
        if self._session is None:
            self._session = model_session()
        checkouts = Checkouts(repository, folder)
        here = Here(self._settings, self._sandbox, checkouts, self._records, self._session)
        return Site(repository, agentfile, await repository.tree_of(base), here, folder)

    async def _repository(self, agent: str) -> tuple[Repository, str]:
        known = self._settings.repositories()
        if agent not in known:
            raise UserError(f"OUTERLOOP_AGENTS names no repository of {agent} where its trials are run")
        url, branch = known[agent]
        if not self._repositories:
            await self.close()
        if agent not in self._repositories:
            folder = self._folder / "repositories" / agent
            self._repositories[agent] = await Repository.open(url, folder)
        return self._repositories[agent], branch

    async def _entry(self, site: Site, request: TrialRequested) -> Entry:
        """The eval with the content that is asked for: from the suite, or as it was accepted."""
        with _set_up():
            entry = await _in_suite(site.repository, request) if request.suite_commit else None
        if entry is None:
            entry = await self._accepted(request.eval_id)
        if entry is None or entry.content_sha256 != request.eval_sha256:
            raise TrialNotRunError(f"eval {request.eval_id} is not there as it was asked for")
        return entry

    async def _accepted(self, eval_id: str) -> Entry | None:
        record = await evals.get(self._db, eval_id)
        if record is None or not record.eval_yaml:
            return None
        with _set_up():
            return await heldout.entry_of(self._db, record)


async def _in_suite(repository: Repository, request: TrialRequested) -> Entry | None:
    await _have(repository, request.suite_commit)
    return await read_entry(repository, request.suite_commit, request.eval_id)


def _bench(site: Site, request: TrialRequested) -> Bench:
    return Bench(
        series=request.series,
        subject=Subject.CANDIDATE if request.change_id else Subject.BASE,
        agentfile=site.agentfile,
        tree=request.tree,
        base_commit=request.base_commit,
        base_tree=site.base_tree,
        suite_commit=request.suite_commit,
        change_id=request.change_id,
        entries={request.eval_id: site.entries[request.eval_sha256]},
        contents={request.eval_id: request.eval_sha256},
    )


@contextmanager
def _set_up() -> Iterator[None]:
    """What is wrong with the agent's repository, or what is in it, as a trial that does not happen."""
    try:
        yield
    except TrialNotRunError:
        raise
    except OuterloopError as error:
        raise TrialNotRunError(f"the trial cannot be set up: {error}") from error


async def _have(repository: Repository, commit: str) -> None:
    """Fetch once if the commit is not here.

    Raises:
        GitError: when the remote does not have it either.
    """
    try:
        await repository.tree_of(commit)
    except GitError:
        await repository.fetch()
        await repository.tree_of(commit)
