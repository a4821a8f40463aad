"""The sandbox against commands that try to get out, to stay, or to take too much."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import outerloop
from outerloop.runtime.errors import TrialNotRunError
from outerloop.trial.cgroup import joining
from outerloop.trial.isolation import Bubblewrap, Unconfined
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import MIB, Completed, Limits, Spec

CHECKOUT = Path(outerloop.__file__).parents[2]
READABLE_PYTHON = Path("/usr/bin/python3")


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(Bubblewrap())


@pytest.fixture(params=[Bubblewrap, Unconfined])
def either(request: pytest.FixtureRequest) -> Sandbox:
    return Sandbox(request.param())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text("of the agent")
    return tmp_path


async def python(sandbox: Sandbox, tree: Path, code: str, stdin: bytes = b"", **spec: Any) -> Completed:
    """Runs `code`, with the sandbox's Python."""
    argv = ("python", "-c", code)
    return await sandbox.run(Spec(argv=argv, tree=tree, environment=Path(sys.prefix), **spec), stdin)


def alive(mark: str) -> list[str]:
    """Processes whose command line has the mark."""
    found = []
    for directory in Path("/proc").iterdir():
        try:
            if directory.name.isdigit() and mark in (directory / "cmdline").read_text():
                found.append(directory.name)
        except OSError:
            continue
    return found


def command(pid: str) -> str:
    """A process's command line, its words ended by NUL; "" once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def children() -> list[str]:
    """Processes that this one has started."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def changed_at(*paths: str) -> list[int]:
    """When each file's mode or owner was last changed."""
    return [Path(path).stat().st_ctime_ns for path in paths]


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - other processes do it, and they set no event of ours
            await asyncio.sleep(0.02)


async def test_input_output_exit_code_and_directory(either: Sandbox, tree: Path) -> None:
    code = "import sys; print(input(), open('file.txt').read()); print('e', file=sys.stderr); sys.exit(3)"
    done = await python(either, tree, code, b"hello\n")
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"hello of the agent\n", b"e\n")
    assert done.failure == "it exited with code 3"
    assert not done.timed_out


async def test_environment_holds_what_is_given_and_nothing_of_the_host(
    either: Sandbox, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    done = await python(either, tree, "import os; print(sorted(os.environ))", env={"GIVEN": "1"})
    names = set(eval(done.stdout))  # noqa: S307 - our own print
    allowed = {"GIVEN", "HOME", "LANG", "PATH", "PWD", "TMPDIR", "USER", "LC_CTYPE"}
    assert {"GIVEN", "HOME", "PATH"} <= names <= allowed


async def test_a_signal_is_told_from_an_exit_code(either: Sandbox, tree: Path) -> None:
    done = await python(either, tree, "import os; os.kill(os.getpid(), 11)")
    assert done.exit_code == -11
    assert done.failure == "it was ended by signal 11"


async def test_a_command_that_is_not_there_is_the_agents_failure(either: Sandbox, tree: Path) -> None:
    done = await either.run(Spec(argv=("no-such-command",), tree=tree, environment=Path(sys.prefix)))
    assert done.exit_code == 127
    assert b"no-such-command" in done.stderr


async def test_a_sandbox_that_cannot_be_set_up_is_no_failure_of_the_agent(
    either: Sandbox, tree: Path
) -> None:
    with pytest.raises(TrialNotRunError, match="could not be started"):
        await either.run(Spec(argv=("true",), tree=tree / "gone", environment=Path(sys.prefix)))


async def test_there_is_no_network(sandbox: Sandbox, tree: Path) -> None:
    code = """
import socket
for host in ("1.1.1.1", "169.254.169.254", "8.8.8.8"):
    try: socket.create_connection((host, 53), timeout=3); print("reached", host)
    except OSError: pass
try: socket.getaddrinfo("example.org", 443); print("resolved")
except OSError: pass
print([name for _, name in socket.if_nameindex()], socket.gethostbyname("localhost"))
"""
    assert (await python(sandbox, tree, code)).stdout == b"['lo'] 127.0.0.1\n"


async def test_a_port_of_the_host_is_out_of_reach(sandbox: Sandbox, tree: Path) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    done = await python(
        sandbox, tree, f"import socket; socket.create_connection(('127.0.0.1', {port}), timeout=3)"
    )
    server.close()
    await server.wait_closed()
    assert b"ConnectionRefusedError" in done.stderr


async def test_neither_home_nor_checkout_can_be_read(sandbox: Sandbox, tree: Path) -> None:
    code = f"""
import os
from pathlib import Path
needed = [Path({sys.prefix!r}), Path({sys.base_prefix!r})]
for top in (Path({str(Path.home())!r}), Path({str(CHECKOUT)!r})):
    for directory, names, files in os.walk(top):
        here = Path(directory)
        names[:] = [n for n in names if here / n not in needed]
        for name in files: print("found", here / name)
for path in ("/etc/shadow", "/var/log", "/sys", "/run/docker.sock", "/home"):
    if os.path.exists(path): print("found", path)
try:
    import outerloop.trial.sandbox; print("imported")
except ImportError: pass
print("done")
"""
    assert (await python(sandbox, tree, code)).stdout == b"done\n"


async def test_writes_are_refused_but_in_tmp(sandbox: Sandbox, tree: Path) -> None:
    code = f"""
import os
os.chdir("/")
for path in ("/agent/file.txt", "/agent/new", "/new", "/etc/new", "/run/new", "/usr/new", "/dev/new",
             {sys.prefix + "/new"!r}, "/proc/self/oom_score_adj", "/proc/sys/kernel/core_pattern"):
    try:
        with open(path, "a"): print("opened", path)
    except OSError: pass
open("/dev/null", "w").write("x"); open("/tmp/new", "w").write("x"); open("/dev/shm/new", "w").write("x")
print("done")
"""
    done = await python(sandbox, tree, code)
    assert (done.stdout, done.stderr) == (b"done\n", b"")
    assert names(tree) == ["file.txt"]


async def test_device_files_of_the_host_keep_their_mode(sandbox: Sandbox, tree: Path) -> None:
    before = changed_at("/dev/null", "/dev/zero", "/dev/urandom", "/dev/tty")
    code = """
import os
for name in ("null", "zero", "urandom", "tty"):
    try: os.chmod("/dev/" + name, os.stat("/dev/" + name).st_mode & 0o777)  # to what it is, lest it work
    except OSError: pass
"""
    await python(sandbox, tree, code)
    assert changed_at("/dev/null", "/dev/zero", "/dev/urandom", "/dev/tty") == before


async def test_a_writable_tree_can_be_written(sandbox: Sandbox, tree: Path) -> None:
    done = await python(sandbox, tree, "open('new', 'w').write('x')", writable=True)
    assert done.exit_code == 0
    assert (tree / "new").read_text() == "x"


async def test_no_privilege_is_left(sandbox: Sandbox, tree: Path) -> None:
    code = """
import os
fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid(), {fields[n].strip() for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")})
print(fields["NoNewPrivs"].strip(), len([p for p in os.listdir("/proc") if p.isdigit()]))
print(os.system("unshare --user true 2>/dev/null") != 0)
"""
    done = await python(sandbox, tree, code)
    assert done.stdout.split(b"\n")[:3] == [b"1000 {'0000000000000000'}", b"1 2", b"True"]


async def test_a_timeout_kills_daemonised_grandchildren_too(either: Sandbox, tree: Path) -> None:
    mark = uuid.uuid4().hex
    code = f"""
import os, subprocess, sys, time
print("started", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sleeper = [sys.executable, "-c", "import time; time.sleep(600)", "{mark}"]
        subprocess.Popen(sleeper, start_new_session=True)
        os._exit(0)
    os._exit(0)
time.sleep(600)
"""
    done = await python(either, tree, code, limits=Limits(seconds=1.5))
    assert done.timed_out
    assert done.stdout == b"started\n"
    assert 1.4 < done.seconds < 60
    assert alive(mark) == []


async def test_what_outlives_the_command_is_killed(either: Sandbox, tree: Path) -> None:
    mark = uuid.uuid4().hex
    code = f"""
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "{mark}"], start_new_session=True)
"""
    done = await python(either, tree, code)
    assert done.exit_code == 0
    assert done.seconds < 60
    assert alive(mark) == []


async def test_nothing_is_left_when_the_run_is_cancelled(either: Sandbox, tree: Path) -> None:
    mark = uuid.uuid4().hex
    task = asyncio.create_task(python(either, tree, f"'{mark}'; import time; time.sleep(600)"))
    await until(lambda: bool(alive(mark)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert alive(mark) == []


async def test_nothing_is_left_when_whoever_started_it_is_killed(
    either: Sandbox, tree: Path, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    kind = type(either._isolation).__name__
    code = f"""
import asyncio, sys
from pathlib import Path
from outerloop.trial.isolation import {kind}
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Spec
spec = Spec(argv=("python", "-c", "'{mark}'; import time; time.sleep(600)"), tree=Path({str(tree)!r}),
            environment=Path(sys.prefix))
asyncio.run(Sandbox({kind}()).run(spec))
"""
    script = tmp_path / "starter.py"
    script.write_text(code)
    starter = await asyncio.create_subprocess_exec(sys.executable, str(script))
    await until(lambda: len(alive(mark)) > 1)  # the sandbox's init and the command
    starter.kill()
    await starter.wait()
    await until(lambda: not alive(mark))


async def test_a_sandbox_that_is_killed_from_outside_is_no_failure_of_the_agent(
    either: Sandbox, tree: Path
) -> None:
    mark = uuid.uuid4().hex
    run = asyncio.create_task(python(either, tree, f"'{mark}'; import time; time.sleep(600)"))
    await until(lambda: any(command(pid).startswith("python\0") for pid in alive(mark)))
    (started,) = [pid for pid in alive(mark) if pid in children()]
    os.kill(int(started), signal.SIGKILL)
    with pytest.raises(TrialNotRunError, match="killed from outside, by signal 9"):
        await run
    await until(lambda: not alive(mark))


async def test_a_command_cannot_make_its_own_end_look_like_one_from_outside(
    sandbox: Sandbox, tree: Path
) -> None:
    code = "import os, time\nfor n in (9, 15, 2): os.kill(1, n)\ntime.sleep(5)"
    done = await python(sandbox, tree, code)
    assert done.exit_code > 0
    assert done.failure


BOMB = """
held = []
while len(held) < 200:
    try: held.append(subprocess.Popen(['sleep', '60']))
    except OSError: pass
time.sleep(60)
"""
ATTACH = "import ctypes; assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == -1, 'attached'"


@pytest.mark.parametrize("trick", ["os.kill(1, 19)", ATTACH], ids=["stop", "debug"])
async def test_the_watch_over_the_limits_cannot_be_stopped(sandbox: Sandbox, tree: Path, trick: str) -> None:
    code = f"import os, subprocess, time\n{trick}\n{BOMB}"
    done = await python(sandbox, tree, code, limits=Limits(processes=64, seconds=20))
    assert done.stopped == "processes", done.stderr


async def test_a_command_that_kills_all_it_can_is_seen_to_its_end(sandbox: Sandbox, tree: Path) -> None:
    child = "child = subprocess.Popen(['sleep', '60'])"
    code = f"import os, subprocess\n{child}\nos.kill(-1, 9)\nprint(child.wait())"
    done = await python(sandbox, tree, code)
    assert (done.exit_code, done.stdout) == (0, b"-9\n")


async def test_a_command_that_stops_itself_runs_out_of_time(either: Sandbox, tree: Path) -> None:
    done = await python(either, tree, "import os; os.kill(os.getpid(), 19)", limits=Limits(seconds=1))
    assert done.timed_out


async def test_a_gigabyte_of_output_is_bounded(either: Sandbox, tree: Path) -> None:
    code = "import sys\nfor _ in range(1024): sys.stdout.buffer.write(b'x' * 2**20)\nprint('end')"
    done = await python(either, tree, code, limits=Limits(output=MIB))
    assert done.exit_code == 0
    assert done.cut
    assert len(done.stdout) < MIB + 100
    assert done.stdout.endswith(b"xxxend\n")
    assert b"bytes left out" in done.stdout


async def test_one_process_that_takes_too_much_memory(either: Sandbox, tree: Path) -> None:
    done = await python(either, tree, "bytearray(400 * 2**20)", limits=Limits(memory=200 * MIB))
    assert b"MemoryError" in done.stderr


async def test_processes_that_take_too_much_memory_together(sandbox: Sandbox, tree: Path) -> None:
    code = """
import os, time
for _ in range(4):
    if os.fork() == 0:
        held = bytearray(100 * 2**20)
        time.sleep(600)
time.sleep(600)
"""
    done = await python(sandbox, tree, code, limits=Limits(memory=200 * MIB, seconds=20))
    assert done.stopped == "memory"


HIDES = "import ctypes; ctypes.CDLL(None).prctl(4, 0)  # not dumpable: /proc shows little of it"


@pytest.mark.parametrize(
    "hog",
    [
        "import os\nfor fd in [os.memfd_create('m') for _ in range(4)]: os.write(fd, bytes(60 * 2**20))",
        f"import os\nfor _ in range(3): os.fork()\n{HIDES}\nheld = b'x' * (60 * 2**20)",
    ],
    ids=["files without a name", "processes that let nobody look"],
)
async def test_memory_that_is_hidden_counts_too(sandbox: Sandbox, tree: Path, hog: str) -> None:
    code = f"{hog}\nimport time; time.sleep(60)"
    done = await python(sandbox, tree, code, limits=Limits(memory=200 * MIB, seconds=20))
    assert done.stopped == "memory"


async def test_empty_files_without_end_are_memory(sandbox: Sandbox, tree: Path) -> None:
    code = "import itertools\nfor n in itertools.count(): open(f'/tmp/{n}', 'w').close()"
    done = await python(sandbox, tree, code, limits=Limits(scratch=4 * MIB, seconds=20))
    assert done.stopped == "memory"


@pytest.mark.parametrize("size", [0, 2**20], ids=["many files", "large files"])
async def test_a_writable_tree_is_bounded(either: Sandbox, tree: Path, size: int) -> None:
    code = (
        f"import itertools\nfor n in itertools.count(): open(f'f{{n % 40_000}}', 'wb').write(b'x' * {size}) "
    )
    done = await python(either, tree, code, writable=True, limits=Limits(scratch=8 * MIB, seconds=20))
    assert done.stopped == "disk"


async def test_shared_memory_is_counted_once(sandbox: Sandbox, tree: Path) -> None:
    code = """
import os, time
held = bytearray(80 * 2**20)
for _ in range(6):
    if os.fork() == 0:
        time.sleep(0.7); os._exit(0)
time.sleep(0.7)
"""
    done = await python(sandbox, tree, code, limits=Limits(memory=200 * MIB, seconds=20))
    assert done.failure == ""


async def test_a_file_and_tmp_are_bounded(sandbox: Sandbox, tree: Path) -> None:
    code = """
def fill(path):
    try:
        with open(path, "wb") as file:
            for _ in range(64): file.write(b"x" * 2**20)
        print("filled")
    except OSError as error: print(error.errno)
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
fill("/tmp/big"); fill("/tmp/second"); fill("/tmp/third")
"""
    done = await python(sandbox, tree, code, limits=Limits(file=20 * MIB, scratch=50 * MIB))
    assert done.stdout == b"27\n27\n28\n"  # EFBIG, EFBIG, ENOSPC


@pytest.mark.parametrize(
    "bomb",
    [
        "import os, time\nfor _ in range(9): os.fork()\ntime.sleep(60)",
        "import subprocess as s, time\nheld = [s.Popen(['sleep', '60']) for _ in range(200)]\ntime.sleep(60)",
    ],
)
async def test_a_fork_bomb_is_limited(sandbox: Sandbox, tree: Path, bomb: str) -> None:
    # 512 at most on its own, should the limit ever fail: the machine is not ours alone.
    done = await python(sandbox, tree, bomb, limits=Limits(processes=64, seconds=30))
    assert done.stopped == "processes"
    assert done.seconds < 30


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests have shown it")
@pytest.mark.skipif(not READABLE_PYTHON.exists(), reason="there is no Python that every user can read")
def test_the_kernel_refuses_roots_forks_beyond_a_limit() -> None:
    forks = "import os, time\nfor n in range(60):\n    if not os.fork(): time.sleep(1); os._exit(0)\n"
    with ExitStack() as stack:
        before = joining(20, stack)
        if not before:
            pytest.skip("no pids controller that could be written")
        ended = subprocess.run([*before, sys.executable, "-S", "-c", forks], capture_output=True, check=False)
        assert b"Resource temporarily unavailable" in ended.stderr
        time.sleep(1.2)  # until what was forked has ended: a group with a process in it stays


async def test_an_ordinary_user_can_use_it_too() -> None:
    script = """
import asyncio, os
from pathlib import Path
from outerloop.trial.isolation import Bubblewrap
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import Spec
isolation = Bubblewrap()  # before: it may be that only root reads the library that names the binary
os.chdir("/"); os.setgroups([]); os.setgid(65534); os.setuid(65534)
spec = Spec(argv=("id", "-u"), tree=Path("/usr/share"), environment=Path("/usr"))
print(asyncio.run(Sandbox(isolation).run(spec)))
"""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    if b"PermissionError" in err:
        pytest.skip("this checkout is not readable by every user")
    assert b"exit_code=0, stdout=b'1000\\n'" in out, (out, err)
