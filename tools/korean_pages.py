"""Write README.ko.md and docs/ko from their templates in docs/ko/src: do so after every change of a record."""

from tricks import ROOT
from tricks.course import korean


def main() -> None:
    """Write what changed, and name it."""
    for path in korean.write():
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
