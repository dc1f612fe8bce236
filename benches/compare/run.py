#!/usr/bin/env python3
"""The worker beside the floor and its peers, in one run: one topic, one broker, each contender in turn, round by round.

  benches/compare/run.py --quick                     does it work? A few records, one round, the Python peer
  benches/compare/run.py                             500,000 records, three rounds, every peer whose runtime is here
  benches/compare/run.py --write                     the same, into docs/performance.md and docs/performance.svg

Needs a Rust toolchain and Docker with the image apache/kafka:4.3.1 (`.ci/docker kafka` makes it), or --brokers with an
empty topic of twelve partitions in --topic. Peers are built under target/compare, from their registries.
"""
import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import measure
import prepare
import report

PARTITIONS = 12
BEGIN, END = "<!-- compare:begin -->", "<!-- compare:end -->"


@dataclass
class Setting:
    """How OMS answers, and how many requests may be out."""

    latency: str
    in_flight: int
    worker: dict = field(default_factory=dict)
    tls: bool = False  # with that only the floor and the worker take part

    @property
    def title(self):
        return f"{self.latency} OMS latency, {self.in_flight} in flight{', TLS' if self.tls else ''}"


SETTINGS = {
    "0ms": Setting("0ms", 64),
    "20ms": Setting("20ms", 256, {"OMS_SYNC__OMS__MAX_IN_FLIGHT": "256", "OMS_SYNC__OMS__MAX_IN_FLIGHT_PER_TASK": "256"}),
    "tls": Setting("0ms", 64, tls=True),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", default="0ms,20ms", help="which of " + ", ".join(SETTINGS) + "; tls needs openssl and stunnel")
    parser.add_argument("--peers", default=",".join(prepare.PEER_KINDS), help="which of %(default)s, or nothing")
    parser.add_argument("--brokers", help="host:port of a Kafka that runs already, with the topic in it")
    parser.add_argument("--topic", default=f"compare-{os.getpid()}")
    parser.add_argument("--quick", action="store_true", help="20,000 records, one round, the Python peer only")
    parser.add_argument("--write", action="store_true", help="into docs, instead of standard output")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.records, chosen.rounds, chosen.peers = 20_000, 1, "python"
    return chosen


def text_of(*command):
    return subprocess.run(command, cwd=prepare.ROOT, capture_output=True, text=True, check=True).stdout.strip()


class Broker:
    """An Apache Kafka in a container of this run."""

    IMAGE = "apache/kafka:4.3.1"
    ADDRESS = "localhost:9092"

    def __init__(self, topic):
        self.container = text_of("docker", "run", "-d", "--rm", "--pull", "never", "-p", "127.0.0.1:9092:9092", self.IMAGE)
        tool = ["docker", "exec", self.container, "/opt/kafka/bin/kafka-topics.sh", "--bootstrap-server", self.ADDRESS]
        for _ in range(120):
            if subprocess.run([*tool, "--list"], capture_output=True).returncode == 0:
                break
            time.sleep(1)
        for name, partitions in ((topic, PARTITIONS), (f"{topic}.dlq", 1)):
            text_of(*tool, "--create", "--topic", name, "--partitions", str(partitions))

    def stop(self):
        subprocess.run(["docker", "rm", "-f", self.container], capture_output=True)


def busy():
    """The share of the machine that is used by others: two seconds with nothing of ours at work."""
    def read():
        with open("/proc/stat") as stat:
            values = list(map(int, stat.readline().split()[1:9]))
        return sum(values), values[3] + values[4]
    first = read()
    time.sleep(2)
    last = read()
    return 1 - (last[1] - first[1]) / max(last[0] - first[0], 1)


def rounds(chosen, contenders, worker, brokers, log):
    """Every contender in turn, each round beginning with another one. Results and how busy others kept the machine."""
    names = chosen.settings.split(",")
    takes_part = {name: [it for it in contenders if it.is_ours or not SETTINGS[name].tls] for name in names}
    results = {name: {contender.name: [] for contender in takes_part[name]} for name in names}
    shares = []
    for number in range(chosen.rounds):
        for name in names:
            turn = number % len(takes_part[name])
            shares.append(busy())
            for contender in takes_part[name][turn:] + takes_part[name][:turn]:
                result = measure.measure(contender, worker, brokers, chosen.topic, chosen.records, SETTINGS[name], log)
                results[name][contender.name].append(result)
                print(f"round {number + 1}, {name}, {contender.name}: {result}", file=sys.stderr)
    return {SETTINGS[name].title: found for name, found in results.items()}, shares


def machine():
    with open("/proc/cpuinfo") as cpus:
        model = next((line.partition(":")[2].strip() for line in cpus if line.startswith("model name")), platform.machine())
    with open("/proc/meminfo") as memory:
        gib = int(memory.readline().split()[1]) / 1024 / 1024
    return f"{os.cpu_count()} x {model}, {gib:.0f} GiB, Linux {platform.release()}"


def page(chosen, results, shares, left_out):
    revision = text_of("git", "describe", "--always", "--dirty")
    command = " ".join(["benches/compare/run.py", *(argument for argument in sys.argv[1:] if argument != "--write")])
    kafka = f"The Kafka at {chosen.brokers}" if chosen.brokers else f"A Kafka ({Broker.IMAGE})"
    lines = [
        f"`{command}`, revision {revision}, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; {machine()}. {kafka} "
        f"and the simulator were on the same machine. {chosen.records:,} S3 notifications in {PARTITIONS} partitions, "
        f"{measure.TASKS} tasks; rounds: {chosen.rounds}. Before each round others used {100 * min(shares):.0f} to "
        f"{100 * max(shares):.0f} % of the machine (load average {os.getloadavg()[1]:.0f}). Every run's ledger had every key.",
    ]
    lines += [f"Without {name}: {why}." for name, why in left_out.items()]
    for title, by_contender in results.items():
        lines += ["", f"### {title}", "", report.table(by_contender)]
    return "\n".join(lines)


def write(text, drawing):
    """Between the marks of docs/performance.md, and the chart beside it."""
    docs = prepare.ROOT / "docs"
    old = (docs / "performance.md").read_text()
    head, rest = old.split(BEGIN)
    (docs / "performance.md").write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    (docs / "performance.svg").write_text(drawing)


def main():
    chosen = arguments()
    worker, contenders = prepare.own(chosen.records)
    peers, left_out = prepare.peers([name for name in chosen.peers.split(",") if name])
    contenders += peers
    broker = None if chosen.brokers else Broker(chosen.topic)
    try:
        brokers = chosen.brokers or Broker.ADDRESS
        text_of(worker, "generate", "--brokers", brokers, "--topic", chosen.topic, "--format", "aws-s3", "--records",
                str(chosen.records), "--buckets", str(measure.TASKS), "--seed", "1")
        with open(Path(tempfile.gettempdir()) / f"{chosen.topic}.log", "wb") as log:
            results, shares = rounds(chosen, contenders, worker, brokers, log)
    finally:
        if broker:
            broker.stop()
    text = page(chosen, results, shares, left_out)
    if chosen.write:
        write(text, report.chart(results))
    else:
        print(text)


if __name__ == "__main__":
    main()
