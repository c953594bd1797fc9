"""Processes of `multiprocessing`, forked from a server that has imported training, which takes seconds."""

from __future__ import annotations

import gc
import multiprocessing

# This module is imported first, in the server too, and nothing that is imported afterwards is garbage.
gc.set_threshold(100_000, 20, 100)
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "model.train.recipe", "model.train.curves", "model.train.lora"])
