"""`python -m agent` is `echo-agent`; the supervisor starts its children this way."""

from agent.commands.cli import app

app(prog_name="echo-agent")
