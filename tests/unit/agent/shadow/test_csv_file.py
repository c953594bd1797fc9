"""Signed reports from a CSV file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.foundation.errors import UnusableFile
from agent.shadow.csv_file import BadLine, read_csv
from agent.shadow.signed import SignedText


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "signed.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_read_csv_reads_what_spreadsheets_write(tmp_path: Path) -> None:
    """A byte order mark, CRLF, quoted line breaks and further columns are accepted."""
    path = written(
        tmp_path,
        "study_instance_uid,text,signed_at,ward\r\n"
        '1.2.3,"Findings:\r\nNo ""new"" effusion.",2026-11-03T09:30:00+01:00,7B\r\n',
        "utf-8-sig",
    )
    (line,) = read_csv(path)
    assert isinstance(line, SignedText)
    assert (line.study_instance_uid, line.text) == ("1.2.3", 'Findings:\r\nNo "new" effusion.')
    assert line.signed_at == datetime(2026, 11, 3, 9, 30, tzinfo=timezone(timedelta(hours=1)))


def test_read_csv_names_bad_lines_and_takes_the_others(tmp_path: Path) -> None:
    """A bad line is reported by its number, without its text."""
    path = written(
        tmp_path,
        "accession_number,patient_id,text,signed_at\n"
        "A1,P1,Clear.,\n"
        "A2,,Clear.,\n"
        "A3,P3,,\n"
        "A4,P4,Clear.,yesterday\n",
    )
    lines = list(read_csv(path))
    assert isinstance(lines[0], SignedText)
    assert lines[0].signed_at == datetime(1970, 1, 1, tzinfo=UTC)
    assert [line.number for line in lines if isinstance(line, BadLine)] == [3, 4, 5]


@pytest.mark.parametrize("uid", ["1.2.x", "1" * 65, "1.2 3"])
def test_read_csv_names_a_line_whose_uid_is_none(tmp_path: Path, uid: str) -> None:
    """An invalid UID belongs to no study, and a longer one does not fit the database."""
    (line,) = read_csv(written(tmp_path, f"study_instance_uid,text\n{uid},Clear.\n"))
    assert line == BadLine(number=2, reason="`study_instance_uid` is not a UID")


def test_read_csv_key_is_the_same_for_the_same_line(tmp_path: Path) -> None:
    """A file that is read twice yields the same reports."""
    path = written(tmp_path, "study_instance_uid,text\n1.2.3,Clear.\n1.2.3,Not clear.\n")
    first, second = ([line.key for line in read_csv(path) if isinstance(line, SignedText)] for _ in "ab")
    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize(
    ("content", "encoding"),
    [("uid,report\n1,2\n", "utf-8"), ("", "utf-8"), ("study_instance_uid,text\n1,ä\n", "latin-1")],
)
def test_read_csv_refuses_what_is_no_such_file(tmp_path: Path, content: str, encoding: str) -> None:
    """Missing columns or another encoding give one clear error."""
    with pytest.raises(UnusableFile):
        list(read_csv(written(tmp_path, content, encoding)))


def test_read_csv_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is reported as an error, without a traceback."""
    with pytest.raises(UnusableFile):
        list(read_csv(tmp_path / "missing.csv"))


@pytest.mark.parametrize("separator", [";", "\t"])
def test_read_csv_takes_the_separators_of_spreadsheets(tmp_path: Path, separator: str) -> None:
    """Excel writes semicolons in many languages; column names may be capitalised."""
    content = f'Study_Instance_UID{separator} Text\r\n1.2.3{separator}"No effusion, no{separator} mass."\r\n'
    (line,) = read_csv(written(tmp_path, content, "utf-8-sig"))
    assert isinstance(line, SignedText)
    assert (line.study_instance_uid, line.text) == ("1.2.3", f"No effusion, no{separator} mass.")


def test_read_csv_leaves_out_a_line_with_more_fields_than_columns(tmp_path: Path) -> None:
    """The rest of an unquoted text may contradict its beginning; empty trailing fields cannot."""
    content = "study_instance_uid,text\n1.2.3,No effusion, but a large pneumothorax.\n1.2.4,Clear.,,\n"
    bad, good = read_csv(written(tmp_path, content))
    assert isinstance(bad, BadLine)
    assert (bad.number, "quotation marks" in bad.reason) == (2, True)
    assert isinstance(good, SignedText)


@pytest.mark.parametrize(
    "rest", ['1.2.4,"No effusion.\n1.2.5,Mass.\n1.2.6,"Clear."\n', '1.2.4,"No effusion.\n1.2.5,Mass.\n']
)
def test_read_csv_never_joins_the_texts_of_two_studies(tmp_path: Path, rest: str) -> None:
    """An unclosed quotation mark ends the import with its position; the lines before it are accepted."""
    lines = read_csv(written(tmp_path, f"study_instance_uid,text\n1.2.3,Clear.\n{rest}"))
    assert isinstance(next(lines), SignedText)
    with pytest.raises(UnusableFile, match="after line 2 a quotation mark is not closed"):
        next(lines)


@pytest.mark.parametrize("stated", ["0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_read_csv_names_a_time_that_no_database_holds(tmp_path: Path, stated: str) -> None:
    """In UTC the time lies before the first or after the last year."""
    (line,) = read_csv(written(tmp_path, f"study_instance_uid,text,signed_at\n1.2.3,Clear.,{stated}\n"))
    assert isinstance(line, BadLine)


def test_read_csv_refuses_a_column_that_is_there_twice(tmp_path: Path) -> None:
    """It would be unclear which of two texts is the report."""
    with pytest.raises(UnusableFile, match="`text` twice"):
        list(read_csv(written(tmp_path, "study_instance_uid,text,text\n1.2.3,Clear.,Mass.\n")))


def test_read_csv_leaves_out_a_report_signed_in_the_future(tmp_path: Path) -> None:
    """A mistyped year would make a report stand against all corrections; the line before it is taken."""
    content = "study_instance_uid,text,signed_at\n1.2.3,Clear.,2026-11-03\n1.2.3,Mass.,2062-11-03\n"
    good, bad = read_csv(written(tmp_path, content), datetime(2026, 11, 4, tzinfo=UTC))
    assert isinstance(good, SignedText)
    assert bad == BadLine(number=3, reason="`signed_at` lies in the future")
