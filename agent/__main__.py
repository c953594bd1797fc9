"""`python -m agent` is `echo-agent`; the supervisor starts its children this way."""

from agent.cli import app

app(prog_name="echo-agent")
