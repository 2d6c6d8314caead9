"""Main-text extraction beside trafilatura's defaults: precision and recall of words over the local pages.

    python -m benchmarks.extraction [--pages N] [--json]

A page's score counts its words as a bag: precision is the share of the extracted words that belong to the
main text, recall the share of the main text that was extracted. Means over pages, by shape and over all.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from statistics import mean

import trafilatura

from ai_investment.adapters.files import extract
from ai_investment.content.extraction import Unreadable
from tests.doubles.library import library


def ours(data: bytes) -> str:
    try:
        found = extract(data, media_type="text/html", name="page.html")
    except Unreadable:
        return ""
    # The title is kept beside the text where a page states it.
    return found.text


def defaults(data: bytes) -> str:
    return trafilatura.extract(data) or ""


def score(found: str, truth: str) -> tuple[float, float]:
    have, want = (Counter(re.findall(r"\w+", text.lower())) for text in (found, truth))
    common = sum((have & want).values())
    return common / max(1, sum(have.values())), common / max(1, sum(want.values()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    made = library("http://localhost", pages=arguments.pages, pdfs=0)
    results: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, read in (("ours", ours), ("trafilatura defaults", defaults)):
        shapes = defaultdict(list)
        for path, truth in made.words.items():
            body = made.pages[path].body
            assert isinstance(body, bytes)
            found = score(read(body), truth)
            shapes[path.split("/")[1]].append(found)
            shapes["all"].append(found)
        results[name] = shapes
    means = {
        name: {
            shape: {
                "precision": round(mean(p for p, _ in found), 4),
                "recall": round(mean(r for _, r in found), 4),
            }
            for shape, found in shapes.items()
        }
        for name, shapes in results.items()
    }
    if arguments.json:
        print(json.dumps(means, indent=1))
        return
    print(f"{'shape':12}" + "".join(f"{name:>32}" for name in means))
    for shape in means["ours"]:
        cells = "".join(
            f"{m[shape]['precision']:>20.3f} P {m[shape]['recall']:>7.3f} R" for m in means.values()
        )
        print(f"{shape:12}{cells}")


if __name__ == "__main__":
    main()
