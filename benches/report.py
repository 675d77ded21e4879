"""Prints a `pytest benches --benchmark-json FILE` as a Markdown table: medians, and what was measured beside them."""

import json
import sys
from pathlib import Path
from typing import Any


def main(path: Path) -> None:
    run: dict[str, Any] = json.loads(path.read_text())
    cpu = run["machine_info"].get("cpu", {}).get("brand_raw", "unknown processor")
    machine = run["machine_info"]
    system = f"{machine['system']} {machine['release']}, Python {machine['python_version']}"
    print(f"{cpu}, {system}, {run['datetime'][:10]}\n")
    print("| benchmark | median | rounds | beside it |\n|---|---:|---:|---|")
    for bench in run["benchmarks"]:
        name, stats = bench["name"].removeprefix("test_"), bench["stats"]
        beside = "; ".join(f"{what}: {value}" for what, value in bench["extra_info"].items())
        print(f"| {name} | {stats['median'] * 1e6:,.1f} µs | {stats['rounds']:,} | {beside} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
