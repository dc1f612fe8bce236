"""What the comparison runs: each contender built once under target/compare, and how it is started."""
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent / "peers"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
BUILT = TARGET / "compare"


@dataclass
class Contender:
    """A program to measure: its command, and what its environment has beside the addresses."""

    name: str
    command: list
    environment: dict = field(default_factory=dict)
    directory: Path = ROOT
    ends_itself: bool = False  # the others run until they are stopped
    is_ours: bool = False


def cargo(*arguments):
    """Runs cargo and gives back the executables that it names."""
    out = subprocess.run(["cargo", *arguments, "--locked", "--message-format=json-render-diagnostics"], cwd=ROOT,
                         check=True, stdout=subprocess.PIPE).stdout
    lines = [json.loads(line) for line in out.splitlines()]
    return {line["target"]["name"]: line["executable"] for line in lines if line.get("executable")}


def own(records):
    """The floor, the worker, and the worker's executable, which is the simulator and the generator too."""
    made = cargo("build", "--release", "--features", "floor", "--bins")
    worker, floor = made["oms-sync-worker"], made["floor"]
    return worker, [
        Contender("floor", [floor, "all"], {"FLOOR_RECORDS": str(records)}, ends_itself=True, is_ours=True),
        Contender("worker", [worker, "run"], {"OMS_SYNC__ADMIN__LISTEN": "127.0.0.1:0"}, is_ours=True),
    ]


def run(*command, directory):
    subprocess.run(command, cwd=directory, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL)


def copy(name):
    """The peer's sources where it is built, so that nothing is made in the tree."""
    shutil.copytree(PEERS / name, BUILT / name, dirs_exist_ok=True)
    return BUILT / name


def python():
    directory = copy("python")
    run(sys.executable, "-m", "venv", "venv", directory=directory)
    run("venv/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", "requirements.txt", directory=directory)
    return Contender("python", [directory / "venv/bin/python", "worker.py"], directory=directory)


def node():
    directory = copy("node")
    run("npm", "install", "--no-audit", "--no-fund", "--silent", directory=directory)
    command = ["node", "--import", "./polyfill.mjs", "worker.mjs"]
    return Contender("node", command, {"NODE_ENV": "production"}, directory)


def parallel_consumer():
    directory = copy("parallel-consumer")
    run("mvn", "-q", "-B", "package", "dependency:copy-dependencies", "-DincludeScope=runtime",
        "-DoutputDirectory=target/lib", directory=directory)
    command = ["java", "-Xmx512m", "-cp", "target/classes:target/lib/*", "Worker"]
    return Contender("parallel-consumer", command, {"PEER_BATCH": "500"}, directory)


def bento():
    directory = copy("bento")
    if not (directory / "bento").exists():
        run("go", "build", "-o", "bento", ".", directory=directory)
    return Contender("bento", [directory / "bento", "-c", "worker.yaml"], directory=directory)


PEER_KINDS = {
    "python": (python, ["python3"]),
    "node": (node, ["node", "npm"]),
    "parallel-consumer": (parallel_consumer, ["java", "mvn"]),
    "bento": (bento, ["go"]),
}


def peers(names):
    """Those of the named peers that can be built here; says of each other one why it cannot."""
    BUILT.mkdir(parents=True, exist_ok=True)
    made, left_out = [], {}
    for name in names:
        make, needs = PEER_KINDS[name]
        missing = [need for need in needs if not shutil.which(need)]
        try:
            if missing:
                raise RuntimeError(f"{', '.join(missing)} not installed")
            made.append(make())
        except (RuntimeError, subprocess.CalledProcessError) as why:
            left_out[name] = str(why)
            print(f"without {name}: {why}", file=sys.stderr)
    return made, left_out
