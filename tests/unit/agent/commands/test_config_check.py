"""`config check` reports everything that is wrong with a configuration, and no configuration crashes it."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel
from typer.testing import CliRunner

from agent.commands.cli import app
from agent.commands.configuration.check import check
from agent.foundation.errors import SettingsError
from agent.foundation.settings import load
from agent.foundation.settings.shape import model_of
from agent.foundation.settings.tree import Settings

from .broken_configurations import broken

CLI = CliRunner()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings in the environment of the person who runs the tests."""
    for name in [one for one in os.environ if one.startswith("ECHO_AGENT_")]:
        monkeypatch.delenv(name)


def checked(folder: Path, content: str | bytes) -> tuple[int, str]:
    """Run `config check` on a file; return its exit status and output."""
    path = folder / "config.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    done = CLI.invoke(app, ["config", "check", "--config", str(path)])
    return done.exit_code, done.output


def test_no_configuration_breaks_the_program(tmp_path: Path) -> None:
    """Each of more than 250 broken files is refused with a clear message, or accepted if it is valid."""
    count, wrong = 0, []
    for name, content, refused in broken():
        count += 1
        status, said = checked(tmp_path, content)
        clear = status == 0 or (status == 2 and re.search(r"config\.yaml", said) and "unforeseen" not in said)
        if not clear or "Traceback" in said or (refused and status == 0):
            wrong.append((name, status, said[-300:]))
    assert (wrong, count > 250) == ([], True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("listner: {port: 1}", "listner (line 1): there is no such key; did you mean `listener`?"),
        (
            "\nstudies:\n  quite_time_s: 1",
            "studies.quite_time_s (line 3): there is no such key; did you mean",
        ),
        ("log: {level: warn}", "did you mean `warning`?"),
        ("listener:\n  port: 1\n  port: 2", "listener.port (line 3): the key is already in line 2"),
        ("listener: {host: '10.0.0.1:104'}", "`host: 10.0.0.1` and `port: 104`"),
        ("archive: {host: 'dicom://pacs'}", "give the host alone"),
        ("archive: {host: 10.0.0.256}", "neither a host name nor an IP address"),
        ("eligibility: [{name: a, decision: skip, text: '('}]", "this is not a regular expression"),
        ('eligibility: [{name: a, decision: skip, text: "\\bchest"}]', "goes in single quotes"),
        (
            "urgency: [{name: a, concept: [pneumothorx], level: urgent, priority: 1}]",
            "did you mean `pneumothorax`",
        ),
        ("listener: {port: 9000}\nweb: {port: 9000}", "`listener.port` is 9000 too"),
        ("listener: {port: 9000}\nups: {enabled: true, port: 9000}", "`listener.port` is 9000 too"),
        ("ups: {http_host: '10.0.0.1:104'}", "the port is a setting of its own"),
        ("listener: {port: 9000}\nweb: {port: 9000, host: 192.0.2.1}", "other machines could reach"),
        ("destinations: [{name: a, host: 127.0.0.1, port: 11112}]", "this is our own `listener.port`"),
        (
            "destinations: [{name: a, host: pacs}, {name: b, host: PACS}]",
            "it would get every document twice",
        ),
        (
            "model: {checkpoint: /proc/no/such}",
            "model.checkpoint (line 1): the directory cannot be read: No such file",
        ),
        ("web: {tls_certificate: /no/c.pem, tls_key: /no/k.pem}", "No such file or directory"),
        ("web: {tls_certificate: /no/c.pem}", "go together"),
        (
            "\nfindings: {vocabulary: /no/v.yaml}",
            "config.yaml: correct findings.vocabulary (line 2): the findings",
        ),
        ("database: {url: 'postgres://a@b/c'}", "did you mean postgresql?"),
        ("database: {url: 'mysql://a@b/c'}", "the database is sqlite:///FILE"),
        ("database: {url: 'sqlite:///:memory:'}", "a database in memory is lost"),
        ("database: {url: 'sqlite://var/a.db'}", "three slashes"),
        ("database: {url: 'postgresql://a@b'}", "the name of the database is missing"),
        ("studies: {quiet_time_s: 3600, force_after_s: 60}", "longer than `studies.force_after_s`"),
        ("listener: {allow: [{ae_title: A, address: 192.0.2.1}]}", "only this machine can reach it"),
        ("destinations: [{name: a, stow_url: 'http://pacs:99999/'}]", "its port is a number up to 65535"),
    ],
)
def test_check_says_where_and_what_to_do(tmp_path: Path, content: str, said: str) -> None:
    """A mistake is reported with its place and the probable intention."""
    status, output = checked(tmp_path, content)
    assert (status, said in output) == (2, True), output


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ECHO_AGENT_DATABSE__URL", "did you mean `database`?"),
        ("ECHO_AGENT_LISTENER_PORT", "did you mean `ECHO_AGENT_LISTENER__PORT`?"),
        ("ECHO_AGENT_LISTENER__PROT", "did you mean `port`?"),
        ("ECHO_AGENT_WEB__OIDC__ISUER", "did you mean `issuer`?"),
        ("ECHO_AGENT_LISTENER", "given as JSON"),
    ],
)
def test_misspelt_variables_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    """A variable that names no setting would silently have no effect."""
    monkeypatch.setenv(name, "x")
    status, output = checked(tmp_path, "")
    assert (status, said in output) == (2, True), output


def test_secrets_that_others_can_read_are_named(tmp_path: Path) -> None:
    """A secret in a file that others can read is reported without printing it."""
    path = tmp_path / "config.yaml"
    path.write_text("web: {session_key: hush-hush}", encoding="utf-8")
    path.chmod(0o644)
    done = CLI.invoke(app, ["config", "check", "-c", str(path)])
    assert (done.exit_code, "hush-hush" in done.output, "chmod" in done.output) == (2, False, True)
    path.chmod(0o640)
    assert CLI.invoke(app, ["config", "check", "-c", str(path)]).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


OWN_PORTS = ("listener.port", "listener.stow.port", "hl7.port", "ups.port", "ups.http_port", "web.port")
PEERS_PORTS = ("archive.port", "destinations.port", "mwl.port", "ups.managers.port", "ups.subscribers.port")


def with_port(place: str, port: int, **more: object) -> str:
    """Return a configuration in which one of the service's processes listens at a port."""
    *sections, name = place.split(".")
    tree: dict[str, object] = {name: port, **more}
    if place.startswith(("hl7", "ups")):
        tree["enabled"] = True
    for section in reversed(sections):
        tree = {section: tree}
    return yaml.dump(tree)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(OWN_PORTS, 2)))
def test_two_of_our_ports_are_never_equal(tmp_path: Path, one: str, other: str) -> None:
    """A port configured twice is found before the second process fails to start, whatever its protocol."""
    first, second = yaml.safe_load(with_port(one, 9000)), yaml.safe_load(with_port(other, 9000))
    for key, value in second.items():
        first[key] = {**first.get(key, {}), **value}
    assert "is 9000 too" in checked(tmp_path, yaml.dump(first))[1]


def test_every_port_is_one_of_ours_or_a_peers() -> None:
    """Every port in the settings is known either as the service's own or as another system's."""

    def ports(model: type[BaseModel], place: str) -> Iterator[str]:
        for key, field in model.model_fields.items():
            inner = model_of(field.annotation)
            if inner is not None:
                yield from ports(inner, f"{place}{key}.")
            elif key.endswith("port"):
                yield f"{place}{key}"

    assert set(ports(Settings, "")) == {*OWN_PORTS, *PEERS_PORTS}


def test_port_of_another_machine_may_be_ours(tmp_path: Path) -> None:
    """A worklist of the RIS may have the same port number as the service's own listener."""
    status, said = checked(
        tmp_path,
        "listener: {host: 0.0.0.0, port: 104, allow: [{ae_title: A, address: 192.0.2.1}]}\n"
        "mwl: {host: 192.0.2.40, port: 104, ae_title: RIS}",
    )
    assert status == 0, said


def test_sections_without_a_key_are_the_defaults(tmp_path: Path) -> None:
    """A section with all its keys commented out is not an error."""
    assert checked(tmp_path, "listener:\ndestinations:\nweb:\n") == (0, "the configuration is valid\n")


def test_whatever_a_validator_raises_is_a_settings_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that reloads its settings handles only these errors, so that no other may be raised."""

    def raising(**_values: object) -> Settings:
        raise ZeroDivisionError

    raising.model_fields = Settings.model_fields  # type: ignore[attr-defined]
    monkeypatch.setattr(load, "Settings", raising)
    with pytest.raises(SettingsError, match="ZeroDivisionError"):
        check(None)
