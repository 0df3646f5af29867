#!/usr/bin/env python3
"""Writes the dashboards: a JSON file for each module of source/ that describes one. Standard library only.

    dashboards/grafana/generate.py            writes them
    dashboards/grafana/generate.py --check    exit status 1 when one is not what source/ says
"""

import importlib
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True    # nothing is left behind in the tree
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "source"))

BOARDS = ["daily", "service", "lanes", "forecast", "cost", "radar", "gateway"]


def rendered():
    """Returns what the file of each dashboard should hold, by path."""
    made = ((name, importlib.import_module(name).board().json()) for name in BOARDS)
    return {HERE / f"{name}.json": json.dumps(board, indent=1, ensure_ascii=False) + "\n" for name, board in made}


def stale():
    """Returns the files that are missing, not as source/ says, or of no board."""
    wanted = rendered()
    found = {path: path.read_text() for path in HERE.glob("*.json")}
    return sorted(path.name for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))


def main():
    if sys.argv[1:] == ["--check"]:
        for name in stale():
            print(f"{name} is not what dashboards/grafana/source says; run dashboards/grafana/generate.py")
        return 1 if stale() else 0
    for path, text in rendered().items():
        path.write_text(text)
    for path in HERE.glob("*.json"):
        if path not in rendered():
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
