"""What the process that trials are forked from imports, once for all of them."""

from __future__ import annotations

import gc

import shared.runtime.fast_imports  # noqa: F401  # before what it imports

import federated.client.app
import federated.server.app  # noqa: F401
import simulations.compare
import simulations.engine.worker
import simulations.resuming
import simulations.sweeps.apart
import simulations.sweeps.trial  # noqa: F401

gc.collect()
gc.freeze()  # a collection in a trial would look through all of this again, and copy every page of it
