"""One run of the demo: engines, production, and the stand-in for a person, around the course of events."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from helpdesk_demo.chaos import Chaos
from helpdesk_demo.course import Course, Options
from helpdesk_demo.production import Production
from helpdesk_demo.spending import watch_spending
from helpdesk_demo.surroundings import agent_files, environment, first_failure_or
from helpdesk_demo.watch import Teller, Watch
from outerloop.dev.stack import Stack
from outerloop.dev.stack.local import Addresses, ScriptedModel, local_stack
from outerloop.runtime.clickhouse import ClickHouse
from outerloop.runtime.errors import OuterloopError
from outerloop.runtime.git import Author, RefUpdate, Repository, init_bare
from outerloop.runtime.settings import Settings

EXAMPLES = Path(__file__).resolve().parent.parent
SCRIPT = EXAMPLES / "helpdesk_model" / "script.py"
AGENT = EXAMPLES / "helpdesk"
REVIEWER = "demo-stand-in"  # for the person who would review an eval
_POLL_SECONDS = 0.5


class Demo:
    """One run of the demo. `run` gives the JSON object of its last line."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._teller = Teller()
        self._addresses = Addresses.choose()
        self._reached: dict[str, Any] = {"modes_found": 0, "modes_closed": 0}
        self._data = options.folder / "data"  # the stack empties it at the start
        self._remote = self._data / "helpdesk.git"

    async def run(self) -> dict[str, Any]:
        """Everything, from an empty folder to the report; stops all that it started."""
        async with contextlib.AsyncExitStack() as stack:
            engines = await stack.enter_async_context(self._engines())
            await self._publish_agent()
            await self._start(engines)
            watch = Watch(ClickHouse(self._settings()), self._teller)
            stack.push_async_callback(watch.db.close)
            production = await self._production()
            stack.push_async_callback(production.stop)
            chaos = Chaos(engines, watch, self._options.kill)
            course = Course(self._options, production, watch, chaos, self._reached)
            beside = [
                production.follow(),
                watch.tell(),
                self._review(watch),
                chaos.strike(),
                engines.wait(),
            ]
            if (cap := self._options.live_cap_usd) is not None:
                beside.append(watch_spending(watch, cap))
            async with asyncio.timeout(self._options.within):
                await first_failure_or(course.run(), beside)
            return self._result()

    def failed(self, why: str) -> dict[str, Any]:
        """What the last line says when the demo could not come to its end: what was reached by then."""
        self._teller.say("demo", why)
        return self._result() | {"error": why}

    def _result(self) -> dict[str, Any]:
        model = "a script, not a model" if self._options.live_cap_usd is None else "Anthropic's API"
        return self._reached | {"seconds": round(self._teller.seconds, 1), "model": model}

    async def _review(self, watch: Watch) -> None:
        """The stand-in for a person: accepts what it is shown, with the command that a person would use."""
        done: set[str] = set()
        while True:
            for row in await watch.ask("SELECT eval_id FROM evals FINAL WHERE state = 'drafted' ORDER BY at"):
                if row["eval_id"] not in done:
                    await self._outerloop("evals", "accept", row["eval_id"], "--who", REVIEWER)
                    done.add(row["eval_id"])
            await asyncio.sleep(_POLL_SECONDS)

    async def _outerloop(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "outerloop", *arguments),
            env=environment() | self._addresses.env(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise OuterloopError(f"outerloop {' '.join(arguments)}: {said.decode(errors='replace')}")

    @contextlib.asynccontextmanager
    async def _engines(self) -> AsyncIterator[Stack]:
        options = self._options
        live = options.live_cap_usd is not None
        model = None if live else ScriptedModel(SCRIPT, options.seed, options.disobedience)
        env = {
            "OUTERLOOP_AGENTS": f"helpdesk={self._remote}",
            "OUTERLOOP_CACHE": str(self._data / "cache"),
            "OUTERLOOP_SETTLE_SECONDS": "1.5",
            "OUTERLOOP_MODE_OPENS_AT": "6",
            "OUTERLOOP_GATE_SITTINGS": "1",  # nobody waits for hours before a screen
            "OUTERLOOP_DRAFT_MARGIN": "0.4",  # half the trials that evals ask for by default
            **self._model_env(),
        }
        engines = local_stack(
            options.folder,
            self._addresses,
            model=model,
            env=env,
            report=lambda s: self._teller.say("stack", s),
        )
        async with engines:
            yield engines

    async def _start(self, engines: Stack) -> None:
        self._teller.say("stack", "Kafka's protocol by Tansu, ClickHouse by chDB, five services …")
        await engines.start()
        if self._options.live_cap_usd is None:
            self._teller.say(
                "stack", "ready. THE MODEL IS A SCRIPT: it follows rules that it finds in prompts"
            )
        else:
            self._teller.say("stack", "ready. The model is Anthropic's API")

    async def _publish_agent(self) -> None:
        """Day 1's agent into a fresh git repository; only what belongs to it."""
        await init_bare(self._remote)
        repository = await Repository.open(str(self._remote), self._data / "cache" / "demo")
        files = {path: (AGENT / path).read_bytes() for path in agent_files(AGENT)}
        tree = await repository.tree_with(None, files)
        author = Author("helpdesk team", "team@helpdesk.invalid")
        commit = await repository.commit(
            tree, [], "The helpdesk agent, as it was on day 1", when=datetime.now(UTC), author=author
        )
        await repository.push_atomic([RefUpdate("refs/heads/main", commit, "")])

    async def _production(self) -> Production:
        folder = self._data / "production"
        folder.mkdir(parents=True)
        repository = await Repository.open(str(self._remote), self._data / "cache" / "production")
        otlp = f"http://127.0.0.1:{self._otlp_port()}"
        # The SDK's default gives spans up after 10 s without a receiver; real production should not either.
        patience = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "OTEL_EXPORTER_OTLP_TIMEOUT": "60"}
        env = {**environment(), **self._model_env(), **patience}
        production = Production(repository, folder, env, otlp, self._options.seed)
        await production.move()
        return production

    def _model_env(self) -> dict[str, str]:
        if self._options.live_cap_usd is not None:
            return {}
        return {"ANTHROPIC_BASE_URL": self._addresses.model, "ANTHROPIC_API_KEY": "scripted"}

    def _otlp_port(self) -> int:
        return self._addresses.ports["otlp"]

    def _settings(self) -> Settings:
        return Settings(clickhouse=self._addresses.clickhouse)
