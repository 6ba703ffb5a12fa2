# SPDX-License-Identifier: Apache-2.0
"""bench.py BUILD WORK [--smoke] [PART...]: measures; see tests/bench/run.

Every figure is a median of rounds in which the tools take turns, so that what else the machine does meets all of them.
"""
import filecmp
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time

BUILD, WORK = sys.argv[1], sys.argv[2]
SMOKE = "--smoke" in sys.argv
PARTS = [a for a in sys.argv[3:] if not a.startswith("-")] or ["push", "https", "files", "isolation", "start", "store"]
COMMITS = 3 if SMOKE else 100
ROUNDS = 1 if SMOKE else 9
FILES, DIRECTORIES = (40, 4) if SMOKE else (1000, 20)
PORTS = range(21000, 31000)

os.environ.update(
    PATH=f"{BUILD}/bin:{os.environ['PATH']}", HOME=WORK, GIT_CONFIG_NOSYSTEM="1", NO_COLOR="1", LC_ALL="C",
    GIT_AUTHOR_NAME="Ana", GIT_AUTHOR_EMAIL="ana@example.com", GIT_COMMITTER_NAME="Ana",
    GIT_COMMITTER_EMAIL="ana@example.com", CFENGINE_TEST_OVERRIDE_WORKDIR=f"{WORK}/cfengine",
    KILTER_SOCKET=f"{WORK}/kilterd.sock")
rng = random.Random(1)
processes = []
groups = []  # of processes whose children do not end with them


class Wrong(Exception):
    """A tool did not do what is measured."""


# --- saying it -------------------------------------------------------------------------------------------------------
def title(text):
    print(f"\n== {text}", flush=True)


def row(label, *cells):
    print(f"{label:<44}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def ms(seconds):
    return f"{seconds * 1000:.1f} ms"


def mib(size):
    return f"{size / (1 << 20):.1f} MiB"


def times(a, b):
    return f"{a / b:.2f}x" if b else "-"


def p95(values):
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


# --- running it ------------------------------------------------------------------------------------------------------
def run(*argv, cwd=None, ok=(0,)):
    done = subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode not in ok:
        raise Wrong(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout.decode(errors='replace')}")
    return done.stdout.decode(errors="replace")


def timed(*argv):
    """Wall time and CPU time of a command and what it waited for."""
    out = open(f"{WORK}/output", "w+b")
    began = time.monotonic()
    process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        out.seek(0)
        raise Wrong(f"{' '.join(argv)}: exit status {process.returncode}\n{out.read().decode(errors='replace')}")
    out.close()
    return wall, usage.ru_utime + usage.ru_stime


def start(name, *argv, **options):
    log = open(f"{WORK}/{name}.log", "ab")
    process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **options)
    processes.append(process)
    return process


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_true(what, condition, seconds=20):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise Wrong(f"never became true: {what}")
        time.sleep(0.01)


# --- repositories and daemons ----------------------------------------------------------------------------------------
class Repository:
    def __init__(self, name):
        self.bare, self.clone = f"{WORK}/srv/{name}.git", f"{WORK}/{name}"
        run("git", "init", "-q", "--bare", "-b", "main", self.bare)
        run("git", "init", "-q", "-b", "main", self.clone)
        run("git", "-C", self.clone, "remote", "add", "origin", self.bare)

    def put(self, path, text):
        place = f"{self.clone}/{path}"
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)

    def commit(self, subject):
        run("git", "-C", self.clone, "add", "-A")
        run("git", "-C", self.clone, "commit", "-q", "-m", subject)

    def push(self):
        run("git", "-C", self.clone, "push", "-q", "origin", "HEAD:main")


class Daemon:
    """A kilterd with one app of one repository, on a host of its own."""

    def __init__(self, name, url, extra=""):
        self.app, self.host = name, f"{WORK}/{name}-host"
        os.mkdir(self.host)
        manifest = f"{WORK}/{name}.yaml"
        with open(manifest, "w", encoding="utf-8") as file:
            file.write(f"""apiVersion: kilter.dev/v1
kind: Manifest
metadata: {{name: bench}}
plugins: [files, file]
sources:
  repo: {{url: "{url}", ref: {{branch: main}}, interval: 1h{extra}}}
targets:
  host: {{plugin: file, options: {{root: {self.host}}}, allow: {{paths: [/]}}}}
policies:
  default: {{prune: true, drift: correct}}
apps:
  {name}: {{source: repo, path: ., renderer: files, target: host}}
""")
        self.process = start(name, "kilterd", "--manifest", manifest, "--state-dir", f"{WORK}/{name}-state",
                             "--socket", os.environ["KILTER_SOCKET"])
        await_true("kilterd listens", lambda: self.process.poll() is not None or
                   os.path.exists(os.environ["KILTER_SOCKET"]))
        if self.process.poll() is not None:
            with open(f"{WORK}/{name}.log", encoding="utf-8") as file:
                raise Wrong(f"kilterd does not start: {file.read()}")

    def sync(self):
        return timed("kilter", "sync", self.app)[0]

    def tree(self):
        """The daemon and its workers."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return [self.process.pid] + [int(pid) for pid in file.read().split()]

    def cpu(self):
        """Seconds of all their threads so far."""
        total = 0
        for pid in self.tree():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total / 1e9

    def end(self):
        end(self.process)


def memory(pid):
    """Resident bytes, and those that count once for all who share them (PSS)."""
    values = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            parts = line.split()
            if parts[0] in ("Rss:", "Pss:"):
                values[parts[0]] = int(parts[1]) * 1024
    return values["Rss:"], values["Pss:"]


# --- from a push to the file -----------------------------------------------------------------------------------------
def measure_pushes(url, extra, repository, name, commits):
    repository.put("etc/motd", "none\n")
    repository.commit("none")
    repository.push()
    daemon = Daemon(name, url, extra)
    daemon.sync()
    status, nothing, walls, placed = [], [], [], []
    for i in range(commits):
        text = f"message {i}\n"
        repository.put("etc/motd", text)
        repository.commit(f"message {i}")
        status.append(timed("kilter", "status", name)[0])
        nothing.append(daemon.sync())
        repository.push()
        pushed_ns = time.time_ns()
        walls.append(daemon.sync())
        with open(f"{daemon.host}/etc/motd", encoding="utf-8") as file:
            if file.read() != text:
                raise Wrong("kilter sync ended, and the file does not have the pushed content")
        placed.append(max(0, os.stat(f"{daemon.host}/etc/motd").st_ctime_ns - pushed_ns) / 1e9)
    row("", "median", "95%")
    row("kilter sync, to its end", ms(statistics.median(walls)), ms(p95(walls)))
    row("  until the file was in place (ctime)", ms(statistics.median(placed)), ms(p95(placed)))
    row("of that: kilter sync with nothing new", ms(statistics.median(nothing)), ms(p95(nothing)))
    row("of that: kilter status (program and API)", ms(statistics.median(status)), ms(p95(status)))
    daemon.end()
    return statistics.median(walls)


def measure_push():
    title(f"from the end of git push to the file, over file://: {COMMITS} commits of one file, kilter sync APP")
    repository = Repository("push")
    measure_pushes(f"file://{repository.bare}", "", repository, "push", COMMITS)


NGINX = """daemon off;
{user}
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {work}/nginx-body;
    fastcgi_temp_path {work}/nginx-fastcgi;
    proxy_temp_path {work}/nginx-proxy;
    uwsgi_temp_path {work}/nginx-uwsgi;
    scgi_temp_path {work}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {work}/server.pem;
        ssl_certificate_key {work}/server.key;
        location / {{
            fastcgi_pass unix:{work}/fcgi.sock;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param PATH_INFO $uri;
            fastcgi_param GIT_PROJECT_ROOT {work}/srv;
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
        }}
    }}
}}
"""


def make_certificate():
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{WORK}/server.key",
        "-out", f"{WORK}/server.pem")


def start_nginx():
    """nginx with TLS before git http-backend; its port."""
    backend = f"{run('git', '--exec-path').strip()}/git-http-backend"
    make_certificate()
    wrapper = start("fcgiwrap", "fcgiwrap", "-c", "2", "-s", f"unix:{WORK}/fcgi.sock", start_new_session=True)
    groups.append(wrapper.pid)
    await_true("fcgiwrap listens", lambda: os.path.exists(f"{WORK}/fcgi.sock"))
    for _ in range(20):
        port = random.SystemRandom().choice(PORTS)
        with open(f"{WORK}/nginx.conf", "w", encoding="utf-8") as file:
            file.write(NGINX.format(work=WORK, port=port, backend=backend,
                                    user="user root;" if os.geteuid() == 0 else ""))
        nginx = start("nginx", "nginx", "-p", WORK, "-c", f"{WORK}/nginx.conf")
        try:
            await_true("nginx listens", lambda: nginx.poll() is not None or os.path.exists(f"{WORK}/nginx.pid"), 5)
            time.sleep(0.2)
        except Wrong:
            end(nginx)
        if nginx.poll() is None:
            return port
    raise Wrong("nginx does not start")


def lacks(*programs):
    return [name for name in programs if not shutil.which(name)]


def measure_https():
    commits = COMMITS if SMOKE else COMMITS // 2
    title(f"the same over https: {commits} commits, nginx with TLS before git http-backend on this machine")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = lacks("nginx", "fcgiwrap", "openssl")
    if missing:
        print(f"skipped: not installed: {', '.join(missing)}")
        return
    port = start_nginx()
    repository = Repository("https")
    measure_pushes(f"https://localhost:{port}/https.git", f", ca: {{file: {WORK}/server.pem}}", repository, "https",
                   commits)


# --- a thousand files ------------------------------------------------------------------------------------------------
class Kilter:
    name = "kilter"

    def __init__(self, repository):
        self.daemon = Daemon("files", f"file://{repository.bare}")
        self.host = self.daemon.host
        self.daemon.sync()

    def go(self):
        before = self.daemon.cpu()
        wall, own = timed("kilter", "sync", "files")
        return wall, own + self.daemon.cpu() - before


class Cfengine:
    name = "cf-agent"
    POLICY = """body common control {{ bundlesequence => {{ "main" }}; }}
body copy_from by_digest(from) {{ source => "$(from)"; compare => "digest"; }}
body depth_search all {{ depth => "inf"; }}
bundle agent main {{
files:
    "{host}/." copy_from => by_digest("{source}"), depth_search => all;
}}
"""

    def __init__(self, source):
        self.host = f"{WORK}/cfengine-host"
        self.policy = f"{WORK}/policy.cf"
        for directory in (self.host, f"{WORK}/cfengine", f"{WORK}/cfengine/inputs", f"{WORK}/cfengine/bin"):
            os.mkdir(directory, 0o700)
        os.symlink(shutil.which("cf-promises"), f"{WORK}/cfengine/bin/cf-promises")
        with open(self.policy, "w", encoding="utf-8") as file:
            file.write(self.POLICY.format(host=self.host, source=source))
        os.chmod(self.policy, 0o600)

    def go(self):
        return timed("cf-agent", "-K", "-f", self.policy)


class Rsync:
    name = "rsync"
    options = ["-a", "--checksum"]

    def __init__(self, source):
        self.source, self.host = source, f"{WORK}/{self.name.replace(' ', '')}-host"
        os.mkdir(self.host)

    def go(self):
        return timed("rsync", *self.options, f"{self.source}/", f"{self.host}/")


class DurableRsync(Rsync):
    """What it writes is on the disk when it ends, as with kilter."""

    name = "rsync --fsync"
    options = ["-a", "--checksum", "--fsync"]


def files_of(root):
    return sorted(os.path.relpath(f"{at}/{name}", root) for at, _, names in os.walk(root) for name in names
                  if ".git/" not in f"{at}/")


def verify(tool, source):
    """What the tool wrote is what it was given, byte by byte."""
    names = files_of(source)
    if files_of(tool.host) != names:
        raise Wrong(f"{tool.name} did not write the {len(names)} files")
    _, differ, errors = filecmp.cmpfiles(source, tool.host, names, shallow=False)
    if differ or errors:
        raise Wrong(f"{tool.name} left different: {differ or errors}")


def empty(tool):
    """Set aside, not deleted: ext4 finds new inodes slowly for some seconds after many were freed."""
    aside = f"{WORK}/aside/{len(os.listdir(f'{WORK}/aside'))}"
    os.mkdir(aside)
    for name in os.listdir(tool.host):
        os.rename(f"{tool.host}/{name}", f"{aside}/{name}")


def drift(tool):
    """One file changes in place, its size and the time of its last change do not."""
    path = f"{tool.host}/{rng.choice(files_of(tool.host))}"
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.write(b"#")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def measure_case(tools, source, label, prepare):
    walls, cpus = {t.name: [] for t in tools}, {t.name: [] for t in tools}
    for _ in range(ROUNDS):
        for tool in tools:
            prepare(tool)
            wall, cpu = tool.go()
            walls[tool.name].append(wall)
            cpus[tool.name].append(cpu)
            verify(tool, source)
    wall = {name: statistics.median(values) for name, values in walls.items()}
    row(label, *(ms(wall[t.name]) for t in tools))
    row("  peer / kilter", "", *(times(wall[t.name], wall["kilter"]) for t in tools[1:]))
    row("  CPU", *(ms(statistics.median(cpus[t.name])) for t in tools))


def measure_files():
    title(f"{FILES} files of about 210 bytes in {DIRECTORIES} directories, {ROUNDS} rounds")
    repository = Repository("files")
    for i in range(FILES):
        repository.put(f"d{i % DIRECTORIES:02}/f{i:04}.conf", f"# file {i}\n" + "setting = value of some length\n" * 6 +
                       f"{rng.getrandbits(64):016x}\n")
    repository.commit("files")
    repository.push()
    source = f"{WORK}/files-source"
    shutil.copytree(repository.clone, source, ignore=shutil.ignore_patterns(".git"))
    kilter, tools = Kilter(repository), []
    tools.append(kilter)
    for programs, tool in ((("cf-agent", "cf-promises"), Cfengine), (("rsync",), Rsync), (("rsync",), DurableRsync)):
        missing = lacks(*programs)
        if missing:
            print(f"skipped: not installed: {', '.join(missing)}")
        else:
            tools.append(tool(source))
    row("", *(t.name for t in tools))
    measure_case(tools, source, "all are missing and are created", empty)
    measure_case(tools, source, "nothing to do", lambda tool: None)
    measure_case(tools, source, "one file was changed by hand", drift)
    pids = kilter.daemon.tree()
    sizes = [memory(pid) for pid in pids]
    row(f"memory of kilterd (RSS) and {len(pids) - 1} workers (PSS)", mib(sizes[0][0]),
        mib(sum(pss for _, pss in sizes[1:])))
    kilter.daemon.end()


# --- programs --------------------------------------------------------------------------------------------------------
def measure_render():
    directory = f"{WORK}/tiny"
    os.mkdir(directory)
    with open(f"{directory}/one.yaml", "w", encoding="utf-8") as file:
        file.write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {a: b}\n")
    commands = {"kilter render DIR": ("kilter", "render", directory, "--renderer=yaml"),
                "kilter version": ("kilter", "version"), "cat FILE": ("cat", f"{directory}/one.yaml")}
    if "ConfigMap" not in run(*commands["kilter render DIR"]):
        raise Wrong("kilter render does not print the resource")
    walls = {label: [] for label in commands}
    for _ in range(5 if SMOKE else 200):
        for label, argv in commands.items():
            walls[label].append(timed(*argv)[0])
    row("", "median", "95%", "to cat")
    for label, values in walls.items():
        row(label, ms(statistics.median(values)), ms(p95(values)),
            times(statistics.median(values), statistics.median(walls["cat FILE"])))


def measure_idle():
    repository = Repository("idle")
    repository.put("etc/motd", "hello\n")
    repository.commit("one")
    repository.push()
    daemon = Daemon("idle", f"file://{repository.bare}")
    daemon.sync()
    time.sleep(0.1 if SMOKE else 2)
    row("", "RSS", "PSS")
    for pid in daemon.tree():
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            argv = file.read().decode().split("\0")
        label = "kilterd, one app" if pid == daemon.process.pid else f"kilter-worker, {argv[argv.index('--role') + 1]}"
        row(label, *(mib(size) for size in memory(pid)))
    before = daemon.cpu()
    time.sleep(0.2 if SMOKE else 10)
    row("CPU of all of them in 10 idle seconds", ms(daemon.cpu() - before))
    daemon.end()


def measure_sizes():
    prefix = f"{WORK}/installed"
    run("cmake", "--install", BUILD, "--prefix", prefix, "--strip")
    total = 0
    for at, _, names in os.walk(prefix):
        for name in sorted(names):
            path = f"{at}/{name}"
            if not os.path.islink(path) and (os.access(path, os.X_OK) or ".so" in name):
                total += os.path.getsize(path)
                row(os.path.relpath(path, prefix), f"{os.path.getsize(path) / 1024:.0f} KiB")
    row("together, stripped", f"{total / 1024:.0f} KiB")


def measure_start():
    title("how quickly programs start")
    measure_render()
    title("an idle daemon")
    measure_idle()
    title("programs and plugins on disk")
    measure_sizes()


# --- programs that measure by themselves -----------------------------------------------------------------------------
def measure_isolation():
    title("a render in a worker, beside the same call in one process")
    program = f"{BUILD}/tests/bench-isolation"
    if not os.path.exists(program):
        print("skipped: bench-isolation is not built")
        return
    print(run(program, "yaml", "5" if SMOKE else "500", cwd=WORK), end="")


def measure_store():
    title("commits of the store")
    program = f"{BUILD}/tests/bench-store"
    if not os.path.exists(program):
        print("skipped: bench-store is not built; it is the target of that name")
    elif SMOKE:
        print("skipped: it has no small size")
    else:
        print(run(program, WORK), end="")


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    with open("/proc/mounts", encoding="utf-8") as file:
        mounts = [line.split()[1:3] for line in file]
    here = max((m for m in mounts if os.path.commonpath([WORK, m[0]]) == m[0]), key=lambda m: len(m[0]))
    load = os.getloadavg()[0]
    print(f"{time.strftime('%Y-%m-%d')}: {os.cpu_count()} x {model}, Linux {platform.release()}, {here[1]}, "
          f"load {load:.1f} when it began; {run('kilter', '--version').strip()}")


def main():
    measures = {"push": measure_push, "https": measure_https, "files": measure_files,
                "isolation": measure_isolation, "start": measure_start, "store": measure_store}
    unknown = [part for part in PARTS if part not in measures]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; there are {', '.join(measures)}", file=sys.stderr)
        return 2
    machine()
    os.makedirs(f"{WORK}/srv")
    os.mkdir(f"{WORK}/aside")
    try:
        for part in PARTS:
            measures[part]()
    except Wrong as wrong:
        print(f"wrong: {wrong}")
        return 1
    finally:
        for group in groups:
            os.killpg(group, signal.SIGTERM)
        for process in processes:
            end(process)
    return 0


signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
sys.exit(main())
