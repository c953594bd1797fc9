"""Decoders with a common signature: autoregressive, multi-step, one-step unfused, and ECHO's fused one."""

from __future__ import annotations

from model.decode.autoregressive import decode_autoregressive
from model.decode.fused import decode_fused
from model.decode.multistep import decode_multistep
from model.decode.onestep import decode_onestep
from model.decode.options import Decoded, DecodeOptions, Decoder, Observer

__all__ = [
    "DecodeOptions",
    "Decoded",
    "Decoder",
    "Observer",
    "decode_autoregressive",
    "decode_fused",
    "decode_multistep",
    "decode_onestep",
]
