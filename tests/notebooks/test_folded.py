"""How much of a lesson's page is open code: estimated from the built notebook, without a browser.

Held against JupyterLab's own heights for two lessons, the share is off by 0.3 points, the page by one or two per cent.
"""

import base64
import math
import re
import struct

import build_notebooks as tool
import nbformat
import pytest

LINE = 20  # px of a line of text, on average
CODE_LINE, AROUND_CODE, FOLDED = (
    18 / LINE,
    11 / LINE,
    28 / LINE,
)  # of a line of code, of a cell's frame, of a folded cell
PRINTED_LINE, PADDING = 17 / LINE, 6 / LINE  # of a line that a cell prints, of any cell
WIDE = 106  # characters of a line of text
MOST = 1 / 3


def lines_of_markdown(source: str) -> float:
    """Lines of a rendered text: those of a paragraph flow together, those of lists, tables and code stand alone."""
    lines = 0.0
    for block in re.split(r"\n\s*\n", source):
        parts = re.split(r"\n(?=\s*(?:[-*|#>]|\d+\.) ?)", block) if "```" not in block else block.splitlines()
        parts = [part for part in parts if not re.fullmatch(r"\s*\|[-|: ]+\|\s*", part)]
        wide = WIDE if not block.startswith("#") else WIDE // 2
        lines += sum(math.ceil(max(1, len(" ".join(part.split()))) / wide) for part in parts)
        lines += 0.7  # the room around it
    return lines


def lines_of_picture(png: str, metadata: dict[str, int]) -> float:
    """Height of a PNG, of its metadata where these have one."""
    width, height = struct.unpack(">II", base64.b64decode(png)[16:24])
    return (height * metadata["width"] / width if "width" in metadata else height) / LINE


def lines_of_output(output: nbformat.NotebookNode) -> float:
    """Lines of an output in its best form: a picture, Markdown, or text; a quiz has a line for each choice."""
    if output.output_type == "stream":
        return len(output.text.splitlines()) * PRINTED_LINE
    data = output.data
    if "image/png" in data:
        return lines_of_picture(data["image/png"], output.metadata.get("image/png", {}))
    if "text/markdown" in data:
        return lines_of_markdown(data["text/markdown"])
    each = 1.2 if "<details>" in data.get("text/html", "") else 1
    return each * len(data.get("text/plain", "").splitlines())


def heights(notebook: nbformat.NotebookNode) -> tuple[float, float]:
    """Lines of open code, and of the whole page, with all sections unfolded; of a folded cell its bar."""
    code = page = 0.0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            page += lines_of_markdown(cell.source) + PADDING
            continue
        folded = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        of_cell = FOLDED if folded else len(cell.source.splitlines()) * CODE_LINE + AROUND_CODE
        code += 0 if folded else of_cell
        page += of_cell + PADDING + sum(map(lines_of_output, tool.outputs(cell)))
    return code, page


@pytest.mark.parametrize(
    "source, lines",
    [("a\nb", 1), ("- a\n- b", 2), ("a\n\nb", 2), ("| a |\n|---|\n| b |", 2), (" ".join(["word"] * 40), 2)],
)
def test_lines_of_a_text(source, lines):
    blocks = len(source.split("\n\n"))
    assert lines_of_markdown(source) == pytest.approx(lines + 0.7 * blocks)


def test_open_code_is_counted_and_folded_code_is_not():
    text = '# %%\na = 1\nb = 2\n\n# %% tags=["hide-input"]\nc = 3\nd = 4\ne = 5\n\n# %% [markdown]\n# text\n'
    code, page = heights(tool.parse(text, False))
    assert code == pytest.approx(2 * CODE_LINE + AROUND_CODE)
    assert page == pytest.approx(code + FOLDED + 1.7 + 3 * PADDING)


def test_open_code_is_less_than_a_third_of_every_lesson():
    shares = {}
    for source in tool.sources([]):
        code, page = heights(nbformat.read(tool.target(source, False), as_version=4))
        shares[source.stem] = code / page
    assert len(shares) > 10
    assert {name: f"{share:.0%}" for name, share in shares.items() if share >= MOST} == {}
