"""Tests of tables in text files."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nwb_ophys.errors import CorruptSourceError, SourceError
from nwb_ophys.filetypes.tables import read_table, typed_column


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
@pytest.mark.parametrize("has_names", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_delimiters_names_and_encodings(tmp_path, delimiter, has_names, encoding):
    rows = [["1", "0.5", "-2e-3"], ["2", "1.5", "4"], ["3", "2.5", "nan"]]
    lines = [["tête", "b", "c"], *rows] if has_names else rows
    text = "# a comment\r\n\r\n" + "\r\n".join(delimiter.join(row) for row in lines) + "\r\n\r\n"
    table = read_table(written(tmp_path, text, encoding))
    assert table.names == (("tête", "b", "c") if has_names else ())
    np.testing.assert_array_equal(table.numbers(1), [0.5, 1.5, 2.5])
    np.testing.assert_array_equal(table.numbers(2), [-2e-3, 4, np.nan])
    assert list(table.lines) == ([4, 5, 6] if has_names else [3, 4, 5])


def test_a_single_column_with_and_without_a_name(tmp_path):
    assert read_table(written(tmp_path, "1.5\n2.5\n")).columns == (["1.5", "2.5"],)
    table = read_table(written(tmp_path, "time (ms)\n1.5\n2.5\n"))
    assert table.names == ("time (ms)",)
    np.testing.assert_array_equal(table.numbers(0), [1.5, 2.5])


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["0,5", "1,5"], [0.5, 1.5]),
        (["0,000", "1,033"], [0.0, 1.033]),
        (["0,5", "oops"], "line 3, column 'b': 'oops' is not a number"),
        (
            ["2", "1,000"],
            "line 3, column 'b': '1,000' may have a decimal comma, or one of thousands",
        ),
    ],
)
def test_commas_in_quoted_numbers(tmp_path, cells, found):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "".join(f'"1","{cell}"\n' for cell in cells))
    table = read_table(path)
    assert table.columns[1] == cells
    if isinstance(found, list):
        assert table.numbers(1).tolist() == found
    else:
        with pytest.raises(SourceError, match=found):
            table.numbers(1)


def test_decimal_commas(tmp_path):
    table = read_table(written(tmp_path, "t;name\n0,5;a,b\n1,25;c\n"))
    np.testing.assert_array_equal(table.numbers(0), [0.5, 1.25])
    assert table.columns[1] == ["a,b", "c"]


def test_a_first_row_of_truth_values_is_no_line_of_names(tmp_path):
    table = read_table(written(tmp_path, "TRUE\nFALSE\nTRUE\n"))
    np.testing.assert_array_equal(table.numbers(0), [1, 0, 1])


def test_a_separator_at_the_end_of_each_line_makes_no_column(tmp_path):
    table = read_table(written(tmp_path, "a,b,\n1,2,\n3,4,\n"))
    assert table.names == ("a", "b")
    assert table.columns == (["1", "3"], ["2", "4"])


def test_damage_is_named_with_its_line(tmp_path):
    with pytest.raises(CorruptSourceError, match=r"line 3 and line 1 differ.* 1 and 2"):
        read_table(written(tmp_path, "1,2\n3,4\n5\n6,7\n"))
    with pytest.raises(CorruptSourceError, match="not a text file"):
        read_table(written(tmp_path, "1,2\0"))
    with pytest.raises(CorruptSourceError, match="holds no values"):
        read_table(written(tmp_path, "# nothing\n\n"))
    table = read_table(written(tmp_path, "a,b\n1,x\n2,3\n4,\n"))
    with pytest.raises(SourceError, match="line 2, column 'b': 'x' is not a number"):
        table.numbers(1)
    with pytest.raises(SourceError, match=r"has no column 'c'\. It has 'a', 'b'"):
        table.index_of("c")
    twice = read_table(written(tmp_path, "a,A,a\n1,2,3\n"))
    assert twice.index_of("A") == 1
    with pytest.raises(SourceError, match="2 columns 'a'"):
        twice.index_of("a")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "-2", "0"], "i"),
        (["1", "2.5"], "f"),
        (["1", "n/a"], "f"),
        (["True", "false"], "b"),
        (["True", ""], "text"),
        (["007", "12"], "text"),
        (["1234567890123456789", "1"], "text"),
        (["0.10", "1e3"], "f"),
        (["a", "1"], "text"),
        (["", "nan"], "text"),
    ],
)
def test_types_of_columns(cells, kind):
    found = typed_column(cells)
    if kind == "text":
        assert found == cells
    else:
        assert found.dtype.kind == kind


_cells = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), max_size=8)


@given(rows=st.lists(st.lists(_cells, min_size=3, max_size=3), min_size=1, max_size=8))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    rows = [["one", "two", "three"], *([*row[:2], f"x{row[2]}"] for row in rows)]
    stream = io.StringIO()
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows(rows)
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_text(stream.getvalue(), encoding="utf-8")
    table = read_table(path, has_names=True)
    assert [list(row) for row in zip(*table.columns, strict=True)] == rows[1:]
