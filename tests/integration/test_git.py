import asyncio
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from engines.repositories import AGENT, POLICY, TEAM, WHEN, advance, agent_repository
from outerloop.runtime.errors import OutageError, UserError
from outerloop.runtime.git import (
    Author,
    GitError,
    NotAPatchError,
    PatchConflictError,
    PushRefusedError,
    RefMovedError,
    RefUpdate,
    Repository,
    init_bare,
    worktree,
)
from outerloop.runtime.git.model import full_ref, is_inside
from outerloop.runtime.git.process import run


def git(*arguments, cwd=None):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True)
    return done.stdout.decode().strip()


def new_file(path, line="x", mode="100644"):
    head = f"diff --git a/{path} b/{path}\nnew file mode {mode}\n"
    return f"{head}--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n"


async def another(repository, tree_of, message):
    return await repository.commit(
        await repository.tree_of(tree_of), [tree_of], message, when=WHEN, author=TEAM
    )


async def test_what_a_mirror_shows_is_the_remote(tmp_path):
    repository, head = await agent_repository(tmp_path)
    assert git("rev-parse", "main", cwd=tmp_path / "remote") == head
    assert await repository.resolve("refs/heads/main") == head
    assert await repository.resolve("outerloop/suite") is None
    assert await repository.show(head, "prompts/policy.md") == POLICY.encode()
    assert await repository.show(head, "prompts") is None
    assert await repository.show(head, "prompts/*.md") is None
    assert {entry.path for entry in await repository.files(head)} == set(AGENT)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "other")
    assert await other.show(head, "helpdesk.py") == AGENT["helpdesk.py"]
    newer = await advance(other, {"README.md": b"hello\n"})
    assert await repository.resolve("main") == head
    await repository.fetch()
    assert await repository.resolve("main") == newer


async def test_a_branch_that_is_gone_is_gone_from_the_mirror(tmp_path):
    repository, head = await agent_repository(tmp_path)
    git("update-ref", "refs/outerloop/decisions/d1", head, cwd=tmp_path / "remote")
    await repository.fetch()
    assert await repository.resolve("refs/outerloop/decisions/d1") == head
    git("update-ref", "-d", "refs/outerloop/decisions/d1", cwd=tmp_path / "remote")
    await repository.fetch()
    assert await repository.resolve("refs/outerloop/decisions/d1") is None


async def test_a_lost_or_damaged_cache_is_made_anew(tmp_path):
    _, head = await agent_repository(tmp_path)
    cache = tmp_path / "cache"
    shutil.rmtree(cache)
    await Repository.open(str(tmp_path / "remote"), cache)
    team = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    newer = git(*team, "commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "x", cwd=tmp_path / "remote")
    git("update-ref", "refs/heads/main", newer, cwd=tmp_path / "remote")
    lock = cache / "refs/heads/main.lock"  # what a killed fetch leaves
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    repository = await Repository.open(str(tmp_path / "remote"), cache)
    assert await repository.resolve("main") == newer
    (cache / "HEAD").write_text("nonsense")
    repository = await Repository.open(str(tmp_path / "remote"), cache)
    assert await repository.resolve("main") == newer


async def test_a_remote_that_is_away_is_an_outage(tmp_path):
    repository, head = await agent_repository(tmp_path)
    (tmp_path / "remote").rename(tmp_path / "away")
    with pytest.raises(OutageError, match="cannot be reached"):
        await repository.fetch()
    with pytest.raises(OutageError):
        await repository.push_atomic([RefUpdate("refs/heads/x", head, "")])
    with pytest.raises(OutageError):
        await Repository.open(str(tmp_path / "remote"), tmp_path / "other")
    (tmp_path / "away").rename(tmp_path / "remote")
    await repository.fetch()


async def test_no_secret_of_an_address_is_told(tmp_path):
    with pytest.raises(OutageError) as caught:
        await Repository.open("https://user:hunter2@127.0.0.1:9/x.git", tmp_path / "cache")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "--upload-pack=touch pwned", "ext::sh -c touch% pwned", "a\nb"])
async def test_an_address_is_never_a_command(tmp_path, url):
    with pytest.raises(UserError):
        await Repository.open(url, tmp_path / "cache")


async def test_a_commit_depends_on_its_arguments_alone(tmp_path):
    repository, head = await agent_repository(tmp_path)
    tree = await repository.tree_of(head)
    ids = {await repository.commit(tree, [head], "Größe\n", when=WHEN, author=TEAM) for _ in range(2)}
    assert len(ids) == 1
    assert await repository.message(ids.pop()) == "Größe\n"
    other = await repository.commit(tree, [head], "Größe\n", when=WHEN, author=Author("x", "x@example.com"))
    assert other not in ids


async def test_a_push_moves_all_or_nothing(tmp_path):
    repository, head = await agent_repository(tmp_path)
    one = await another(repository, head, "one")
    updates = [RefUpdate("refs/heads/main", one, head), RefUpdate("refs/outerloop/decisions/d1", one, head)]
    with pytest.raises(RefMovedError, match="decisions/d1 is absent"):
        await repository.push_atomic(updates)
    await repository.fetch()
    assert await repository.resolve("main") == head
    assert await repository.resolve("refs/outerloop/decisions/d1") is None
    await repository.push_atomic([updates[0], replace(updates[1], expected="")])
    assert git("for-each-ref", "--format=%(objectname)", cwd=tmp_path / "remote").split() == [one, one]
    assert await repository.resolve("refs/outerloop/decisions/d1") == one


async def test_the_loser_of_a_race_changes_nothing(tmp_path):
    repository, head = await agent_repository(tmp_path)
    other = await Repository.open(str(tmp_path / "remote"), tmp_path / "other")
    racers = [
        (repository, await another(repository, head, "ours")),
        (other, await another(other, head, "theirs")),
    ]

    async def push(racer, commit):
        side = f"refs/outerloop/decisions/{commit}"
        try:
            await racer.push_atomic([RefUpdate("refs/heads/main", commit, head), RefUpdate(side, commit, "")])
        except RefMovedError:
            return None
        return commit

    won = [commit for commit in await asyncio.gather(*(push(*racer) for racer in racers)) if commit]
    assert len(won) == 1
    refs = git("for-each-ref", "--format=%(objectname)", cwd=tmp_path / "remote").split()
    assert refs == [won[0], won[0]]


async def test_pushing_again_what_is_there_is_no_error(tmp_path):
    repository, head = await agent_repository(tmp_path)
    update = RefUpdate("refs/heads/main", await another(repository, head, "one"), head)
    await repository.push_atomic([update])
    await repository.push_atomic([update])


async def test_a_remote_that_refuses_is_neither_away_nor_moved(tmp_path):
    repository, head = await agent_repository(tmp_path)
    hook = tmp_path / "remote/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho this branch is protected\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(PushRefusedError, match="this branch is protected"):
        await repository.push_atomic(
            [RefUpdate("refs/heads/main", await another(repository, head, "x"), head)]
        )


async def test_no_hook_and_no_setting_of_a_repository_runs_here(tmp_path):
    repository, head = await agent_repository(tmp_path)
    mark = tmp_path / "pwned"
    for place in ("cache", "remote"):
        hooks = tmp_path / place / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("post-checkout", "reference-transaction", "pre-push", "post-index-change", "fsmonitor"):
            if place == "remote" and name == "reference-transaction":
                continue  # a server's own hook, which the server's git runs
            (hooks / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
            (hooks / name).chmod(0o755)
        git("config", "core.hooksPath", str(hooks), cwd=tmp_path / place)
        git("config", "core.fsmonitor", str(hooks / "fsmonitor"), cwd=tmp_path / place)
        git("config", "core.pager", f"touch {mark}", cwd=tmp_path / place)
        git("config", "diff.external", f"touch {mark}", cwd=tmp_path / place)
    await repository.fetch()
    await repository.checkout(head, tmp_path / "work")
    (tmp_path / "work/prompts/policy.md").write_text("other\n")
    patch = await repository.patch_from(head, tmp_path / "work")
    tree = await repository.apply(head, patch)
    await repository.changed(head, tree)
    await advance(repository, {"README.md": b"x\n"})
    assert not mark.exists()


async def test_a_checkout_is_the_commits_files_and_nothing_else(tmp_path):
    files = {
        **AGENT,
        ".gitattributes": b"helpdesk.py export-ignore\n*.md text eol=crlf\nprompts/** ident\n",
        "prompts/id.md": b"$Id$\n",
        "-rf": b"dashes\n",
    }
    repository, head = await agent_repository(tmp_path, files)
    await repository.checkout(head, tmp_path / "work")
    found = {path.relative_to(tmp_path / "work").as_posix(): path for path in (tmp_path / "work").rglob("*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == files
    assert await repository.patch_from(head, tmp_path / "work") == ""
    with pytest.raises(UserError, match="not empty"):
        await repository.checkout(head, tmp_path / "work")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "prompts/../../outside", "loop"])
async def test_a_symlink_that_leads_out_is_not_checked_out(tmp_path, target):
    repository, head = await agent_repository(tmp_path)
    tree = await repository._tree_with(head, {"loop": ("120000", target.encode())})
    with pytest.raises(UserError, match="'loop' leads out"):
        await repository.checkout(tree, tmp_path / "work")


async def test_a_symlink_through_another_that_leads_out_is_not_checked_out(tmp_path):
    repository, head = await agent_repository(tmp_path)
    links = {
        "a/b/c": ("120000", b"../../prompts"),
        "out": ("120000", b"a/b/c/../../outside"),
        "in": ("120000", b"prompts"),
    }
    tree = await repository._tree_with(head, links)
    with pytest.raises(UserError, match="'out' leads out"):
        await repository.checkout(tree, tmp_path / "work")
    assert (tmp_path / "work/in/policy.md").read_text() == POLICY


async def test_a_patch_of_a_directory_makes_the_same_tree_again(tmp_path):
    repository, head = await agent_repository(tmp_path, {**AGENT, ".gitignore": b"__pycache__/\n*.log\n"})
    work = tmp_path / "work"
    await repository.checkout(head, work)
    (work / "prompts/policy.md").write_text(POLICY.replace("Rule 3", "Rule III"))
    (work / "tools/refund.yaml").unlink()
    (work / "prompts/no newline.md").write_text("ä")
    (work / "helpdesk.py").chmod(0o755)
    (work / "__pycache__").mkdir()
    (work / "__pycache__/helpdesk.pyc").write_bytes(b"\0")
    (work / "debug.log").write_text("x")
    patch = await repository.patch_from(head, work)
    changes = {
        change.path: change for change in await repository.changed(head, await repository.apply(head, patch))
    }
    assert set(changes) == {"prompts/policy.md", "tools/refund.yaml", "prompts/no newline.md", "helpdesk.py"}
    assert changes["tools/refund.yaml"].status == "D"
    assert changes["helpdesk.py"].new_mode == "100755"
    policy = changes["prompts/policy.md"]
    assert (policy.added_lines, policy.removed_lines, policy.binary) == (1, 1, False)
    assert changes["prompts/no newline.md"].new_size == 2


async def test_a_directory_is_read_as_hostile_content(tmp_path):
    repository, head = await agent_repository(tmp_path)
    work, mark, secret = tmp_path / "work", tmp_path / "pwned", tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("hunter2")
    await repository.checkout(head, work)
    nested = work / "prompts/nested"
    git("init", "--quiet", str(nested))
    git("config", "core.fsmonitor", f"touch {mark}", cwd=nested)
    (nested / "x.md").write_text("x\n")
    git("-c", "core.fsmonitor=", "add", "x.md", cwd=nested)
    git("init", "--quiet", str(work))
    git("config", "core.fsmonitor", f"touch {mark}", cwd=work)
    (work / ".gitignore").write_text("prompts/\n")
    (work / "prompts/link").symlink_to(secret / "key")
    (work / "prompts/folder").symlink_to(secret)
    os.mkfifo(work / "prompts/pipe")
    patch = await repository.patch_from(head, work)
    changes = await repository.changed(head, await repository.apply(head, patch))
    assert {change.path: change.new_mode for change in changes} == {
        ".gitignore": "100644",
        "prompts/nested/x.md": "100644",
        "prompts/link": "120000",
        "prompts/folder": "120000",
    }
    assert "hunter2" not in patch
    assert not mark.exists()


async def test_text_that_is_not_utf8_makes_no_patch(tmp_path):
    repository, head = await agent_repository(tmp_path)
    await repository.checkout(head, tmp_path / "work")
    (tmp_path / "work/prompts/policy.md").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="not UTF-8"):
        await repository.patch_from(head, tmp_path / "work")


async def test_a_patch_is_merged_where_its_base_has_moved(tmp_path):
    repository, head = await agent_repository(tmp_path)
    await repository.checkout(head, tmp_path / "work")
    (tmp_path / "work/prompts/policy.md").write_text(POLICY.replace("Rule 18: be", "Rule 18: always be"))
    patch = await repository.patch_from(head, tmp_path / "work")
    moved = POLICY.replace("Rule 2:", "Preface.\nRule 2:").replace("Rule 14: be kind.\n", "")
    newer = await advance(repository, {"prompts/policy.md": moved.encode()})
    tree = await repository.apply(newer, patch)
    assert (
        await repository.show(tree, "prompts/policy.md") == moved.replace("18: be", "18: always be").encode()
    )
    clash = await advance(repository, {"prompts/policy.md": POLICY.replace("Rule 18", "Rule XVIII").encode()})
    with pytest.raises(PatchConflictError, match="does not apply"):
        await repository.apply(clash, patch)


@pytest.mark.parametrize("text", ["", "hello", "\0", "diff --git a/x b/x\n@@ nonsense", "x" * (5 << 20)])
async def test_what_is_no_patch_is_said_to_be_none(tmp_path, text):
    repository, head = await agent_repository(tmp_path)
    with pytest.raises(NotAPatchError):
        await repository.apply(head, text)


@pytest.mark.parametrize(
    "path", ["../x", "/tmp/x", "prompts/../../x", ".git/hooks/x", "a/.GIT/config", ".git", "./x", "git~1/x"]
)
async def test_a_patch_cannot_name_what_no_repository_may_hold(tmp_path, path):
    repository, head = await agent_repository(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((NotAPatchError, PatchConflictError)):
        await repository.apply(head, new_file(path))
    assert [each for each in sorted(tmp_path.rglob("*")) if "objects" not in each.parts] == [
        each for each in before if "objects" not in each.parts
    ]


async def test_a_patch_through_a_symlink_writes_nowhere(tmp_path):
    repository, head = await agent_repository(tmp_path)
    link = (
        new_file("prompts/out", str(tmp_path), mode="120000").rstrip("\n")
        + "\n\\ No newline at end of file\n"
    )
    with pytest.raises(PatchConflictError):
        await repository.apply(head, link + new_file("prompts/out/pwned"))
    assert not (tmp_path / "pwned").exists()


async def test_what_a_patch_does_is_told_as_it_is(tmp_path):
    repository, head = await agent_repository(tmp_path)
    patch = (
        "diff --git a/helpdesk.py b/helpdesk.py\nold mode 100644\nnew mode 100755\n"
        "diff --git a/prompts/policy.md b/main.md\nsimilarity index 100%\n"
        "rename from prompts/policy.md\nrename to main.md\n"
        f"diff --git a/lib b/lib\nnew file mode 160000\nindex {'0' * 40}..{head}\n--- /dev/null\n+++ b/lib\n"
        f"@@ -0,0 +1 @@\n+Subproject commit {head}\n"
        + new_file("--output=x")
        + new_file("link", mode="120000")
    )
    changes = {
        change.path: change for change in await repository.changed(head, await repository.apply(head, patch))
    }
    assert {path: (change.status, change.new_mode) for path, change in changes.items()} == {
        "helpdesk.py": ("M", "100755"),
        "prompts/policy.md": ("D", "000000"),
        "main.md": ("A", "100644"),
        "lib": ("A", "160000"),
        "--output=x": ("A", "100644"),
        "link": ("A", "120000"),
    }
    assert changes["main.md"].new_size == len(POLICY)


async def test_binary_is_what_the_content_is_whatever_attributes_say(tmp_path):
    attributes = b"*.dat diff\n*.md -diff\n"
    repository, head = await agent_repository(
        tmp_path, {**AGENT, ".gitattributes": attributes, "x.dat": b"\0one\n"}
    )
    await repository.checkout(head, tmp_path / "work")
    (tmp_path / "work/x.dat").write_bytes(b"\0two\n")
    (tmp_path / "work/prompts/image.png").write_bytes(bytes(range(256)))
    (tmp_path / "work/prompts/policy.md").write_text("short\n")
    patch = await repository.patch_from(head, tmp_path / "work")
    changes = await repository.changed(head, await repository.apply(head, patch))
    assert {change.path: (change.binary, change.added_lines) for change in changes} == {
        "x.dat": (True, 0),
        "prompts/image.png": (True, 0),
        "prompts/policy.md": (False, 1),
    }


@pytest.mark.parametrize(
    "ref", ["", "-x", "--all", "a..b", "a@{1}", "main^", "a b", "a//b", "a/", "x.lock", "a/-b"]
)
async def test_a_ref_is_a_name_and_never_an_expression(tmp_path, ref):
    with pytest.raises(UserError):
        full_ref(ref)


@pytest.mark.parametrize("commit", ["", "HEAD", "main", "--all", "abc123", "a" * 39])
async def test_a_commit_is_named_in_full(tmp_path, commit):
    await init_bare(tmp_path / "remote")
    repository = await Repository.open(str(tmp_path / "remote"), tmp_path / "cache")
    with pytest.raises(UserError):
        await repository.show(commit, "x")


async def test_tree_with_takes_only_paths_inside(tmp_path):
    repository, _ = await agent_repository(tmp_path)
    for path in ("../x", "/x", ".git/config", "", "a//b"):
        assert not is_inside(path)
        with pytest.raises(UserError):
            await repository.tree_with(None, {path: b""})


async def test_git_has_a_time_to_end_in(tmp_path):
    await init_bare(tmp_path / "r")
    with pytest.raises(GitError, match=r"did not end within 0\.2 s"):
        await run(tmp_path / "r", "-c", "alias.wait=!sleep 4217", "wait", seconds=0.2)
    assert _sleeping() == []


async def test_a_cancelled_call_leaves_no_process(tmp_path):
    await init_bare(tmp_path / "r")
    task = asyncio.create_task(run(tmp_path / "r", "-c", "alias.wait=!sleep 4217", "wait"))
    while not _sleeping():  # noqa: ASYNC110 - another process has no event of ours
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while _sleeping():  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.02)


def _sleeping():
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if line == b"sleep\x004217\0":
                found.append(folder.name)
    return found


async def test_how_large_a_commit_is_already_stands_in_no_changes_way(tmp_path, monkeypatch):
    monkeypatch.setattr(worktree, "MAX_FILE", 1_000)
    monkeypatch.setattr(worktree, "MAX_FILES", 3)
    large = bytes(range(256)) * 9
    files = AGENT | {"data/index.bin": large} | {f"data/{n}.txt": b"x" for n in range(9)}
    repository, head = await agent_repository(tmp_path, files)
    work = tmp_path / "work"
    await repository.checkout(head, work)
    (work / "prompts/policy.md").write_text("Be brief.\n")
    patch = await repository.patch_from(head, work)
    assert "+Be brief." in patch
    assert "data/" not in patch
    for content in (large[:-1] + b"!", large + b"!", large[:-1], large * 2):
        (work / "data/index.bin").write_bytes(content)
        with pytest.raises(UserError, match=r"'data/index.bin' has more than the 1000 bytes"):
            await repository.patch_from(head, work)
    (work / "data/index.bin").write_bytes(large)
    (work / "data/index.bin").chmod(0o755)
    with pytest.raises(UserError, match=r"'data/index.bin' has more than"):
        await repository.patch_from(head, work)
    (work / "data/index.bin").chmod(0o644)
    for number in range(4):
        (work / f"new{number}.md").write_text("x\n")
    with pytest.raises(UserError, match="more than 3 new files"):
        await repository.patch_from(head, work)
