"""Draw the README's picture, docs/images/label_smoothing.png, from the records of the smoothing study."""

from tricks import ROOT
from tricks.figures.evidence import gap_histogram
from tricks.figures.targets import theoretical_gap
from tricks.runs import caption, write_atomic
from tricks.studies import arm


def main() -> None:
    """Fig. 4b from our runs, with the gap that eq. 5 asks for."""
    runs = {"one-hot": arm("cosine"), "ε = 0.1": arm("smoothing-0.1"), "ε = 0.4": arm("smoothing-0.4")}
    theory = {f"ε = {eps}": theoretical_gap(eps, 10) for eps in (0.1, 0.4)}
    everything = [run for group in runs.values() for run in group]
    path = ROOT / "docs" / "images" / "label_smoothing.png"
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, gap_histogram(runs, theory=theory, caption=caption(everything)).png())
    print(path)


if __name__ == "__main__":
    main()
