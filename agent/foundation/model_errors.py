"""The exceptions of shadow mode: switching models, and calibrations."""

from __future__ import annotations

from agent.foundation.errors import AgentError


class SwitchRefused(AgentError):
    """The model was not switched: the comparison is not complete yet, or there is nothing to switch to."""

    code = "model-switch-refused"
    hint = "let both models draft more studies; `echo-agent model compare` shows how far they are"


class ModelNotAsSwitched(AgentError):
    """The checkpoint that the service switched to now holds other weights, which were never compared."""

    code = "model-not-as-switched"
    hint = "put the weights back, or return to the main model with `echo-agent model back`"


class CalibrationRefused(AgentError):
    """A calibration cannot be fitted, or is not reliable enough to be stored."""

    code = "calibration-refused"
    hint = "wait for more signed reports"
