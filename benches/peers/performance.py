"""Write docs/performance.md and its plot from what pytest-benchmark measured.

python benches/peers/performance.py target/bench.json target/bench-avx2.json docs
"""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import click
import matplotlib as mpl

TITLES = {
    "bench_topk": "Exact top-k, k = 20",
    "bench_metrics": "Metrics of ranked lists",
    "bench_pooling": "Session vectors",
    "bench_fusion": "Fusing lists",
    "bench_knn": "Session-kNN",
}
INTERESTING = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
PEERS = ("numpy", "torch", "faiss-cpu", "implicit", "usearch", "hnswlib", "ranx", "scipy")


def milliseconds(seconds: float) -> str:
    value = seconds * 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def rows(results: list[dict]) -> list[str]:
    lines = [
        "| case | llmseq, ms | fastest exact peer | times faster [rounds] | others, ms | notes |",
        "|---|--:|---|--:|---|---|",
    ]
    for result in results:
        info = result["extra_info"]
        seconds = info["seconds"]
        others = ", ".join(
            f"{name} {milliseconds(value)}"
            for name, value in sorted(seconds.items(), key=lambda pair: pair[1])
            if name not in {"llmseq", info["fastest"]}
        )
        case = result["name"].removeprefix("bench_").replace("_", " ")
        notes = "; ".join(f"{name}: {value}" for name, value in info["notes"].items())
        lines.append(
            f"| {case} | {milliseconds(seconds['llmseq'])} "
            f"| {info['fastest']} {milliseconds(seconds[info['fastest']])} "
            f"| **{info['ratio']:.1f}** [{info['ratio_low']:.1f}, {info['ratio_high']:.1f}] "
            f"| {others} | {notes} |"
        )
    return lines


def plot(results: list[dict], path: Path) -> None:
    mpl.use("svg")
    import matplotlib.pyplot as plt

    lines: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for result in results:
        notes = result["extra_info"]["notes"]
        for name, seconds in result["extra_info"]["seconds"].items():
            lines[name, notes["threads"]].append((int(notes["size"]), seconds * 1e3))
    figure, axis = plt.subplots(figsize=(7, 4))
    colours = {"llmseq": "#b3361b", "torch": "#4c6a92", "faiss flat": "#5f8a4c"}
    for (name, threads), points in sorted(lines.items()):
        axis.loglog(
            *zip(*sorted(points), strict=True),
            "-o" if threads == "2" else "--o",
            color=colours[name],
            markersize=3,
            label=f"{name}, {threads} thread{'s' if threads != '1' else ''}",
        )
    axis.set_xlabel("items")
    axis.set_ylabel("milliseconds for 64 queries, 384 dimensions")
    axis.legend(frameon=False)
    figure.tight_layout()
    mpl.rcParams["svg.hashsalt"] = "llmseq"
    figure.savefig(path, metadata={"Date": None})


def machine(found: dict) -> str:
    cpu = found["machine_info"]["cpu"]
    flags = [flag for flag in INTERESTING if flag in cpu["flags"]]
    versions = [f"{name} {version(name)}" for name in PEERS]
    return (
        f"Machine: {cpu.get('brand_raw', platform.processor())}, {cpu.get('count')} threads, "
        f"{', '.join(flags)}; {found['datetime'][:10]}. "
        f"Python {platform.python_version()}, {', '.join(versions)}."
    )


@click.command()
@click.argument("measured", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.argument("docs", type=click.Path(exists=True, path_type=Path))
def main(measured: tuple[Path, ...], docs: Path) -> None:
    runs = [json.loads(path.read_text()) for path in measured]
    found = runs[0]
    by_file: dict[str, list[dict]] = defaultdict(list)
    for result in (result for run in runs for result in run["benchmarks"]):
        by_file[Path(result["fullname"].split("::")[0]).stem].append(result)
    lines = [
        "# Speed beside what you would use instead",
        "",
        "Written by `make bench`: all contestants get the same arrays in one process and take",
        "turns in interleaved rounds, each after a rest until no thread of the process computes",
        "any more; the ratio is the median over the rounds of the fastest exact peer's time to",
        "ours, with the lowest and the highest round. Times of single small calls are those of a",
        'processor that just rested; "in a stream" says that each was called ten times before.',
        "Written the same way at earlier commits, for a Xeon without AMX:",
        "[performance-xeon.md](performance-xeon.md), and for one with AMX:",
        "[performance-amx.md](performance-amx.md).",
        "",
        machine(found),
    ]
    for file, title in TITLES.items():
        if by_file[file]:
            lines += ["", f"## {title}", "", *rows(by_file[file])]
    if by_file["bench_scaling"]:
        plot(by_file["bench_scaling"], docs / "performance.svg")
        lines += [
            "",
            "## By size of the catalogue",
            "",
            "![milliseconds by items](performance.svg)",
        ]
    (docs / "performance.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
