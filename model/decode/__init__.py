"""Decoders of one signature: autoregressive, multi-step, one-step unfused, and ECHO's fused one."""

from __future__ import annotations

from model.config import ModelConfig, Stage
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
    "choose_decoder",
    "decode_autoregressive",
    "decode_fused",
    "decode_multistep",
    "decode_onestep",
]


def choose_decoder(config: ModelConfig) -> Decoder:
    """The fastest decoder that a checkpoint can serve.

    The fused decoder honours the checkpoint's denoising steps and threshold; a checkpoint that has not
    seen masks yet is decoded token by token.
    """
    return decode_autoregressive if config.stage is Stage.AR else decode_fused
