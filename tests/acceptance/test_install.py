"""`make install` into an empty root, the installed agent, the upgrade and the rollback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

# Each test starts the program or the installer several times, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)
WITHIN_S = 280


def deploy(repository: Path, action: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a target of the Makefile with this environment's libraries, to save the download."""
    return subprocess.run(
        ["make", "--no-print-directory", action, *(f"{name}={value}" for name, value in variables.items()),
         f"PYTHON={sys.executable}", f"SHARE={sys.prefix}"],
        cwd=repository, capture_output=True, text=True, timeout=WITHIN_S, env=clean_environment(),
    )  # fmt: skip


def clean_environment() -> dict[str, str]:
    """The environment of a user who has set no variables."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ECHO_AGENT_", "MAKE", "PYTHON"))
    }


@pytest.fixture(scope="module")
def prefix(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation in a prefix of its own, whose path is too long for the first line of a script."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    place = tmp_path_factory.mktemp("install") / ("long" * 30)
    done = deploy(repository, "install", PREFIX=str(place))
    assert done.returncode == 0, done.stderr
    return place


def run(prefix: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed program."""
    return subprocess.run(
        [str(prefix / "bin" / "echo-agent"), *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=WITHIN_S, env=clean_environment(),
    )  # fmt: skip


def test_installed_agent_runs_the_demo(prefix: Path, tmp_path: Path) -> None:
    """The whole chain runs from the installed files alone."""
    done = run(prefix, "demo", "--studies", "1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["studies"], result["delivered"], result["failed"]) == (1, 1, 0)


def test_installed_agent_is_the_installed_one(prefix: Path, repository: Path) -> None:
    """It imports nothing from the working directory, even if that is the checkout."""
    (prefix / "lib" / "echo-agent" / "venv" / "bin" / "python").resolve(strict=True)
    code = "import agent, os; print(os.path.dirname(agent.__file__))"
    done = subprocess.run(
        [str(prefix / "lib/echo-agent/venv/bin/python"), "-P", "-c", code],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    assert Path(done.stdout.strip()).is_relative_to(prefix)
    assert "PYTHONSAFEPATH=1" in (prefix / "bin" / "echo-agent").read_text("utf-8")


def test_configuration_keeps_the_data_under_the_prefix(prefix: Path, tmp_path: Path) -> None:
    """Written files stay under the prefix; the configuration works unchanged."""
    config = prefix / "etc" / "echo-agent" / "config.yaml"
    values = yaml.safe_load(config.read_text("utf-8"))
    assert values["storage"]["path"] == str(prefix / "var/lib/echo-agent/instances")
    assert run(prefix, "config", "check", "--config", str(config), cwd=tmp_path).returncode == 0


def test_upgrade_keeps_a_backup_and_can_be_taken_back(prefix: Path, repository: Path, tmp_path: Path) -> None:
    """The configuration stays, the database is copied first, and a rollback restores the previous state.

    The database is the one that the units use; its URL may be in their environment file only.
    """
    config = prefix / "etc" / "echo-agent" / "config.yaml"
    config.write_text(config.read_text("utf-8") + "# mine\n", "utf-8")
    file = tmp_path / "of the units.db"
    text = config.read_text("utf-8")
    separate = tmp_path / "config.yaml"
    separate.write_text(text.replace(str(prefix / "var/lib/echo-agent/echo-agent.db"), str(file)), "utf-8")
    assert run(prefix, "db", "upgrade", "--config", str(separate), cwd=tmp_path).returncode == 0
    secret = f"# the database\nECHO_AGENT_DATABASE__URL='sqlite:///{file}'\n"
    config.with_name("environment").write_text(secret, "utf-8")
    before = (prefix / "lib/echo-agent/venv").stat().st_ino

    done = deploy(repository, "upgrade", PREFIX=str(prefix))
    assert done.returncode == 0, done.stderr + done.stdout
    assert config.read_text("utf-8").endswith("# mine\n")
    assert config.with_suffix(".yaml.new").is_file()
    assert (prefix / "lib/echo-agent/venv").stat().st_ino != before
    (backup,) = (prefix / "var/lib/echo-agent/backups").iterdir()
    assert backup.stat().st_mode & 0o077 == 0

    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE of_a_later_version (id INTEGER)")
        database.commit()
    file.chmod(0o644)
    done = deploy(repository, "roll-back", PREFIX=str(prefix))
    assert done.returncode == 0, done.stderr + done.stdout
    assert file.stat().st_mode & 0o077 == 0
    assert (prefix / "lib/echo-agent/venv").stat().st_ino == before
    with closing(sqlite3.connect(file)) as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert ("studies" in names, "of_a_later_version" in names) == (True, False)
    assert deploy(repository, "roll-back", PREFIX=str(prefix)).returncode != 0
    config.with_name("environment").unlink()


def test_nothing_is_exchanged_under_a_running_service(prefix: Path, repository: Path, tmp_path: Path) -> None:
    """A process that `serve` started in a user's own prefix is found by its heartbeat."""
    config = prefix / "etc" / "echo-agent" / "config.yaml"
    assert run(prefix, "db", "upgrade", "--config", str(config), cwd=tmp_path).returncode == 0
    (prefix / "lib/echo-agent/venv.before").mkdir(exist_ok=True)
    (prefix / "lib/echo-agent/backup-before").write_text("a backup", "utf-8")
    before = (prefix / "lib/echo-agent/venv").stat().st_ino
    name, later = f"listener@{socket.gethostname()}:1", datetime.now(UTC) + timedelta(hours=1)
    times = [later.strftime("%Y-%m-%d %H:%M:%S.%f")] * 2
    with closing(sqlite3.connect(prefix / "var/lib/echo-agent/echo-agent.db")) as database:
        values = (name, "listener", socket.gethostname(), 1, "{}", *times)
        columns = "id, role, host, pid, about, started_at, seen_at"
        database.execute(f"INSERT INTO workers ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        database.commit()
        done = [deploy(repository, action, PREFIX=str(prefix)) for action in ("upgrade", "roll-back")]
        database.execute("DELETE FROM workers")
        database.commit()
    shutil.rmtree(prefix / "lib/echo-agent/venv.before")
    (prefix / "lib/echo-agent/backup-before").unlink()
    for one in done:
        assert (one.returncode != 0, name in one.stderr, "nothing was changed" in one.stderr) == (True,) * 3
    assert (prefix / "lib/echo-agent/venv").stat().st_ino == before


def test_upgrade_that_fails_half_way_leaves_all_as_it_was(
    prefix: Path, repository: Path, tmp_path: Path
) -> None:
    """A step that fails after the switch is rolled back automatically, units included."""
    config = prefix / "etc" / "echo-agent" / "config.yaml"
    assert run(prefix, "db", "upgrade", "--config", str(config), cwd=tmp_path).returncode == 0
    before = (prefix / "lib/echo-agent/venv").stat().st_ino
    unit = prefix / "etc/systemd/system/echo-agent-listener.service"
    unit.write_text(unit.read_text("utf-8") + "# of the version before\n", "utf-8")
    folder = prefix / "share"
    folder.rename(prefix / "share.away")
    folder.write_text("in the way of a folder", "utf-8")
    done = deploy(repository, "upgrade", PREFIX=str(prefix))
    folder.unlink()
    (prefix / "share.away").rename(folder)
    assert done.returncode != 0
    assert "all is as it was before" in done.stderr
    assert (prefix / "lib/echo-agent/venv").stat().st_ino == before
    assert unit.read_text("utf-8").endswith("# of the version before\n")


def test_upgrade_changes_nothing_when_the_configuration_is_refused(prefix: Path, repository: Path) -> None:
    """A key that the new version does not know is found before anything is stopped."""
    config = prefix / "etc" / "echo-agent" / "config.yaml"
    right = config.read_text("utf-8")
    before = (prefix / "lib/echo-agent/venv").stat().st_ino
    config.write_text(right + "nonsense: 1\n", "utf-8")
    done = deploy(repository, "upgrade", PREFIX=str(prefix))
    config.write_text(right, "utf-8")
    assert done.returncode != 0
    assert "nothing was changed" in done.stderr
    assert (prefix / "lib/echo-agent/venv").stat().st_ino == before


def test_install_into_an_image_can_be_moved(
    repository: Path, tmp_path: Path, program: Callable[[str], str]
) -> None:
    """Everything lies under DESTDIR with the final paths; the program runs from any location."""
    first = tmp_path / "first"
    done = deploy(repository, "install", PREFIX="/opt/echo-agent", DESTDIR=str(first))
    assert done.returncode == 0, done.stderr
    root = first.rename(tmp_path / "second")
    assert run(root / "opt/echo-agent", "--version", cwd=tmp_path).stdout.startswith("echo-agent ")
    unit = (root / "etc/systemd/system/echo-agent-listener.service").read_text("utf-8")
    assert "ExecStart=/opt/echo-agent/bin/echo-agent listen --config /etc/echo-agent/config.yaml" in unit
    values = yaml.safe_load((root / "etc/echo-agent/config.yaml").read_text("utf-8"))
    assert values["database"]["url"] == "sqlite:////var/lib/echo-agent/echo-agent.db"
    for path in ("usr/lib/sysusers.d/echo-agent.conf", "usr/lib/tmpfiles.d/echo-agent.conf"):
        assert (root / path).is_file()
    verified = subprocess.run(
        [program("systemd-analyze"), "verify", f"--root={root}", "echo-agent.target"],
        capture_output=True,
        text=True,
    )
    assert [line for line in verified.stderr.splitlines() if "echo-agent" in line] == []


def test_installed_script_runs_though_its_path_is_too_long_for_a_first_line(
    prefix: Path, tmp_path: Path
) -> None:
    """The kernel reads 127 bytes of the first line: a script with a longer path finds Python otherwise."""
    script = prefix / "lib" / "echo-agent" / "venv" / "bin" / "echo-agent"
    assert len(script.read_text("utf-8").splitlines()[0]) < 127 < len(str(script))
    shown = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert (shown.returncode, shown.stdout.split()[:1]) == (0, ["echo-agent"]), shown.stderr


def test_install_never_fails_without_a_word(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step whose program fails silently is named, with the remedy."""
    silent = tmp_path / "bin" / "mktemp"
    silent.parent.mkdir()
    silent.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    silent.chmod(0o755)
    monkeypatch.setenv("PATH", f"{silent.parent}:{os.environ['PATH']}")
    done = deploy(repository, "install", PREFIX=str(tmp_path / "echo"))
    assert done.returncode != 0
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("deploy: ")]
    assert "mktemp" in line
    assert "run this again" in line
