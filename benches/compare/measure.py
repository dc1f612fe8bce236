"""One contender over one topic: a fresh simulator, the contender, and what the kernel and the simulator tell of them."""
import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass

TASKS = 8
PROJECT = "p"
KEYS = {"HUAWEICLOUD_SDK_AK": "AK", "HUAWEICLOUD_SDK_SK": "SK"}
ROUTES = [{"task": f"task-{n}", "bucket": f"bucket-{n}"} for n in range(TASKS)]
TICK = os.sysconf("SC_CLK_TCK")
# Of the keys, what "steady" leaves out.
WARM_UP = 0.3
SAMPLE_SECONDS = 0.05
# Without an accepted key for so long a contender has failed.
PATIENCE_SECONDS = 120
# One entry of the simulator's ledger.
ENTRY = re.compile(rb'"count":(\d+),"last_arrival":"[^"]*","last_arrival_ms":(\d+)')


@dataclass
class Result:
    """What one run cost and gave."""

    cpu: float  # us a key, from exec to exit
    steady: float  # the same after the first 30 % of the keys
    keys: float  # a second, from the first accepted key to the last
    requests: float  # a second
    keys_per_event: float
    peak_mib: float
    repeated: int  # keys that were accepted more than once


class Simulator:
    """An OMS as a process of its own, with every key of this run in its ledger."""

    def __init__(self, worker, latency):
        tasks = [part for route in ROUTES for part in ("--task", f"{route['task']}:{route['bucket']}")]
        self.process = subprocess.Popen(
            [worker, "simulate", "--listen", "127.0.0.1:0", "--project", PROJECT, "--access-key", "AK",
             "--secret-key", "SK", "--latency", latency, *tasks], stdout=subprocess.PIPE, text=True)
        self.endpoint = self.process.stdout.readline().split()[-1]

    def get(self, what):
        with urllib.request.urlopen(f"{self.endpoint}/_simulator/{what}", timeout=60) as answer:
            return answer.read()

    def totals(self):
        return json.loads(self.get("totals"))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Tls:
    """stunnel before a simulator: neither contender pays for the other end of its TLS."""

    def __init__(self, simulator):
        self.folder = tempfile.TemporaryDirectory()
        self.certificate = f"{self.folder.name}/certificate.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
             "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE",
             "-keyout", f"{self.folder.name}/key.pem", "-out", self.certificate], check=True, capture_output=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        behind = simulator.endpoint.partition("://")[2]
        with open(f"{self.folder.name}/stunnel.conf", "w") as conf:
            conf.write(f"foreground = yes\npid =\n[oms]\naccept = {address}\nconnect = {behind}\n"
                       f"cert = {self.certificate}\nkey = {self.folder.name}/key.pem\n")
        self.process = subprocess.Popen(["stunnel", conf.name], stderr=subprocess.DEVNULL)
        self.endpoint = f"https://{address}"
        while True:
            try:
                socket.create_connection((address.split(":")[0], int(address.split(":")[1]))).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    sys.exit(f"stunnel ended with {self.process.returncode}")
                time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def tree(pid):
    """A process and all that it has started."""
    found = [pid]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as children:
                found += [one for child in children.read().split() for one in tree(int(child))]
    except OSError:  # it has ended
        pass
    return found


def used(pid):
    """CPU seconds and peak MiB of a process and its descendants, while it is there."""
    ticks = peak = 0
    for one in tree(pid):
        try:
            with open(f"/proc/{one}/stat") as stat:
                ticks += sum(map(int, stat.read().rpartition(")")[2].split()[11:13]))
            with open(f"/proc/{one}/status") as status:
                peak += next((int(line.split()[1]) for line in status if line.startswith("VmHWM")), 0)
        except OSError:
            pass
    return ticks / TICK, peak / 1024


def environment(contender, brokers, topic, group, endpoint, setting):
    """What every contender is told, and what the setting asks of this one."""
    routes = json.dumps(ROUTES)
    told = {
        "OMS_SYNC__KAFKA__BROKERS": brokers, "OMS_SYNC__KAFKA__TOPICS": topic, "OMS_SYNC__KAFKA__GROUP_ID": group,
        "OMS_SYNC__OMS__ENDPOINT": endpoint, "OMS_SYNC__OMS__PROJECT_ID": PROJECT, "OMS_SYNC__ROUTES": routes,
        "PEER_IN_FLIGHT": str(setting.in_flight), "PEER_HOST": endpoint.partition("://")[2],
        "PEER_ROUTE_MAP": json.dumps({route["bucket"]: route["task"] for route in ROUTES}),
    }
    if contender.name == "worker":
        told |= setting.worker
    return os.environ | KEYS | told | contender.environment


def measure(contender, worker, brokers, topic, records, setting, log):
    """Runs a contender until every key is accepted, then ends it and looks at the ledger."""
    with contextlib.ExitStack() as running:
        simulator = Simulator(worker, setting.latency)
        running.callback(simulator.stop)
        tls = Tls(simulator) if setting.tls else None
        if tls:
            running.callback(tls.stop)
        return run(contender, brokers, topic, records, setting, log, simulator, tls)


def run(contender, brokers, topic, records, setting, log, simulator, tls):
    """The contender's part of it."""
    group = f"{topic}-{contender.name}-{time.time_ns()}"
    told = environment(contender, brokers, topic, group, (tls or simulator).endpoint, setting)
    if tls:
        told["OMS_SYNC__OMS__CA_FILE"] = tls.certificate
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen([str(part) for part in contender.command], cwd=contender.directory, env=told,
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        samples, peak = watch(process, simulator, records)
        if not contender.ends_itself and process.poll() is None:
            process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        totals, entries = simulator.totals(), ENTRY.findall(simulator.get("ledger"))
    finally:
        process.kill()
        process.wait()
    if contender.is_ours and code != 0:
        sys.exit(f"{contender.name} ended with {code}: see {log.name}")
    if len(entries) != records:
        sys.exit(f"{contender.name}: {len(entries)} different keys were accepted of {records}")
    arrivals = [int(entry[1]) for entry in entries]
    took = max((max(arrivals) - min(arrivals)) / 1000, 0.001)
    return Result(
        cpu=cpu / records * 1e6, steady=steady(samples, records), keys=records / took,
        requests=totals["accepted_events"] / took, keys_per_event=totals["accepted_keys"] / totals["accepted_events"],
        peak_mib=peak, repeated=totals["accepted_keys"] - records)


def watch(process, simulator, records):
    """Samples of (accepted keys, CPU seconds) until all keys are accepted; and the peak of memory."""
    samples, peak, progress = [(0, 0.0)], 0.0, time.monotonic()
    while samples[-1][0] < records:
        accepted = simulator.totals()["accepted_keys"]
        cpu, highest = used(process.pid)
        ended = process.poll() is not None
        if ended and accepted < records and simulator.totals()["accepted_keys"] < records:
            sys.exit(f"a contender ended by itself with {accepted} of {records} keys accepted")
        if accepted > samples[-1][0]:
            progress = time.monotonic()
            if not ended:
                samples.append((accepted, cpu))
        if ended and accepted >= records:
            break
        if time.monotonic() - progress > PATIENCE_SECONDS:
            sys.exit(f"no key was accepted for {PATIENCE_SECONDS} s: {accepted} of {records}")
        peak = max(peak, highest)
        time.sleep(SAMPLE_SECONDS)
    return samples, peak


def steady(samples, records):
    """CPU us a key after warming up; not a number where a run was over too soon."""
    warm = next((sample for sample in samples if sample[0] >= WARM_UP * records), samples[-1])
    keys = samples[-1][0] - warm[0]
    return (samples[-1][1] - warm[1]) / keys * 1e6 if keys > 0 else float("nan")
