"""The first process in a sandbox: opens the loopback port, starts the command, watches its limits.

    python -I -S -B init.py CONTROL MEMORY PROCESSES FILE TICK [VARIABLE=/path ...] -- command ...

Standard library only, and only modules that start fast: every trial waits for this. CONTROL is the number of
a Unix socket's descriptor. Over it go, in this order: one byte, with the listening socket of the loopback
port attached when there are VARIABLEs; and at the end `exit N`, `memory` or `processes`. When the other side
closes it, everything here ends.

TICK is the time in milliseconds between two counts of processes: a fork bomb makes thousands in a second,
where the kernel does not stop it. Each count costs, in every trial that waits for a model.

PROCESSES 0 means that there is no process namespace of our own: then the limits on processes and on resident
memory are not watched, and what the command left running is found by its parents and killed.
"""

import _ctypes
import _signal as signal  # type: ignore[import-not-found]  # unlike `signal`, it builds no enums at import
import _socket
import os
import resource
import select
import sys
import time

THREADS = 4  # a process may have on average
MEMORY_SECONDS = 0.1  # looks at memory are dearer, and memory grows more slowly
REAPED = 64  # at once: a bomb whose processes end as fast as they come must not keep us from counting them
SCRATCH = ("/tmp", "/dev/shm")  # noqa: S108 - file systems in memory, of this sandbox alone
INODE = 1024  # bytes of memory that a file takes in these, however empty it is
DUMPABLE, CHILD_SUBREAPER = 4, 36  # of prctl


def main() -> None:
    """Runs the command to its end, reports, and leaves nothing behind."""
    control = _socket.socket(fileno=int(sys.argv[1]))
    memory, processes, file, tick = map(int, sys.argv[2:6])
    split = sys.argv.index("--")
    ready(control, sys.argv[6:split])
    os.set_inheritable(control.fileno(), False)  # noqa: FBT003 - the function takes it by position
    own_namespace = processes > 0
    if own_namespace:
        prctl(DUMPABLE, 0)  # the command has the same user, and could stop this process as its debugger
    else:
        prctl(CHILD_SUBREAPER, 1)  # the parent of every descendant whose parent ended, so that none gets lost
    child = start(sys.argv[split + 1 :], memory, processes, file)
    report = watch(control, child, memory if own_namespace else 0, processes, tick / 1000)
    if not own_namespace:
        kill_descendants()
    try:  # noqa: SIM105 - contextlib is slow to import
        control.send(report.encode())
    except OSError:
        pass  # nobody is there any more to hear it


def ready(control: _socket.socket, variables: list[str]) -> None:
    """Says that the sandbox stands, and hands out the loopback port when one was asked for."""
    if not variables:
        control.send(b"r")
        return
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    # A socket belongs to the network namespace it was made in: whoever holds it serves this loopback.
    descriptor = listener.fileno().to_bytes(4, sys.byteorder)
    control.sendmsg([b"r"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor)])
    for variable in variables:
        name, _, path = variable.partition("=")
        os.environ[name] = f"http://127.0.0.1:{listener.getsockname()[1]}{path}"
    listener.close()


def start(command: list[str], memory: int, processes: int, file: int) -> int:
    """Forks the command under its limits; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        limit(resource.RLIMIT_DATA, memory)  # not RLIMIT_AS: V8, Go and JVMs reserve far more than they use
        limit(resource.RLIMIT_FSIZE, file)
        limit(resource.RLIMIT_CORE, 0)
        if os.getpriority(os.PRIO_PROCESS, 0) < 0:
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # going first is for this process alone
        if processes:
            # Threads count here too, and root is exempt; watch() counts processes, and root's as well.
            limit(resource.RLIMIT_NPROC, THREADS * processes)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606 - running it is the point
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)


def limit(what: int, most: int) -> None:
    """Lowers one resource limit; one that is lower already stays."""
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def watch(control: _socket.socket, child: int, memory: int, processes: int, tick: float) -> str:
    """Waits for the child's end, a limit, or the end of whoever asked; what to report."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    looked = counted = time.monotonic()
    while True:
        now = time.monotonic()
        if memory and now - counted >= tick:
            counted, look = now, now - looked >= MEMORY_SECONDS
            looked = now if look else looked
            if reason := excess(processes, memory if look else 0):
                return reason
        status = reap(child)
        if status is not None:
            return f"exit {os.waitstatus_to_exitcode(status)}"
        readable = select.select([woken, control.fileno()], [], [], tick)[0]
        if control.fileno() in readable and not control.recv(1):
            return "closed"
        if woken in readable:
            os.read(woken, 4096)


def reap(child: int) -> int | None:
    """Collects what ended, adopted orphans too; the wait status of `child` once it did."""
    for _ in range(REAPED):
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == child:
            return status
        if not pid:
            return None
    return None


def excess(processes: int, memory: int) -> str:
    """The limit that all processes of this namespace together are over, "" if none; `memory` 0: any."""
    pids = [name for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - pathlib is slow to import
    if len(pids) > processes:
        return "processes"
    if memory and (too_much(pids, memory) or any(map(crowded, SCRATCH))):
        return "memory"
    return ""


def too_much(pids: list[str], memory: int) -> bool:
    """Whether these processes hold more than so many bytes."""
    nameless = in_nameless_files(pids)
    # What processes share counts once for each in statm, which is quick to read, and exactly in Pss.
    if resident(pids) + nameless <= memory:
        return False
    return sum(map(proportional, pids)) + nameless > memory


def resident(pids: list[str]) -> int:
    """Resident bytes of all, shared ones counted again for each."""
    sizes = (read(pid, "statm") for pid in pids)
    return sum(int(text.split()[1]) for text in sizes if text) * resource.getpagesize()


def proportional(pid: str) -> int:
    """Resident bytes of one, its part of what is shared; all of that when it lets nobody look."""
    text = read(pid, "smaps_rollup")
    parts = [int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(b"Pss:")]
    return sum(parts) if parts else resident([pid])


def in_nameless_files(pids: list[str]) -> int:
    """Bytes in files of memfd_create, which belong to no file system with a limit."""
    own = os.memfd_create("")
    device = os.fstat(own).st_dev
    os.close(own)
    sizes: dict[int, int] = {}
    for pid in pids:
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - as above
                status = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116 - as above
                if status.st_dev == device:
                    sizes[status.st_ino] = status.st_blocks * 512
        except OSError:
            continue  # it ended meanwhile, or lets nobody look
    return sum(sizes.values())


def crowded(scratch: str) -> bool:
    """Whether its files are so many that they take more memory than it may have."""
    try:
        status = os.statvfs(scratch)
    except OSError:
        return False  # this sandbox has none there
    return (status.f_files - status.f_ffree) * INODE > status.f_blocks * status.f_frsize


def read(pid: str, name: str) -> bytes:
    """That file of /proc of a process; b"" when it ended meanwhile, or lets nobody look."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:
        return b""


def prctl(option: int, value: int) -> None:
    """The system call, where there is one; importing ctypes for it would take as long as all the rest."""
    if sys.platform == "linux":
        itself = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]  # None is this program, as for CDLL
        function = _ctypes.dlsym(itself, "prctl")
        _ctypes.call_function(function, (option, value, 0, 0, 0))


def kill_descendants() -> None:
    """Kills until nothing is left: a process may fork while it is looked for."""
    while found := descendants(os.getpid()):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        reap(-1)
        time.sleep(0.005)  # between death and its being visible there is no event to wait for


def descendants(root: int) -> list[int]:
    """Process ids of the living descendants of `root`; [] where there is no /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH112, PTH208 - as above
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123 - as above
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if name.isdigit() and state != b"Z":
            children.setdefault(int(parent), []).append(int(name))
    found = list(children.get(root, []))
    for pid in found:
        found.extend(children.get(pid, []))
    return found


if __name__ == "__main__":
    main()
