"""Reads dashboards by Grafana's published schema, and writes what that does not know of them, a line each."""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog import encoder, plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

# What an annotation says to Prometheus is the data source's own business, and not in the schema.
OF_PROMETHEUS = {"titleFormat", "step"}


def lost(given, known, place):
    if isinstance(given, dict) and isinstance(known, dict):
        for key, value in given.items():
            if key in known:
                yield from lost(value, known[key], f"{place}.{key}")
            elif value is not None and key not in OF_PROMETHEUS:
                yield f"{place}.{key}"
    elif isinstance(given, list) and isinstance(known, list) and len(given) == len(known):
        for number, (one, other) in enumerate(zip(given, known)):
            yield from lost(one, other, f"{place}[{number}]")
    elif given != known:
        yield f"{place}: {given!r} is read as {known!r}"


plugins.register_default_plugins()
read = 0
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
    given = json.loads(path.read_text())
    known = json.loads(json.dumps(Dashboard.from_json(given), cls=encoder.JSONEncoder))
    for place in lost(given, known, path.stem):
        print(place)
    read += 1
print(f"{read} dashboards", file=sys.stderr)
