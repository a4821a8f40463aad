"""The Kubernetes sandbox: what holds of every sandbox, and each way in which a cluster lets a pod down."""

import asyncio
import contextlib
import inspect
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.kubernetes import DISRUPTED, NAMESPACE, TOKEN, Kubernetes
from integration import test_sandbox
from integration.test_sandbox import names, python
from integration.test_trial import (  # noqa: F401 - fixtures, and what a trial of them is
    GET,
    ORDER,
    OTHER,
    model_url,
    said,
    spec,
    upstream,
)
from outerloop.evals.expect.answer import Answered
from outerloop.evals.expect.behaviour import NoErrorStatus
from outerloop.evals.expect.tools import ToolCalled
from outerloop.evals.model import Divergence
from outerloop.runtime.errors import TrialNotRunError, UserError
from outerloop.runtime.settings import ModelSettings
from outerloop.trial import kubernetes_run
from outerloop.trial.backend import isolation_of, limits_of, sandbox_of
from outerloop.trial.kubernetes import KubernetesSandbox
from outerloop.trial.kubernetes_wire import HELLO, hello
from outerloop.trial.run import TrialSpec
from outerloop.trial.sandbox import Sandbox
from outerloop.trial.spec import MIB, Completed, Limits, Spec

# What holds of every sandbox holds here, but for tests that look for it among this machine's processes, and
# one that would take too long over two networks.
ELSEWHERE = {
    "test_nothing_is_left_when_whoever_started_it_is_killed",
    "test_a_sandbox_that_is_killed_from_outside_is_no_failure_of_the_agent",
    "test_a_gigabyte_of_output_is_bounded",
}
EITHER = {
    name: test
    for name, test in vars(test_sandbox).items()
    if name.startswith("test_") and "either" in inspect.signature(test).parameters
}
globals().update({name: test for name, test in EITHER.items() if name not in ELSEWHERE})

READY = """
import os, socket, time
socket.create_connection(("127.0.0.1", int(os.environ["URL"].rpartition(":")[2])))
time.sleep(600)
"""


def settings(kubernetes: Kubernetes, account: Path, **more: Any) -> ModelSettings:
    given: dict[str, Any] = {
        "sandbox": "kubernetes",
        "trial_image": "outerloop:test",
        "trial_runtime_class": "gvisor",
        "trial_host": "127.0.0.1",
        "trial_namespace": NAMESPACE,
        "kubernetes_api": kubernetes.url,
        "kubernetes_account": account,
    }
    return ModelSettings(**(given | more))


def certificate(into: Path) -> str:
    """A new certificate of 127.0.0.1, which signs itself, in ca.crt, and its key."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out ca.crt"
    named = ("-days", "2", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*make.split(), *named], cwd=into, check=True, capture_output=True)
    return (into / "ca.crt").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_text("of the agent")
    return tmp_path


@pytest.fixture
def account(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("account")
    (path / "token").write_text(TOKEN + "\n")
    return path


@pytest.fixture
async def kubernetes() -> AsyncIterator[Kubernetes]:
    async with Kubernetes().serving() as served:
        yield served


@pytest.fixture
def either(kubernetes: Kubernetes, account: Path) -> KubernetesSandbox:
    sandbox = sandbox_of(settings(kubernetes, account))
    assert isinstance(sandbox, KubernetesSandbox)
    return sandbox


@contextlib.asynccontextmanager
async def running(sandbox: Sandbox, tree: Path, **more: Any) -> AsyncIterator[asyncio.Task[Completed]]:
    """A run whose command has said that it is there; until then, its time does not count."""
    there = asyncio.Event()

    def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        there.set()

    @contextlib.asynccontextmanager
    async def serve(listener: socket.socket) -> AsyncIterator[None]:
        server = await asyncio.start_server(called, sock=listener.dup())
        try:
            yield
        finally:
            server.close()

    argv = ("python", "-S", "-c", READY)
    asked = Spec(argv=argv, tree=tree, environment=Path(sys.prefix), urls={"URL": ""}, **more)
    began = time.monotonic()
    task = asyncio.create_task(
        sandbox.run(asked, serve=serve, excused=lambda: 0 if there.is_set() else time.monotonic() - began)
    )
    gone = asyncio.create_task(there.wait())
    await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield task
    finally:
        gone.cancel()
        task.cancel()
        await asyncio.wait({task, gone})


async def test_the_job_is_what_was_asked_for_and_is_deleted(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    done = await python(either, tree, "print(1)", labels={"agent": "small", "trial": "t/1 of 2"})
    assert (done.stdout, kubernetes.jobs) == (b"1\n", {})
    (job,) = kubernetes.created
    pod = job["spec"]["template"]
    assert pod["spec"]["runtimeClassName"] == "gvisor"
    assert pod["metadata"]["labels"]["outerloop/agent"] == "small"
    assert len(pod["metadata"]["labels"]["outerloop/trial"]) == 40
    assert job["spec"]["activeDeadlineSeconds"] > 3600


async def test_what_is_left_of_an_earlier_attempt_is_replaced(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    kubernetes.refused = {"DELETE"}
    assert (await python(either, tree, "print(1)", labels={"trial": "t1"})).stdout == b"1\n"
    assert len(kubernetes.jobs) == 1
    kubernetes.refused = set()
    assert (await python(either, tree, "print(2)", labels={"trial": "t1"})).stdout == b"2\n"
    first, second = (job["metadata"]["name"] for job in kubernetes.created)
    assert first != second  # another command
    assert (await python(either, tree, "print(1)", labels={"trial": "t1"})).stdout == b"1\n"
    assert kubernetes.created[2]["metadata"]["name"] == first
    assert kubernetes.jobs == {}


async def test_a_cancelled_run_deletes_its_job(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    async with running(either, tree) as run:
        run.cancel()
        await asyncio.wait({run})
        assert kubernetes.jobs == {}


async def test_runs_at_the_same_time_share_one_port_that_is_closed_after_them(
    kubernetes: Kubernetes, account: Path, tree: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sandbox = sandbox_of(settings(kubernetes, account, trial_port=port))
    done = await asyncio.gather(*(python(sandbox, tree, f"print({n})") for n in range(3)))
    assert [each.stdout for each in done] == [b"0\n", b"1\n", b"2\n"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


async def test_only_a_trial_that_runs_is_let_in(kubernetes: Kubernetes, account: Path, tree: Path) -> None:
    sandbox = sandbox_of(settings(kubernetes, account))
    async with running(sandbox, tree):
        port, token = kubernetes.created[0]["spec"]["template"]["spec"]["containers"][0]["command"][-2:]
        # A stranger, noise, a channel that is taken, one that does not exist.
        for opening in (hello("x" * 43, "tree"), b"\xff" * HELLO, hello(token, "control"), hello(token, "x")):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            writer.write(opening)
            assert await asyncio.wait_for(reader.read(), 60) == b""
            writer.close()


async def test_endless_output_is_bounded(either: KubernetesSandbox, tree: Path) -> None:
    code = "import sys\nfor _ in range(64): sys.stdout.buffer.write(b'x' * 2**20)\nprint('end')"
    done = await python(either, tree, code, limits=Limits(output=MIB))
    assert (done.exit_code, done.cut, len(done.stdout) < MIB + 100) == (0, True, True)
    assert done.stdout.endswith(b"xxxend\n")


async def test_the_tree_is_read_only_and_so_is_all_but_tmp(either: KubernetesSandbox, tree: Path) -> None:
    code = """
import errno
for path in ("/agent/file.txt", "/agent/new", "/new", "/etc/new"):
    try: open(path, "a"); print("opened", path)
    except OSError: pass
with open("/tmp/big", "wb", buffering=0) as file:
    try:
        for _ in range(64): file.write(b"x" * 2**20)
    except OSError as error: print(errno.errorcode[error.errno])
"""
    done = await python(either, tree, code, limits=Limits(scratch=20 * MIB))
    assert (done.stdout, done.stderr) == (b"ENOSPC\n", b"")


async def test_a_writable_tree_can_be_written_in_the_pod(either: KubernetesSandbox, tree: Path) -> None:
    done = await python(either, tree, "open('new', 'w').write('x'); print(open('new').read())", writable=True)
    assert done.stdout == b"x\n"
    assert names(tree) == ["file.txt"]


async def test_processes_are_limited_and_orphans_that_ended_do_not_count(
    either: KubernetesSandbox, tree: Path
) -> None:
    orphans = "import os\nfor _ in range(60):\n if not os.fork(): os.fork(); os._exit(0)\n os.wait()\n"
    limits = Limits(processes=30, seconds=10)
    assert (await python(either, tree, orphans, limits=limits)).failure == ""
    many = (
        "import subprocess as s, time\nheld = [s.Popen(['sleep', '60']) for _ in range(60)]\ntime.sleep(60)"
    )
    assert (await python(either, tree, many, limits=limits)).stopped == "processes"


@pytest.mark.parametrize("number", ["9", "19"])
async def test_a_command_cannot_end_or_read_the_pods_first_process(
    either: KubernetesSandbox, tree: Path, number: str
) -> None:
    code = """
import os, time
for n in (9, 19, 15, 2): os.kill(1, n)
try: open("/proc/1/mem", "rb"); print("opened")
except PermissionError: pass
print("done", flush=True)
os.kill(os.getppid(), SIGNAL)  # init.py
time.sleep(60)
"""
    done = await python(either, tree, code.replace("SIGNAL", number))
    assert (done.stdout, done.exit_code, done.stopped) == (b"done\n", -9, "")


async def test_an_end_that_is_not_the_commands_doing_is_no_run(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    low = {"reason": "Evicted", "message": "The node was low on resource: memory."}
    async with running(either, tree) as run:
        kubernetes.stop(**low, conditions=[{**DISRUPTED, **low}])
        with pytest.raises(TrialNotRunError, match=r"the pod was disrupted.*low on resource"):
            await run
    assert kubernetes.jobs == {}


async def test_an_end_that_the_command_can_bring_about_is_its_own(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    async with running(either, tree) as run:
        kubernetes.hang_up()  # the API forgets those who watch, which must not matter
        kubernetes.stop("OOMKilled")
        assert (await run).stopped == "memory"


async def test_a_pod_that_is_deleted_is_no_run_but_over_its_deadline_it_is(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    async with running(either, tree) as run:
        await kubernetes.overdue()
        assert (await run).stopped == "time"
    async with running(either, tree) as run:
        await kubernetes.delete_pods()
        with pytest.raises(TrialNotRunError, match="deleted while the command ran"):
            await run


async def test_a_pod_that_no_longer_answers_is_not_out_of_time(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_run, "_ANSWER", 0.3)
    async with running(either, tree, limits=Limits(seconds=0.7)) as run:
        kubernetes.freeze(signal.SIGSTOP)
        with pytest.raises(TrialNotRunError, match="no longer answers, and its node may be lost"):
            await run


async def test_a_run_needs_no_api_once_it_has_begun(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path
) -> None:
    async with running(either, tree, limits=Limits(seconds=0.5)) as run:
        kubernetes.refused = {"GET", "DELETE"}
        kubernetes.hang_up()
        assert (await run).stopped == "time"
    assert len(kubernetes.jobs) == 1  # its deadline, or the next attempt, takes it away


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("unschedulable", "could not be scheduled: Unschedulable: 0/3 nodes are available"),
        ("pull", "container tree waits in vain: ImagePullBackOff"),
        ("no pod", "no pod was made"),
    ],
)
async def test_a_pod_that_does_not_start_is_no_run(
    either: KubernetesSandbox, kubernetes: Kubernetes, tree: Path, fault: str, expected: str
) -> None:
    kubernetes.fault = fault
    with pytest.raises(
        TrialNotRunError, match=f"could not be started.*{expected}.*kubectl -n trials get events"
    ):
        await python(either, tree, "print(1)", limits=Limits(start_seconds=0.5))
    assert kubernetes.jobs == {}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"kubernetes_api": "http://127.0.0.1:1"}, "could not be asked: ClientConnectorError"),
        ({"kubernetes_account": Path("/nowhere")}, "could not be asked: FileNotFoundError: .*token"),
        ({"trial_namespace": "other"}, "404"),
        ({"trial_runtime_class": "Not A Name"}, "422 Job is invalid"),
        ({"trial_host": "no-such-host.invalid"}, "OUTERLOOP_TRIAL_HOST 'no-such-host.invalid'"),
        ({"trial_host": "127.0.0.2", "agent_environment": Path("/x")}, "could not be started.*bin/python3"),
    ],
)
async def test_what_is_set_wrong_is_said(
    kubernetes: Kubernetes, account: Path, tree: Path, more: dict[str, Any], expected: str
) -> None:
    wrong = settings(kubernetes, account, **more)
    environment = wrong.agent_environment or Path(sys.prefix)
    with pytest.raises(TrialNotRunError, match=expected):
        await sandbox_of(wrong).run(Spec(argv=("true",), tree=tree, environment=environment))


async def test_refusals_of_the_api_are_no_run(
    either: KubernetesSandbox, kubernetes: Kubernetes, account: Path, tree: Path
) -> None:
    kubernetes.refused = {"POST"}
    with pytest.raises(TrialNotRunError, match="500 etcdserver: request timed out"):
        await python(either, tree, "print(1)")
    (account / "token").write_text("another")
    with pytest.raises(TrialNotRunError, match="401 Unauthorized"):
        await python(either, tree, "print(1)")
    kubernetes.refused = set()
    (account / "token").write_text(TOKEN)  # the kubelet replaced it
    assert (await python(either, tree, "print(1)")).stdout == b"1\n"


async def test_the_api_is_trusted_by_the_accounts_certificate_only(account: Path, tree: Path) -> None:
    other = certificate(account)
    certificate(account)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(account / "ca.crt", account / "key")
    async with Kubernetes().serving(tls=tls) as kubernetes:
        sandbox = sandbox_of(settings(kubernetes, account))
        assert (await python(sandbox, tree, "print(1)")).stdout == b"1\n"
        (account / "ca.crt").write_text(other)
        with pytest.raises(TrialNotRunError, match="could not be asked"):
            await python(sandbox, tree, "print(1)")


async def test_a_trial_reaches_model_tools_live_tools_and_collector(
    spec: TrialSpec,  # noqa: F811 - the fixture
    either: KubernetesSandbox,
    kubernetes: Kubernetes,
) -> None:
    expect = (ToolCalled(tool="get_order", arguments=ORDER), NoErrorStatus(), Answered())
    steps = (GET, OTHER, OTHER, ["model", {}], ["model", {"ask": "stream"}])
    trial, answers = await said(
        replace(spec, trial="t1"), either, *steps, expect=expect, divergence=Divergence.LIVE
    )
    assert (trial.passed, trial.reasons, trial.model_calls) == (True, (), 2)
    assert answers[0] == "recorded"
    assert [answer.split(" [")[0] for answer in answers[1:3]] == [
        "live 1 {'order_id': 'A-2'}",
        "live 2 {'order_id': 'A-2'}",
    ]
    jobs = {job["metadata"]["name"] for job in kubernetes.created}
    assert len(jobs) == len(kubernetes.created) == 2
    assert kubernetes.jobs == {}


def test_settings_ask_for_what_is_needed(account: Path) -> None:
    kubernetes = Kubernetes()
    for missing in ("trial_image", "trial_host"):
        with pytest.raises(UserError, match=f"OUTERLOOP_{missing.upper()}"):
            sandbox_of(settings(kubernetes, account, **{missing: ""}))
    with pytest.raises(UserError, match="OUTERLOOP_TRIAL_RUNTIME_CLASS: must name"):
        sandbox_of(settings(kubernetes, account, trial_runtime_class=None))
    plain = settings(kubernetes, account, trial_runtime_class="")
    assert isolation_of(plain) == "kubernetes"
    assert isolation_of(settings(kubernetes, account)) == "kubernetes/gvisor"
    assert isolation_of(ModelSettings(trial_runtime_class="gvisor")) == "bubblewrap"
    assert limits_of(plain).start_seconds == 180
    assert limits_of(ModelSettings()).start_seconds == 20
