"""The paper's numbers as the course reads them, against the printed tables."""

import pytest

from tricks.records import paper


@pytest.mark.parametrize(
    ("table", "row", "column", "printed"),
    [
        ("1", "ResNet-50 + tricks (ours)", "top1", 79.29),
        ("2", "ResNet-50", "baseline_top1", 75.87),
        ("4", "+ LR warmup", "BS1024_top1", 75.93),
        ("5", "ResNet-50-D", "top1", 77.16),
        ("6", "+ label smoothing", "ResNet-50-D_top1", 78.31),
        ("6 (CVPR)", "+ label smoothing", "ResNet-50-D_top1_mean", 78.37),
        ("8", "+ distill w/ mixup", "mAP", 81.33),
        ("9", "+ cosine", "mIoU", 39.33),
    ],
)
def test_printed_numbers(table, row, column, printed):
    assert paper.table(table)[row][column] == printed


def test_delta_is_the_difference_of_two_printed_rows():
    assert paper.delta("6", "+ label smoothing", "+ cosine decay", "ResNet-50-D_top1") == 0.40
    assert paper.delta("4", "+ No bias decay", "+ Zero gamma", "BS1024_top1") == -0.34


def test_every_table_of_the_paper_is_there():
    for number in range(1, 10):
        assert len(paper.table(str(number))) >= 2


def test_curves_are_those_of_the_figures():
    epochs, lr = paper.curve("3a", "cosine")
    assert len(epochs) == 120 and lr[:5] == [0, 0.1, 0.2, 0.3, 0.4]
    gap, density = paper.curve("4b", "smoothed")
    assert gap[max(range(len(density)), key=density.__getitem__)] == 9.0


def test_unknown_names_list_what_there_is():
    with pytest.raises(KeyError, match="no table '10'.*6 \\(CVPR\\)"):
        paper.table("10")
    with pytest.raises(KeyError, match="3b cosine"):
        paper.curve("3b", "linear")
