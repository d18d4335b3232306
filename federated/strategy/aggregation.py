"""`WeightedMean`: the average that strategies start from, as one running sum that `RoundGrid` feeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from federated.messages.records import array_of, values_of


class RunningMean:
    """A weighted mean of models that holds their sum, and none of them.

    Sums are float64, so a single model with any whole weight is its own mean to the last bit. Sums of more
    depend on their order in the last bits: whoever adds keeps to one order.
    """

    def __init__(self) -> None:
        self._sums: dict[str, npt.NDArray[np.float64]] = {}
        self._dtypes: dict[str, str] = {}
        self._weight = 0

    def add(self, arrays: ArrayRecord, *, weight: int) -> None:
        """Add a model.

        Parameters
        ----------
        arrays : ArrayRecord
            With the same keys, shapes and types each time.
        weight : int
            Such as its number of examples.
        """
        for key, array in arrays.items():
            product = np.multiply(values_of(array), weight, dtype=np.float64)
            if key in self._sums:
                self._sums[key] += product
            else:
                self._sums[key], self._dtypes[key] = product, array.dtype
        self._weight += weight

    def result(self) -> ArrayRecord | None:
        """The mean; after that nothing has been added.

        Returns
        -------
        ArrayRecord or None
            In the arrays' own types, whole numbers rounded; None if nothing was added.
        """
        if not self._weight:
            return None
        mean = ArrayRecord(
            {key: as_type(self._sums.pop(key) / self._weight, dtype) for key, dtype in self._dtypes.items()}
        )
        self._weight = 0
        return mean


class WeightedMean(FedAvg):
    """A mixin, named behind one of Flower's strategies that average, in whose place it takes the average.

    Replies whose arrays were not taken before, because another grid than `RoundGrid` is at work, are added
    when they are aggregated.

    Parameters
    ----------
    **kwargs
        Of Flower's FedAvg.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average: ArrayRecord | None = None  # of the last round, before Flower's strategy has made its step
        self._mean = RunningMean()

    def take(self, reply: Message) -> None:
        """Add a reply's arrays to the sum of this round; they are no longer in the reply then.

        Parameters
        ----------
        reply : Message
            One that passed `check_reply`.
        """
        arrays = reply.content.array_records[self.arrayrecord_key]
        self._mean.add(arrays, weight=self._weight_of(reply.content))
        # Emptied, too: Flower's records refer to themselves, so that Python frees them late.
        arrays.clear()
        del reply.content[self.arrayrecord_key]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Finish the sum, and average the metrics.

        Parameters
        ----------
        replies : iterable of Message
            Sorted by client.
        """
        answers = [reply for reply in replies if reply.has_content()]
        for reply in answers:
            if self.arrayrecord_key in reply.content:
                self.take(reply)
        self.average = self._mean.result()
        if self.average is None:
            return None, None
        metrics = self.train_metrics_aggr_fn([reply.content for reply in answers], self.weighted_by_key)
        return ArrayRecord(dict(self.average)), metrics  # a copy: FedAvgM empties what it is given

    def _weight_of(self, content: RecordDict) -> int:
        (metrics,) = content.metric_records.values()
        return cast(int, metrics[self.weighted_by_key])


def as_type(values: npt.NDArray[np.generic], dtype: str) -> Array:
    """Values as an array of a type, rounded if that is one of whole numbers.

    Parameters
    ----------
    dtype : str
        NumPy's name.
    """
    if np.issubdtype(np.dtype(dtype), np.integer):
        values = np.rint(values)
    return array_of(np.asarray(values.astype(dtype)))
