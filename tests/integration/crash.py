# SPDX-License-Identifier: Apache-2.0
"""crash.py WORK ROUNDS [SEED]: random commits, and a crash in the middle of each one's sync.

Called by crash.sh, in whose directory WORK are the clone `hosts`, the directory `host` and the manifest. A round is
a commit of random changes, a sync that is asked for, kill -9 of some processes at a random instant of it, what must
hold then, a daemon that is started again when it was killed, and a sync to the end.
"""
import errno
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time

WORK = sys.argv[1]
ROUNDS = int(sys.argv[2])
SEED = int(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] else random.SystemRandom().randrange(1 << 32)
CLONE, HOST, STATE = f"{WORK}/hosts", f"{WORK}/host", f"{WORK}/state"
SOCKET = os.environ["KILTER_SOCKET"]
MARK = f"KILTER_WORKER_OF={STATE}".encode()
TEMPORARY = ".kilter-tmp."
VICTIMS = ["daemon", "daemon", "worker", "workers", "both", "workers first", "twice"]
BIG_FILES = 4

rng = random.Random(SEED)
counts = {}
last = "no crash yet"


class Broken(Exception):
    """Something that must hold does not."""


def run(*argv, **options):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, **options).stdout


# --- what a tree holds: path -> ("file", bytes, executable) or ("link", text) ------------------------------------------
def look(path):
    """What is there: None when nothing is, "directory" for one. Looks again when it was replaced meanwhile."""
    while True:
        try:
            return look_once(path)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ELOOP, errno.EISDIR):
                raise


def look_once(path):
    try:
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            return "directory"
        if stat.S_ISLNK(status.st_mode):
            return ("link", os.readlink(path))
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NOFOLLOW)) as file:
            content = file.read()
            return ("file", content, stat.S_IMODE(os.fstat(file.fileno()).st_mode))
    except (FileNotFoundError, NotADirectoryError):
        return None


def walk(root):
    found, temporary = {}, []
    for directory, names, files in os.walk(root):
        if ".git" in names:
            names.remove(".git")
        for name in files + [n for n in names if os.path.islink(f"{directory}/{n}")]:
            path = f"{directory}/{name}"
            if name.startswith(TEMPORARY):
                temporary.append(path)
            else:
                found[os.path.relpath(path, root)] = look(path)
        temporary += [f"{directory}/{n}" for n in names if n.startswith(TEMPORARY)]
    return {path: entry for path, entry in found.items() if entry is not None}, temporary


def parents(tree):
    found = set()
    for path in tree:
        while "/" in path:
            path = path.rsplit("/", 1)[0]
            found.add(path)
    return found


# --- random commits --------------------------------------------------------------------------------------------------
def content(big):
    size = rng.randrange(1 << 20, 4 << 20) if big else rng.choice([0, 1, 200, 4096, 70000])
    head = f"{rng.getrandbits(64):x}\n".encode()
    return ("file", head[:size] + rng.randbytes(size - len(head[:size])), rng.choice([0o644, 0o644, 0o755]))


def new_path(tree):
    while True:
        depth = rng.randrange(4)
        path = "/".join([rng.choice("abcd") for _ in range(depth)] + [f"f{rng.randrange(1000)}"])
        if path not in tree and not any(p in tree for p in parents([path])):
            return path


def change(tree):
    """One random change. No directory turns into a file: that waits for a person."""
    is_big = lambda path: tree[path][0] == "file" and len(tree[path][1]) >= 1 << 20
    big = rng.random() < 0.2 and sum(map(is_big, tree)) < BIG_FILES
    what = rng.choice(["create", "create", "change", "change", "delete", "to link", "to file", "mode", "to directory"])
    old = sorted(tree)
    if what == "create" or not old:
        tree[new_path(tree)] = content(big) if rng.random() < 0.8 else ("link", f"to-{rng.randrange(1000)}")
        return
    path = rng.choice(old)
    if what == "delete":
        del tree[path]
    elif what == "to link":
        tree[path] = ("link", f"to-{rng.randrange(1000)}")
    elif what == "mode" and tree[path][0] == "file":
        tree[path] = ("file", tree[path][1], tree[path][2] ^ 0o111)
    elif what == "to directory":
        del tree[path]
        tree[f"{path}/f{rng.randrange(1000)}"] = content(big)
    else:
        tree[path] = content(big or is_big(path))


def mutate(tree):
    tree = dict(tree)
    was = parents(tree)
    for _ in range(rng.randrange(1, 25)):
        before = dict(tree)
        change(tree)
        if any(path in was for path in tree):
            tree = before
    return tree


def write_tree(tree, before):
    for path in before:
        if path not in tree:
            os.unlink(f"{CLONE}/{path}")
    for path, entry in tree.items():
        if before.get(path) == entry:
            continue
        place = f"{CLONE}/{path}"
        for parent in sorted(parents([path])):
            if not os.path.isdir(f"{CLONE}/{parent}"):
                os.mkdir(f"{CLONE}/{parent}")
        if os.path.lexists(place):
            os.unlink(place)
        if entry[0] == "link":
            os.symlink(entry[1], place)
        else:
            with open(place, "wb") as file:
                file.write(entry[1])
                os.fchmod(file.fileno(), entry[2])
    for directory, _, _ in os.walk(CLONE, topdown=False):
        if not os.listdir(directory):
            os.rmdir(directory)


def publish(tree, before, number):
    write_tree(tree, before)
    git = ["git", "-C", CLONE, "-c", "core.compression=0"]
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "--allow-empty", "-m", f"commit {number}")
    run(*git, "push", "-q", "origin", "HEAD")


# --- processes -------------------------------------------------------------------------------------------------------
def workers():
    """Every process that bears the mark of this state directory, whoever its parent is."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if MARK in file.read().split(b"\0"):
                        found.append(int(name))
            except OSError:
                pass
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def await_true(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Broken(f"not within {seconds} s: {what}")
        time.sleep(0.002)


class Daemon:
    def __init__(self):
        self.process = None
        self.log = open(f"{WORK}/kilterd.log", "ab")

    def start(self, wait=True):
        if os.path.exists(SOCKET):
            os.unlink(SOCKET)
        self.process = subprocess.Popen(
            ["kilterd", "--manifest", f"{WORK}/kilter.yaml", "--state-dir", STATE, "--socket", SOCKET],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        if wait:
            await_true(20, "the daemon opens its store and listens", self.listens)

    def listens(self):
        if self.process.poll() is not None:
            raise Broken(f"the daemon does not start again: exit status {self.process.returncode}")
        return os.path.exists(SOCKET)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Broken("SIGTERM does not end the daemon") from None


def ask():
    """Asks for a sync, and does not wait for it. With a daemon that dies meanwhile it may fail."""
    subprocess.run(["kilter", "sync", "edge", "--no-wait"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   timeout=30, check=False)


def sync():
    for _ in range(3):
        done = subprocess.run(["kilter", "sync", "edge", "--timeout", "20s"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=40, check=False)
        if done.returncode == 0:
            return
        # On a busy machine a killed worker may take so long to be gone that this very sync was given to it.
        if b"killed from outside" not in done.stdout:
            break
    raise Broken(f"the next pass does not converge: {done.stdout.decode()}")


# --- what must hold --------------------------------------------------------------------------------------------------
def check_visible(paths, before, after):
    """Each path is as it was or as it is meant to be, nothing between."""
    for path in paths:
        entry = look(f"{HOST}/{path}")
        allowed = [before.get(path), after.get(path)]
        if path in parents(after) or path in parents(before):
            allowed.append("directory")
        if path in before and path in after and path not in parents(after) and entry is None:
            raise Broken(f"{path} is gone, and it is in the old commit and in the new one")
        if entry not in allowed:
            seen = entry if entry is None or entry[0] != "file" else (len(entry[1]), oct(entry[2]))
            wanted = [(len(e[1]), oct(e[2])) if e and e[0] == "file" else e for e in allowed]
            raise Broken(f"{path} is neither the old nor the new version: {seen} instead of one of {wanted}")


def check_host(before, after):
    live, _ = walk(HOST)
    strange = sorted(set(live) - set(before) - set(after))
    if strange:
        raise Broken(f"files that no commit had: {strange}")
    check_visible(sorted(set(before) | set(after)), before, after)


def records():
    listed = json.loads(run("kilter", "state", "list", "edge", "--output", "json"))["items"]
    return {record.get("attributes", {}).get("path", "").lstrip("/") or record["name"].replace("~", "/"): record["status"]
            for record in listed}


def check_inventory():
    """What was on the host before and after the look into the inventory is in it."""
    earlier, _ = walk(HOST)
    known = records()
    later, _ = walk(HOST)
    lost = sorted((set(earlier) & set(later)) - set(known))
    if lost:
        raise Broken(f"on the host, and not in the inventory: {lost}")


def check_converged(tree):
    live, temporary = walk(HOST)
    if live != tree:
        differ = sorted(path for path in set(live) | set(tree) if live.get(path) != tree.get(path))
        raise Broken(f"after the next pass the host is not what Git says: {differ}")
    if temporary:
        raise Broken(f"temporary files are left: {temporary}")
    known = records()
    if {p for p in known if p not in parents(tree)} != set(tree) or set(known.values()) != {"owned"}:
        raise Broken(f"the inventory is not the tree: {sorted(set(known) ^ set(tree))}, {set(known.values())}")


def check_store():
    """The database is whole. A copy, because looking would repair it."""
    copy = f"{WORK}/copy"
    shutil.rmtree(copy, ignore_errors=True)
    os.mkdir(copy)
    for name in os.listdir(STATE):
        if os.path.isfile(f"{STATE}/{name}"):
            shutil.copy(f"{STATE}/{name}", copy)
    for name in os.listdir(copy):
        with open(f"{copy}/{name}", "rb") as file:
            if file.read(15) != b"SQLite format 3":
                continue
        database = sqlite3.connect(f"{copy}/{name}")
        verdict = database.execute("PRAGMA integrity_check").fetchone()[0]
        database.close()
        if verdict != "ok":
            raise Broken(f"the store is damaged: {verdict}")


# --- rounds ----------------------------------------------------------------------------------------------------------
def strike(daemon, victim):
    """Kills; whether the daemon is to be started again."""
    if victim == "worker":
        kill(rng.sample(workers(), 1) if workers() else [])
    elif victim == "workers":
        kill(workers())
    elif victim == "both":
        daemon.kill()
        kill(workers())
    elif victim == "workers first":
        kill(workers())
        daemon.kill()
    else:
        daemon.kill()
    if victim in ("worker", "workers"):
        return False
    await_true(5, "the workers of a killed daemon are gone", lambda: not workers())
    return True


def watch(seconds, paths, before, after):
    """Looks at what changes until the instant has come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        check_visible(rng.sample(paths, min(3, len(paths))), before, after)
        time.sleep(min(0.0005, max(0, end - time.monotonic())))


def crash_round(daemon, number, before, window):
    global last
    after = mutate(before)
    publish(after, before, number)
    last = victim = rng.choice(VICTIMS)
    counts[victim] = counts.get(victim, 0) + 1
    moved = sorted(path for path in set(before) | set(after) if before.get(path) != after.get(path))
    ask()
    watch(rng.uniform(0, window), moved, before, after)
    dead = strike(daemon, victim)
    if victim == "twice":
        # In the middle of the recovery, too.
        daemon.start(wait=False)
        watch(rng.uniform(0, 0.1 + window), moved, before, after)
        strike(daemon, "daemon")
    check_host(before, after)
    if dead:
        check_store()
        daemon.start()
    check_inventory()
    sync()
    check_converged(after)
    return after


def measure(daemon, tree):
    """How long a sync takes here, so that crashes fall into it."""
    took = []
    for number in range(3):
        before, tree = tree, mutate(tree)
        publish(tree, before, -number)
        began = time.monotonic()
        sync()
        took.append(time.monotonic() - began)
        check_converged(tree)
    return tree, sorted(took)[1]


def main():
    print(f"  seed {SEED}, {ROUNDS} rounds", flush=True)
    daemon = Daemon()
    tree, _ = walk(CLONE)
    number = 0
    try:
        daemon.start()
        tree, took = measure(daemon, tree)
        print(f"  a sync takes {took * 1000:.0f} ms here", flush=True)
        for number in range(1, ROUNDS + 1):
            tree = crash_round(daemon, number, tree, 1.5 * took)
        daemon.stop()
        await_true(5, "no worker is left", lambda: not workers())
    except Broken as broken:
        print(f"  round {number}, {last}: {broken}\n  again with: KILTER_CRASH_SEED={SEED}", flush=True)
        subprocess.run(["kilter", "why", "edge"], check=False)
        return 1
    finally:
        if daemon.process and daemon.process.poll() is None:
            daemon.kill()
        kill(workers())
    print("  crashes: " + ", ".join(f"{count} of {what}" for what, count in sorted(counts.items())))
    return 0


sys.exit(main())
