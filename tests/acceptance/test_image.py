"""The image, built by buildah and started. This takes many minutes and runs only on request."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(3600)]

# A base image with Debian's packages, as made by `debootstrap` and `buildah from scratch`; options for pip.
BASE, PIP_ARGS = os.environ.get("ECHO_AGENT_TEST_BASE"), os.environ.get("ECHO_AGENT_TEST_PIP_ARGS", "")
NAME = "localhost/echo-agent-test"


def buildah(*arguments: str) -> str:
    """Run buildah and return what it prints."""
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def container(repository: Path) -> Iterator[str]:
    """A container of the image."""
    if BASE is None:
        pytest.skip("building takes many minutes: ECHO_AGENT_TEST_BASE names the base image to build it on")
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed: apt-get install buildah")
    build = ("--isolation", "chroot", "--format", "docker", "--build-arg", f"BASE={BASE}")
    pip = (
        "--build-arg",
        f"PIP_ARGS={PIP_ARGS}",
        "--volume",
        "/etc/ssl/certs/ca-certificates.crt:/etc/ca-host.crt:ro",
    )
    buildah("bud", *build, *pip, "-f", str(repository / "deploy/Containerfile"), "-t", NAME, str(repository))
    name = buildah("from", NAME)
    yield name
    buildah("rm", name)


def inside(container: str, *command: str) -> str:
    """The output of a command in the container, run as the image's user."""
    return buildah("run", "--isolation", "chroot", container, "--", *command)


def test_image_runs_as_its_own_user_and_writes_nothing_but_its_data(container: str) -> None:
    """The user is not root, and none of the program's files is writable."""
    assert inside(container, "id", "-u") == "10001"
    assert (
        inside(container, "sh", "-c", "touch /opt/echo-agent/x /etc/x 2>/dev/null || echo refused")
        == "refused"
    )
    assert inside(container, "sh", "-c", "touch /var/lib/echo-agent/x && echo written") == "written"


def test_image_starts_the_program(container: str) -> None:
    """The program and its database work in the image."""
    assert "echo-agent" in inside(container, "echo-agent", "--version")
    inside(container, "sh", "-c", "cd /tmp && ECHO_AGENT_CONFIG= echo-agent db upgrade")


def test_image_says_how_it_is_run(container: str) -> None:
    """User, health check and command are set in the image."""
    config = json.loads(buildah("inspect", "--type", "image", NAME))["Docker"]["config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["echo-agent"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
