"""Exact statistics of many batches in place of running averages."""

from . import communicator as _communicator
from ._library import Handle, check, library
from .batch_norm import SyncBatchNorm


class PreciseStatistics:
    """Mean and variance of all values that a layer has seen, as if they had been one batch.

        precise = lockstep.PreciseStatistics(norm)
        for x in batches:
            norm.forward(x)
            precise.add()
        precise.finish()                  # they are now the layer's running averages
    """

    def __init__(self, layer: SyncBatchNorm):
        self._layer = layer  # which the handle looks into
        self._handle = Handle("precise_statistics", layer._address)

    def add(self) -> None:
        """After each forward."""
        check(library().lockstep_precise_statistics_add(self._handle.address))

    def finish(self, least_batches: int = 1, among=None) -> None:
        """Fewer batches with values than `least_batches` are an error that changes nothing.

        Collective over `among`, which is for a layer that is local to each of its ranks.
        """
        if among is None:
            check(library().lockstep_precise_statistics_finish(self._handle.address, least_batches))
        else:
            check(library().lockstep_precise_statistics_finish_among(
                self._handle.address, _communicator.of(among).address, least_batches))
