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
    """A byte order mark, CRLF, quoted line breaks and further columns are taken."""
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
    """It belongs to no study, and a longer one does not fit the database."""
    (line,) = read_csv(written(tmp_path, f"study_instance_uid,text\n{uid},Clear.\n"))
    assert line == BadLine(number=2, reason="`study_instance_uid` is not a UID")


def test_read_csv_key_is_the_same_for_the_same_line(tmp_path: Path) -> None:
    """A file that is read twice brings the same reports."""
    path = written(tmp_path, "study_instance_uid,text\n1.2.3,Clear.\n1.2.3,Not clear.\n")
    first, second = ([line.key for line in read_csv(path) if isinstance(line, SignedText)] for _ in "ab")
    assert first == second
    assert len(set(first)) == 2


@pytest.mark.parametrize(
    ("content", "encoding"),
    [("uid,report\n1,2\n", "utf-8"), ("", "utf-8"), ("study_instance_uid,text\n1,ä\n", "latin-1")],
)
def test_read_csv_refuses_what_is_no_such_file(tmp_path: Path, content: str, encoding: str) -> None:
    """Missing columns and another encoding are one clear error."""
    with pytest.raises(UnusableFile):
        list(read_csv(written(tmp_path, content, encoding)))


def test_read_csv_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is an error of ours, not a traceback."""
    with pytest.raises(UnusableFile):
        list(read_csv(tmp_path / "missing.csv"))
