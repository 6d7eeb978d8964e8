"""Tables of sessions and subjects."""

from __future__ import annotations

import datetime
import json
import re
import zipfile

import openpyxl
import pytest

from nwb_ophys.errors import SpecificationError
from nwb_ophys.sessions.subjects import read_subjects
from nwb_ophys.sessions.tables import read_table

ROWS = [
    ["subject_id", "session_id", "NWBFile.notes"],
    ["M1", "007", 'said "yes", twice'],
    ["M2", "n/a", ""],
]


@pytest.mark.parametrize(
    ("name", "mark", "encoding"),
    [
        ("a.tsv", "\t", "utf-8"),
        ("a.csv", ",", "utf-8"),
        ("a.csv", ";", "utf-8-sig"),
        ("a.CSV", "\t", "utf-8"),
        ("a.csv", "\t", "utf-16"),  # "Unicode text" of Excel
    ],
)
def test_texts_are_read_alike_whatever_separates_them(tmp_path, name, mark, encoding):
    path = tmp_path / name
    quoted = [
        mark.join(
            '"' + cell.replace('"', '""') + '"' if mark in cell or '"' in cell else cell
            for cell in row
        )
        for row in ROWS
    ]
    path.write_text("\r\n".join([*quoted, "", mark * 2]), encoding=encoding)
    table = read_table(path)
    assert table.columns == ("subject_id", "session_id", "NWBFile.notes")
    assert [row.values for row in table.rows] == [
        {"subject_id": "M1", "session_id": "007", "NWBFile.notes": 'said "yes", twice'},
        {"subject_id": "M2"},
    ]
    assert table.rows[1].where == f"{name}, line 3"


def test_a_sheet_is_read_as_it_is_shown(tmp_path):
    book = openpyxl.Workbook()
    day = datetime.datetime(2024, 5, 17)
    for row in (
        ["session_id", "start", "options.sampling_frequency", "flag"],
        ["007", day.replace(hour=14, minute=30), 30.0, None],
        [20240517, day, 7.5, True],
    ):
        book.active.append(row)
    book.active.append([7, "NA"])
    book.active["A4"].number_format = "000"
    book.create_sheet("empty")
    book.save(tmp_path / "a.xlsx")
    first, second, third = (row.values for row in read_table(tmp_path / "a.xlsx").rows)
    assert third == {"session_id": "007"}
    assert first == {
        "session_id": "007",
        "start": "2024-05-17T14:30:00",
        "options.sampling_frequency": "30",
    }
    assert (second["session_id"], second["start"]) == ("20240517", "2024-05-17")


def test_sheets_that_are_not_read_are_named(tmp_path):
    book = openpyxl.Workbook()
    for sheet in (book.active, book.create_sheet("cohort 2")):
        sheet.append(["session_id"])
    book.save(tmp_path / "a.xlsx")
    with pytest.warns(UserWarning, match="only the first sheet, 'Sheet', .*not 'cohort 2'"):
        read_table(tmp_path / "a.xlsx")


def test_merged_cells_all_have_the_value_that_they_show(tmp_path):
    book = openpyxl.Workbook()
    for row in (["subject_id", "session_id"], [7, "day1"], [None, "day2"], ["M8", "day1"]):
        book.active.append(row)
    book.active["A2"].number_format = "000"
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / "a.xlsx")
    found = [row.values["subject_id"] for row in read_table(tmp_path / "a.xlsx").rows]
    assert found == ["007", "007", "M8"]


def rewritten_sheet(path, old, new):
    """Change a sheet, as another program would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            changed = re.sub(old, new, data) if name.endswith("sheet1.xml") else data
            archive.writestr(name, changed)


def test_a_sheet_that_states_a_wrong_size_is_read_in_whole(tmp_path):
    path, book = tmp_path / "a.xlsx", openpyxl.Workbook()
    for row in (["subject_id", "session_id"], ["M7", "day1"], ["M7", "day2"]):
        book.active.append(row)
    book.save(path)
    rewritten_sheet(path, rb'<dimension ref="[^"]*"', b'<dimension ref="A1"')
    assert [row.values["session_id"] for row in read_table(path).rows] == ["day1", "day2"]


def test_formulas_without_a_value_are_named(tmp_path):
    path, book = tmp_path / "a.xlsx", openpyxl.Workbook()
    book.active.append(["session_id", "NWBFile.notes"])
    book.active.append(["day1", '=IF(A2="", "", "")'])
    book.save(path)
    with pytest.raises(SpecificationError, match="line 2: the formula in B2 has no value"):
        read_table(path)
    rewritten_sheet(path, rb'<c r="B2"', b'<c r="B2" t="str"')  # an empty text
    assert read_table(path).rows[0].values == {"session_id": "day1"}


def test_a_sheet_of_which_little_is_left_when_packed_is_refused(tmp_path, monkeypatch):
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.save(tmp_path / "a.xlsx")
    monkeypatch.setattr("nwb_ophys.sessions.tables._MOST_BYTES_OF_SHEET", 1000)
    with pytest.raises(SpecificationError, match="is too long: its sheets have"):
        read_table(tmp_path / "a.xlsx")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tb\n1\t#REF!\n", "line 2: 'b' is #REF!, an error of a formula"),
        ("", "is empty"),
        ("a\ta\n1\t2\n", "the column 'a' twice"),
        ("a\tb\n1\t2\t3\n", "line 2: '3' is in a column without a name"),
        ("a\t\n1\t2\n", "line 2: '2' is in a column without a name"),
    ],
)
def test_wrong_tables_are_refused_with_their_line(tmp_path, text, words):
    path = tmp_path / "a.tsv"
    path.write_text(text)
    with pytest.raises(SpecificationError, match=words):
        read_table(path)


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"no sheet")
    (tmp_path / "a.csv").write_bytes(b"a,b\n\xff\xfe")
    for name, words in (("a.xlsx", "XLSX"), ("a.csv", "UTF-8"), ("b.csv", "does not exist")):
        with pytest.raises(SpecificationError, match=words):
            read_table(tmp_path / name)


def test_subjects_by_their_id_with_units_of_the_json_file_beside(tmp_path):
    path = tmp_path / "participants.tsv"
    path.write_text(
        "participant_id\tage\tweight\tsex\tgroup\n"
        "sub-M1\t90\t25\tF\tcontrol\n"
        "M2\tP3M\tn/a\tM\tn/a\n"
    )
    units = {"age": {"Units": "days"}, "weight": {"Units": "g"}, "group": "of the trial"}
    path.with_suffix(".json").write_text(json.dumps(units))
    with pytest.warns(UserWarning, match="'group'"):
        subjects = read_subjects(path)
    assert subjects.row("M1").values == {"age": "90 days", "weight": "25 g", "sex": "F"}
    assert subjects.row("sub-M2").values == {"age": "P3M", "sex": "M"}
    assert subjects.row("M3") is None


def test_columns_of_subjects_as_a_lab_names_them(tmp_path):
    path = tmp_path / "subjects.csv"
    path.write_text(
        "Subject ID;Sex;Age (days);weight_g;age_group;Date of birth\n"
        "M1;F;90;25,5;1;2024-05-01\nM2;F;12w;1,000;2;n/a\n"
    )
    with pytest.warns(UserWarning, match="for the column 'age_group', which"):
        subjects = read_subjects(path)
    own = {"sex": "F", "age": "90 days", "weight": "25.5 g", "date_of_birth": "2024-05-01"}
    assert subjects.row("M1").values == own
    assert subjects.row("M2").values == {"sex": "F", "age": "12w", "weight": "1,000"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject_id\tage\tAge (d)\nM1\t1\t1\n", r"two columns of 'age', 'age' and 'Age \(d\)'"),
        ("name\tsex\nM1\tF\n", "needs a column 'participant_id'"),
        ("participant_id\tsex\nsub-M1\tF\nM1\tM\n", "'M1' is given twice, first in .*line 2"),
        ("participant_id\tsex\n\tF\n", "'participant_id' is empty"),
    ],
)
def test_wrong_tables_of_subjects(tmp_path, text, words):
    path = tmp_path / "participants.tsv"
    path.write_text(text)
    with pytest.raises(SpecificationError, match=words):
        read_subjects(path)


def test_the_first_sheet_that_is_shown_is_read(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["subject_id"])
    book.active.append(["old"])
    book.active.sheet_state = "hidden"
    shown = book.create_sheet("Mice")
    shown.append(["subject_id"])
    shown.append(["=LOWER(A1)"])
    book.active = 1
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(SpecificationError, match="the formula in A2 has no value"):
        read_table(tmp_path / "a.xlsx")
    shown["A2"] = "new"
    book.save(tmp_path / "a.xlsx")
    with pytest.warns(UserWarning, match="'Mice', is read, not 'Sheet'"):
        rows = read_table(tmp_path / "a.xlsx").rows
    assert [row.values for row in rows] == [{"subject_id": "new"}]


def test_rows_of_nothing_but_spaces_are_no_rows(tmp_path):
    book = openpyxl.Workbook()
    for row in (["subject_id", "sex"], ["007", "M"]):
        book.active.append(row)
    book.active["A40"], book.active["B41"] = " ", "\u00a0"
    book.save(tmp_path / "a.xlsx")
    (tmp_path / "a.csv").write_text("subject_id;sex\n007;M\n  ;\n")
    for name in ("a.xlsx", "a.csv"):
        (row,) = read_table(tmp_path / name).rows
        assert row.values == {"subject_id": "007", "sex": "M"}
