"""The graph of a pipeline: for a terminal and Markdown as Mermaid, for Graphviz, and as a page that needs no network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from backtest.pipeline.judge import StageStatus

# A graph of more stages than this is drawn by kind.
MOST_DRAWN = 24
WIDE, HIGH, ACROSS, DOWN = 190, 30, 240, 44
HEAD = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
STYLE = (
    ":root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#6e7781;--rule:#d0d7de;--link:#0969da;"
    "--done:#dafbe1;--done-line:#1a7f37;--old:#fff8c5;--old-line:#9a6700;--old-ink:#7d4e00}"
    "@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--line:#8b949e;--rule:#30363d;--link:#58a6ff;"
    "--done:#12361f;--done-line:#3fb950;--old:#3b2e06;--old-line:#d29922;--old-ink:#e3b341}}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:var(--ink);background:var(--paper)}a{color:var(--link)}"
    ".graph,.stages{overflow-x:auto}table{border-collapse:collapse;margin-top:1rem;font-variant-numeric:tabular-nums}"
    "td,th{padding:.25rem 1rem .25rem 0;text-align:left;vertical-align:top;white-space:nowrap}"
    "td,th{border-bottom:1px solid var(--rule)}"
    "td:last-child,td.why{white-space:normal}td.s,th.s{text-align:right}td.why{min-width:12rem;color:var(--old-ink)}"
    "rect{fill:var(--done);stroke:var(--done-line)}rect.old{fill:var(--old);stroke:var(--old-line)}"
    "path{fill:none;stroke:var(--line)}text{font:12px system-ui,sans-serif;fill:var(--ink)}"
    "@media (max-width:40rem){body{margin:1rem}h1{font-size:1.4rem}table,tbody,tr,td{display:block}thead{display:none}"
    "tr{border-bottom:1px solid var(--rule);padding:.4rem 0}td,td.s{border:0;padding:0;text-align:left}"
    "td:first-child{font-weight:600}td.s::after{content:' s'}}"
)


@dataclass(frozen=True, slots=True)
class Node:
    """A stage, or all stages of a kind. needs: names of nodes."""

    name: str
    label: str
    up_to_date: bool
    needs: tuple[str, ...]


def nodes_of(verdicts: Sequence[StageStatus], most: int = MOST_DRAWN) -> list[Node]:
    """Every stage, or where there are more than `most` one node a kind."""
    if len(verdicts) <= most:
        return [Node(it.job.name, it.job.name, it.up_to_date, it.job.needs) for it in verdicts]
    kind_of = {it.job.name: it.job.kind for it in verdicts}
    kinds: dict[str, list[StageStatus]] = defaultdict(list)
    for it in verdicts:
        kinds[it.job.kind].append(it)
    found = []
    for kind, members in kinds.items():
        old = sum(not it.up_to_date for it in members)
        needs = dict.fromkeys(kind_of[name] for it in members for name in it.job.needs)
        words = f"{kind}, {len(members)}" + (f": {old} to run" if old else "")
        found.append(Node(kind, words, not old, tuple(it for it in needs if it != kind)))
    return found


def direct_needs(node: Node, nodes: Sequence[Node]) -> list[str]:
    """What a node needs, without what another of its needs needs as well: the fewest arrows that say the same order."""
    by_name = {it.name: it for it in nodes}
    beneath: set[str] = set()
    waiting = [name for it in node.needs if it in by_name for name in by_name[it].needs]
    while waiting:
        name = waiting.pop()
        if name not in beneath and name in by_name:
            beneath.add(name)
            waiting += by_name[name].needs
    return [it for it in node.needs if it not in beneath]


def mermaid(nodes: Sequence[Node]) -> str:
    """A block for Markdown."""
    ids = {node.name: f"s{i}" for i, node in enumerate(nodes)}
    lines = ["```mermaid", "flowchart LR"]
    lines += [f'  {ids[it.name]}["{it.label}"]{"" if it.up_to_date else ":::old"}' for it in nodes]
    lines += [f"  {ids[name]} --> {ids[it.name]}" for it in nodes for name in direct_needs(it, nodes)]
    return "\n".join([*lines, "  classDef old fill:#fff8c5,stroke:#9a6700", "```"])


def dot(nodes: Sequence[Node]) -> str:
    """For Graphviz."""
    lines = ["digraph pipeline {", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for it in nodes:
        colour = "#dafbe1" if it.up_to_date else "#fff8c5"
        lines.append(f'  "{it.name}" [label="{it.label}", fillcolor="{colour}"];')
    lines += [f'  "{name}" -> "{it.name}";' for it in nodes for name in it.needs]
    return "\n".join([*lines, "}"])


def page(title: str, verdicts: Sequence[StageStatus]) -> str:
    """The graph as a picture, and every stage with links to its outputs."""
    rows = "".join(_row(it) for it in verdicts)
    fresh = sum(it.up_to_date for it in verdicts)
    return (
        f'<!doctype html><html lang="en"><head>{HEAD}<title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><p>{fresh} of {len(verdicts)} stages are up to date.</p>"
        f'<div class="graph">{_drawn(nodes_of(verdicts, 60))}</div><div class="stages"><table><thead><tr>'
        '<th>stage</th><th>state</th><th class="s">seconds</th><th>outputs</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></body></html>\n"
    )


def _row(verdict: StageStatus) -> str:
    name, record = verdict.job.name, verdict.record
    links = ", ".join(
        f'<a href="current/{escape(name)}/{escape(it)}">{escape(it)}</a>'
        for it in (record.outputs if record else ())
    )
    why = escape("; ".join(verdict.why[:3]))
    state = "<td>up to date</td>" if verdict.up_to_date else f'<td class="why">{why}</td>'
    seconds = f"{record.seconds:.1f}" if record else "-"
    return f'<tr><td>{escape(name)}</td>{state}<td class="s">{seconds}</td><td>{links}</td></tr>'


def _drawn(nodes: Sequence[Node]) -> str:
    place = _places(nodes)
    width = max((x for x, _ in place.values()), default=0) + WIDE + 10
    height = max((y for _, y in place.values()), default=0) + HIGH + 10
    shapes = "".join([*_edges(nodes, place), *_boxes(nodes, place)])
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg {size} role="img" aria-label="stages and what they need">{shapes}</svg>'


def _places(nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """A column by the longest way to a node, a row by its turn."""
    depth: dict[str, int] = {}
    filled: dict[int, int] = defaultdict(int)
    place = {}
    for it in nodes:
        depth[it.name] = max((depth[name] + 1 for name in it.needs if name in depth), default=0)
        column = depth[it.name]
        place[it.name] = (5 + column * ACROSS, 5 + filled[column] * DOWN)
        filled[column] += 1
    return place


def _edges(nodes: Sequence[Node], place: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    for it in nodes:
        x, y = place[it.name]
        for name in direct_needs(it, nodes):
            a, b = place[name]
            a, b, c, d = a + WIDE, b + HIGH // 2, x, y + HIGH // 2
            yield f'<path d="M{a},{b} C{(a + c) // 2},{b} {(a + c) // 2},{d} {c},{d}"/>'


def _boxes(nodes: Sequence[Node], place: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    for it in nodes:
        x, y = place[it.name]
        old = "" if it.up_to_date else ' class="old"'
        yield (
            f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="4"{old}/>'
            f'<text x="{x + 8}" y="{y + 19}">{escape(it.label)}</text>'
        )
