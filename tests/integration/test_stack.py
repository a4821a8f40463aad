"""The supervisor, over trivial children: what starts, ends, dies and is left behind."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.server import free_port
from outerloop.dev.stack import FolderInUseError, NotReadyError, Process, ProcessDiedError, Stack, StackError
from outerloop.dev.stack.local import Addresses, local_stack
from outerloop.dev.stack.output import Output
from outerloop.dev.stack.probes import Probe, http_ok, json_line, port

FOREVER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('{"up": 1}', flush=True)
while True: signal.pause()
"""


def python(name: str, code: str, **options: object) -> Process:
    return Process(name, [sys.executable, "-c", textwrap.dedent(code)], **options)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is awaited happens in other processes
            await asyncio.sleep(0.02)


async def test_stages_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    code = f"""
        import signal, sys
        def note(text): open({str(diary)!r}, "a").write(text + " ")
        signal.signal(signal.SIGTERM, lambda *_: (note("-NAME"), sys.exit()))
        note("+NAME"); print('{{"up": 1}}', flush=True); signal.pause()
    """
    stages = [[python(name, code.replace("NAME", name), ready=json_line("up"))] for name in "abc"]
    async with Stack(tmp_path / "stack", stages) as stack:
        await stack.start()
        pids = [stack.pid(name) for name in "abc"]
        assert all(map(alive, pids))
    assert diary.read_text().split() == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert not any(map(alive, pids))


async def test_readiness_is_a_condition(tmp_path: Path) -> None:
    number, late = free_port(), tmp_path / "late"
    server = f"""
        import http.server, pathlib
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if pathlib.Path({str(late)!r}).exists() else 503)
                self.end_headers()
        http.server.HTTPServer(("127.0.0.1", {number}), Handler).serve_forever()
    """
    listens = python("server", server, ready=port(number))
    async with Stack(tmp_path / "stack", [[listens]]) as stack:
        await stack.start()
        answers = http_ok(f"http://127.0.0.1:{number}/readyz")
        nothing = Output(tmp_path, 0)
        assert not await answers(nothing)
        late.touch()
        assert await answers(nothing)


async def test_a_task_must_end_well_before_the_next_stage(tmp_path: Path) -> None:
    done = tmp_path / "done"
    task = python(
        "migrate", f"import time, pathlib; time.sleep(0.3); pathlib.Path({str(done)!r}).touch()", once=True
    )
    checks = python(
        "service", f"import pathlib, signal; assert pathlib.Path({str(done)!r}).exists(); signal.pause()"
    )
    async with Stack(tmp_path / "stack", [[task], [checks]]) as stack:
        await stack.start()
        assert alive(stack.pid("service"))
        stack.check()


async def test_a_failed_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    good = python("good", FOREVER)
    bad = python("bad", "import sys; print('no such table'); sys.exit(3)", once=True)
    async with Stack(tmp_path / "stack", [[good], [bad]]) as stack:
        with pytest.raises(
            ProcessDiedError, match=r"(?s)bad ended with exit code 3;.*bad\.log:\nno such table"
        ):
            await stack.start()
        pid = stack.pid("good")
        assert alive(pid)
    assert not alive(pid)
    assert (tmp_path / "stack" / "logs" / "bad.log").read_text() == "no such table\n"


async def test_what_is_not_ready_in_time_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"(?s)slow was not ready within 0\.3 s.*up"):
        async with Stack(
            tmp_path / "stack", [[python("slow", FOREVER, ready=json_line("never"), ready_within=0.3)]]
        ) as stack:
            await stack.start()


async def test_an_unexpected_death_is_reported(tmp_path: Path) -> None:
    reports: list[str] = []
    async with Stack(
        tmp_path / "stack", [[python("a", FOREVER, ready=says("up"))]], report=reports.append
    ) as stack:
        await stack.start()
        os.kill(stack.pid("a"), signal.SIGSEGV)
        with pytest.raises(ProcessDiedError, match=r"(?s)a was killed by SIGSEGV;.*up"):
            await asyncio.wait_for(stack.wait(), 60)
        with pytest.raises(ProcessDiedError):
            stack.check()
        with pytest.raises(KeyError):
            stack.pid("a")
    assert len(reports) == 1


async def test_a_service_is_started_again_until_it_has_died_too_often(tmp_path: Path) -> None:
    reports: list[str] = []
    twice = python("a", FOREVER, restarts=2)
    async with Stack(tmp_path / "stack", [[twice]], report=reports.append) as stack:
        await stack.start()
        for count in (1, 2):
            pid = stack.pid("a")
            os.kill(pid, signal.SIGKILL)
            await until(lambda count=count: len(reports) == count)  # type: ignore[misc]
            await until(lambda: "a" in stack._runs)
            assert stack.pid("a") != pid
            stack.check()
            await until(lambda: "a" in stack._watchers and not stack._watchers["a"].done())
        os.kill(stack.pid("a"), signal.SIGKILL)
        with pytest.raises(ProcessDiedError, match="SIGKILL"):
            await asyncio.wait_for(stack.wait(), 60)


async def test_kill_and_restart_on_request_are_no_deaths(tmp_path: Path) -> None:
    async with Stack(tmp_path / "stack", [[python("a", FOREVER, ready=says("up"), restarts=3)]]) as stack:
        await stack.start()
        first = stack.pid("a")
        await stack.kill("a")
        assert not alive(first)
        await stack.restart("a")
        second = stack.pid("a")
        await stack.restart("a")
        assert len({first, second, stack.pid("a")}) == 3
        assert not alive(second)
        with pytest.raises(StackError, match="runs already"):
            await stack.start("a")
        stack.check()
    assert (tmp_path / "stack" / "logs" / "a.log").read_text() == "up\n" * 3


async def test_what_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n" + STUBBORN
    began = time.monotonic()
    async with Stack(
        tmp_path / "stack", [[python("a", parent, ready=json_line("up"), stop_within=0.3)]]
    ) as stack:
        await stack.start()
        group = stack.pid("a")
    assert time.monotonic() - began < 60
    await until(lambda: not group_lives(group))


async def test_two_stacks_on_one_directory(tmp_path: Path) -> None:
    async with Stack(tmp_path, []):
        with pytest.raises(FolderInUseError, match=f"process {os.getpid()}"):
            await Stack(tmp_path, []).__aenter__()
    async with Stack(tmp_path, []):
        pass


async def test_the_directory_is_emptied_unless_kept_and_never_a_strangers(tmp_path: Path) -> None:
    mine, strange = tmp_path / "mine", tmp_path / "strange"
    kept = mine / "data" / "kept"
    async with Stack(mine, []):
        kept.touch()
    async with Stack(mine, [], keep=True):
        assert kept.exists()
    async with Stack(mine, []):
        assert not kept.exists()
    (strange / "data").mkdir(parents=True)
    with pytest.raises(FolderInUseError, match="has data"):
        await Stack(strange, []).__aenter__()


async def test_the_engines_of_the_local_stack(tmp_path: Path) -> None:
    addresses = Addresses.choose()
    async with local_stack(tmp_path, addresses) as stack:
        await stack.start("broker", "clickhouse")
        assert await http_ok(f"{addresses.clickhouse}/ping")(Output(tmp_path, 0))
        assert await port(addresses.ports["broker"])(Output(tmp_path, 0))
        assert (tmp_path / "data" / "clickhouse").is_dir()
    assert len(set(addresses.ports.values())) == len(addresses.ports)


SUPERVISOR = """
    import asyncio, sys
    from pathlib import Path
    from outerloop.dev.stack import Process, Stack

    async def main():
        child = Process("child", [sys.executable, "-c", "import signal; signal.pause()"])
        async with Stack(Path(sys.argv[1]), [[child]]) as stack:
            await stack.start()
            print(stack.pid("child"), flush=True)
            await stack.wait()

    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_no_signal_to_the_supervisor_leaves_a_child(tmp_path: Path, number: int, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISOR), tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert alive(child)
        supervisor.send_signal(number)
        _out, err = supervisor.communicate(timeout=10)
    assert (supervisor.returncode, err) == (code, "")
    asyncio.run(until(lambda: not alive(child)))


def says(line: str) -> Probe:
    async def probe(output: Output) -> bool:
        return line in output.text().splitlines()

    return probe


def group_lives(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False
