#!/usr/bin/env python3
"""Follows tutorials: writes their files, runs their commands, and compares what these print.

Usage: tutorial.py PAGE...
       tutorial.py --in-repository PAGE#SECTION...

A file is a block of code below a line with its name in bold code: **`src/main.rs`**. A command is a line of a `console`
block that begins with `$ `, and goes on in lines that begin with `> `. What follows has to be printed. `...` stands for
any text, also for lines. A command that ends in ` &` is a server, which ends with the tutorial.

The project is outside of the workspace, as that of a reader is. `dpop-tower` is the one of this repository, and the other
crates have the versions of its lock file.

With --in-repository, the commands of one section run among the files of this repository. Those of cargo are left out,
since `tests/run.sh` runs them with the features of all tests.
"""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "target"


def parse(page):
    """Yields ("file", name, text) and ("command", command, expected lines) in the order of the page."""
    name = None
    for block in re.finditer(r"^\*\*`([^`]+)`\*\*$|^```(\w+)[^\n]*\n(.*?)^```$", page, re.M | re.S):
        if block[1]:
            name = block[1]
        elif name:
            yield "file", name, block[3]
            name = None
        elif block[2] == "console":
            yield from commands(block[3])


def commands(block):
    command, expected = None, []
    for line in block.splitlines():
        if line.startswith("$ "):
            if command:
                yield "command", command, expected
            command, expected = line[2:], []
        elif line.startswith(">") and not expected:
            command += "\n" + line[1:].removeprefix(" ")
        else:
            expected.append(line)
    yield "command", command, expected


def is_as_shown(printed, expected):
    pattern = ".*?".join(re.escape(part) for part in "\n".join(expected).strip().split("..."))
    lines = (line.rstrip() for line in printed.splitlines())
    return re.fullmatch(pattern, "\n".join(lines).strip(), re.S)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(folder):
    variables = dict(os.environ)
    programs = [str(TARGET / "debug"), str(Path.home() / ".cargo/bin"), variables["PATH"]]
    variables.update(
        PATH=":".join(programs),
        CARGO_TARGET_DIR=str(TARGET / "tutorials"),
        # Nobody debugs these programs.
        CARGO_PROFILE_DEV_DEBUG="0",
        CARGO_INCREMENTAL="0",
        CARGO_TERM_COLOR="never",
        NO_COLOR="1",
    )
    # Where the headers of OpenSSL are not installed, the workspace has built them.
    if subprocess.run(["pkg-config", "--exists", "openssl"], capture_output=True).returncode != 0:
        built = sorted(TARGET.glob("debug/build/openssl-sys-*/out/openssl-build/install"), key=os.path.getmtime)
        variables.update(OPENSSL_DIR=str(built[-1]), OPENSSL_STATIC="1")
    # Cargo reads the configuration of all folders above a project.
    (folder / ".cargo").mkdir()
    patch = f'[patch.crates-io]\ndpop-tower = {{ path = "{REPOSITORY / "dpop-tower"}" }}\n'
    (folder / ".cargo" / "config.toml").write_text(patch)
    return variables


class Tutorial:
    def __init__(self, text, folder):
        self.text, self.folder, self.root = text, folder, folder
        self.variables, self.setup, self.servers = environment(folder), "", []

    def follow_in_repository(self):
        for name in ("examples", "target"):
            (self.folder / name).symlink_to(REPOSITORY / name)
        steps = [(command, what) for kind, command, what in parse(self.text) if not command.startswith("cargo ")]
        assert len(steps) > 5, f"the section was not read: {steps}"
        for command, what in steps:
            self.run(command, what)

    def follow(self):
        text = self.text
        # The tests may run where the ports of the page are taken.
        for port in sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text))):
            if listens(int(port)):
                text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
        # `dpop idp` listens on its usual port unless it is told another one.
        idp = re.search(r'discover\("http://127\.0\.0\.1:(\d+)', text)[1]
        text = text.replace("dpop idp", f"dpop idp --listen 127.0.0.1:{idp}") if idp != "9000" else text
        steps = list(parse(text))
        assert len(steps) > 10, f"the page was not read: {steps}"
        for kind, name, what in steps:
            if kind == "file":
                self.write(name, what)
            else:
                self.run(name, what)

    def write(self, name, text):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if name == "Cargo.toml":
            shutil.copy(REPOSITORY / "Cargo.lock", self.folder)

    def run(self, command, expected):
        started = time.monotonic()
        if command.startswith("cd "):
            self.folder /= shlex.split(command)[1]
        elif command.startswith(("export ", "umask ")):
            self.setup += command + "\n"
        elif command.endswith(" &"):
            self.serve(command.removesuffix(" &"))
        else:
            done = subprocess.run(["bash", "-c", self.setup + command], cwd=self.folder, env=self.variables,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            shown = "\n".join(expected)
            assert is_as_shown(done.stdout, expected), f"{command}\nprints\n{done.stdout}\nand not\n{shown}"
            assert not re.search("^warning", done.stdout, re.M), f"{command}\nprints\n{done.stdout}"
        print(f"  {time.monotonic() - started:5.1f} s  {command.splitlines()[0]}", flush=True)

    def serve(self, command):
        # It is built before, so that the wait below is short.
        if command.startswith("cargo run"):
            self.run(command.replace("cargo run", "cargo build", 1), ["..."])
        with open(self.root / f"server-{len(self.servers)}.log", "w") as log:
            server = subprocess.Popen(["bash", "-c", f"{self.setup}exec {command}"], cwd=self.folder, env=self.variables,
                                      stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.servers.append(server)
        deadline = time.monotonic() + 30
        while not any(listens(port) for port in ports_of(server)):
            log = Path(log.name)
            assert server.poll() is None, f"{command} has ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not listen:\n{log.read_text()}"
            time.sleep(0.05)

    def end(self):
        for server in self.servers:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def ports_of(server):
    """Returns the ports of 127.0.0.1 on which a process of this session listens."""
    sockets = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(process.name)) != server.pid:
                continue
            sockets |= {os.readlink(link) for link in (process / "fd").iterdir()}
        except OSError:
            continue
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            yield int(fields[1].split(":")[1], 16)


def section(page, name):
    """Returns the text of the section of level 2 whose heading gives this name to links."""
    for text in re.split("^## ", page, flags=re.M):
        if text.splitlines()[0].lower().replace(" ", "-") == name:
            return text
    sys.exit(f"there is no section {name}")


def main(arguments):
    in_repository = arguments[0] == "--in-repository"
    for page in arguments[1:] if in_repository else arguments:
        print(page, flush=True)
        file, _, name = page.partition("#")
        text = Path(file).read_text()
        with tempfile.TemporaryDirectory() as folder:
            tutorial = Tutorial(section(text, name) if name else text, Path(folder))
            try:
                tutorial.follow_in_repository() if in_repository else tutorial.follow()
            except AssertionError as error:
                sys.exit(f"{page}: {error}")
            finally:
                tutorial.end()


if __name__ == "__main__":
    main(sys.argv[1:])
