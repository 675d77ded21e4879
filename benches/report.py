"""Prints the Markdown table of a `pytest benches --benchmark-json FILE`: median, rate and what was measured beside it."""

import json
import sys
from pathlib import Path
from typing import Any


def main(path: Path) -> None:
    run: dict[str, Any] = json.loads(path.read_text())
    cpu = run["machine_info"].get("cpu", {}).get("brand_raw", "unknown processor")
    python = run["machine_info"]["python_version"]
    print(
        f"{cpu}, {run['machine_info']['system']} {run['machine_info']['release']}, Python {python}, {run['datetime'][:10]}\n"
    )
    print("| benchmark | median | rounds | beside it |\n|---|---:|---:|---|")
    for bench in run["benchmarks"]:
        stats = bench["stats"]
        beside = "; ".join(f"{name}: {value}" for name, value in bench["extra_info"].items())
        print(
            f"| {bench['name'].removeprefix('test_')} | {stats['median'] * 1e6:,.1f} µs | {stats['rounds']:,} | {beside} |"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
