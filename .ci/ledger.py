#!/usr/bin/env python3
"""Is every record of a topic accounted for?     ledger.py LEDGER RECORDS

RECORDS is what kafka-console-consumer.sh prints with print.timestamp=true of S3 notifications; LEDGER what the simulator
answers to /_simulator/ledger. Each key must have been accepted for its bucket's task by a request that arrived after the
latest record about it was written, and nothing else may have been accepted. Reads keys by itself, not as the worker does.
"""

import json
import sys
from urllib.parse import unquote_plus


def latest_records(lines):
    """(task, key) -> milliseconds of the latest record about it."""
    latest = {}
    for line in lines:
        stamp, value = line.split("\t", 1)
        written = int(stamp.removeprefix("CreateTime:"))
        for record in json.loads(value)["Records"]:
            bucket, key = record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
            place = (bucket.replace("bucket-", "task-"), key)
            latest[place] = max(written, latest.get(place, 0))
    return latest


def accepted_keys(ledger):
    """(task, key) -> milliseconds of the latest request that it was accepted in."""
    return {(task, key["key"]): key["last_arrival_ms"] for task, of in ledger["tasks"].items() for key in of["keys"]}


def main(ledger_file, records_file):
    with open(records_file, encoding="utf-8") as lines:
        written = latest_records(lines)
    with open(ledger_file, encoding="utf-8") as text:
        ledger = json.load(text)
    accepted = accepted_keys(ledger)
    missing = [place for place, stamp in written.items() if accepted.get(place, -1) < stamp]
    foreign = [place for place in accepted if place not in written]
    repeated = ledger["totals"]["accepted_keys"] - len(accepted)
    print(f"{len(written)} keys written, {len(accepted)} accepted, {repeated} times one of them again")
    for what, places in (("not accepted since", missing), ("accepted, never written", foreign)):
        if places:
            print(f"{len(places)} keys {what}, such as {places[:3]}")
    return 1 if missing or foreign or not written else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
