"""The exceptions of shadow mode: switches of the model, and calibrations."""

from __future__ import annotations

from agent.foundation.errors import AgentError


class SwitchRefused(AgentError):
    """The model is not switched: the comparison is not complete yet, or there is nothing to switch."""

    code = "model-switch-refused"
    hint = "let both models draft more studies; `echo-agent model compare` shows how far they are"


class ModelNotAsSwitched(AgentError):
    """The checkpoint that was switched to holds other weights now: they were never compared."""

    code = "model-not-as-switched"
    hint = "put the weights back, or return to the main model with `echo-agent model back`"


class CalibrationRefused(AgentError):
    """A calibration cannot be fitted, or is not reliable enough to be stored."""

    code = "calibration-refused"
    hint = "wait for more signed reports"
