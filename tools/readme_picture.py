"""Draw the README's picture, docs/images/step_and_cosine.png: Fig. 3b of the paper beside ours, from the records."""

from tricks import ROOT
from tricks.data.files import write_atomic
from tricks.plots.evidence import curves
from tricks.records import paper
from tricks.records.statistics import caption
from tricks.studies.studies import arm


def main() -> None:
    """The paper's curves on the left, our seeds of the same schedules on the right."""
    runs = {"step": arm("full-efficient"), "cosine": arm("full-cosine")}
    theirs = {}
    for name in runs:
        epochs, share = paper.curve("3b", name)
        theirs[name] = epochs, [100 * value for value in share]
    below = f"paper: Fig. 3b, ImageNet. Ours: {caption([run for group in runs.values() for run in group], curve=True)}"
    path = ROOT / "docs" / "images" / "step_and_cosine.png"
    write_atomic(path, curves(runs, paper=theirs, caption=below).png())
    print(path)


if __name__ == "__main__":
    main()
