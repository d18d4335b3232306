"""`Aggregator`: what replies become: `RunningMean`, `CollectAll`, `MaskedSum`; `Averaging` uses the first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, ClassVar, Protocol, cast

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from federated.messages.records import array_of, values_of

_PIECE = 2**16  # values


class Aggregator(Protocol):
    """Takes one record of arrays of each accepted reply, in one order of clients, as soon as it is its turn."""

    def add(self, arrays: ArrayRecord, *, weight: int) -> None:
        """Take a client's arrays, with the same keys, shapes and types each time."""
        ...

    def result(self) -> ArrayRecord | None:
        """Combine what was added, or None if nothing was; after that nothing has been added."""
        ...


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
            values = values_of(array)
            if key in self._sums:
                _add_product(self._sums[key], values, weight)
            else:
                self._sums[key] = np.multiply(values, weight, out=np.empty(values.shape), dtype=np.float64)
                self._dtypes[key] = array.dtype
        self._weight += weight

    @property
    def weight(self) -> int:
        """Sum of the weights so far."""
        return self._weight

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


def _add_product(total: npt.NDArray[np.float64], values: npt.NDArray[Any], weight: int) -> None:
    # In pieces that stay in the processor's cache: what waited for a slow site is summed after the deadline.
    into, given = total.reshape(-1), values.reshape(-1)
    product = np.empty(min(_PIECE, given.size))
    for start in range(0, given.size, _PIECE):
        piece = given[start : start + _PIECE]
        into[start : start + _PIECE] += np.multiply(piece, weight, out=product[: piece.size], dtype=np.float64)


class CollectAll:
    """Keeps all arrays until the last has come, for what no sum can tell, such as a median.

    Parameters
    ----------
    combine : callable
        Values [clients, ...] and weights [clients] to values [...]; called for each key.
    """

    def __init__(
        self, combine: Callable[[npt.NDArray[Any], npt.NDArray[np.int64]], npt.NDArray[np.generic]]
    ) -> None:
        self._combine = combine
        self._records: list[ArrayRecord] = []
        self._weights: list[int] = []

    def add(self, arrays: ArrayRecord, *, weight: int) -> None:
        """Keep a client's arrays."""
        self._records.append(ArrayRecord(dict(arrays)))
        self._weights.append(weight)

    def result(self) -> ArrayRecord | None:
        """What was kept, combined key by key, in the arrays' own types."""
        records, weights = self._records, np.array(self._weights, dtype=np.int64)
        self._records, self._weights = [], []
        if not records:
            return None
        return ArrayRecord(
            {
                key: as_type(
                    np.asarray(self._combine(np.stack([values_of(r[key]) for r in records]), weights)),
                    array.dtype,
                )
                for key, array in records[0].items()
            }
        )


class MaskedSum:
    """A sum of whole numbers modulo 2**64, in which masks that the clients agreed on cancel.

    For secure aggregation: clients send fixed-point numbers (uint64) plus masks that add up to 0 over all
    clients, so that the server learns the sum alone (Bonawitz et al. 2017). Weights are applied before masks.
    """

    def __init__(self) -> None:
        self._sums: dict[str, npt.NDArray[np.uint64]] = {}

    def add(self, arrays: ArrayRecord, *, weight: int = 1) -> None:
        """Add a client's masked numbers.

        Parameters
        ----------
        arrays : ArrayRecord
            Of type uint64.
        weight : int
            Not used.
        """
        for key, array in arrays.items():
            values = cast("npt.NDArray[np.uint64]", values_of(array))
            self._sums[key] = self._sums[key] + values if key in self._sums else values.copy()

    def remove(self, masks: ArrayRecord) -> None:
        """Subtract masks that did not cancel, because the clients that hold the other half are gone."""
        for key, mask in masks.items():
            self._sums[key] = self._sums[key] - values_of(mask)

    def result(self) -> ArrayRecord | None:
        """The sum; after that nothing has been added."""
        sums, self._sums = self._sums, {}
        return ArrayRecord({key: array_of(values) for key, values in sums.items()}) if sums else None


class Averaging(FedAvg):
    """A mixin, named behind one of Flower's strategies that average, in whose place it takes the average.

    Replies whose arrays were not taken before, because another grid than `RoundGrid` is at work, are added
    when they are aggregated.

    Parameters
    ----------
    **kwargs
        Of Flower's FedAvg.

    Attributes
    ----------
    more : tuple of str
        Names of further records of arrays that replies carry, averaged in the same way.
    averages : dict of str to ArrayRecord
        Of the last round, by record, before Flower's strategy has made its step.
    weight : int
        Sum of the weights of the last round.
    """

    more: ClassVar[Sequence[str]] = ()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.averages: dict[str, ArrayRecord] = {}
        self.weight = 0
        self._means = {name: RunningMean() for name in (self.arrayrecord_key, *self.more)}

    def take(self, reply: Message) -> None:
        """Add a reply's arrays to the sums of this round; they are no longer in the reply then.

        Parameters
        ----------
        reply : Message
            One that passed `check_reply`.
        """
        weight = self._weight_of(reply.content)
        for name, mean in self._means.items():
            arrays = reply.content.array_records[name]
            mean.add(arrays, weight=weight)
            # Emptied, too: Flower's records refer to themselves, so that Python frees them late.
            arrays.clear()
            del reply.content[name]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Finish the sums, and average the metrics.

        Parameters
        ----------
        replies : iterable of Message
            Sorted by client.
        """
        answers = [reply for reply in replies if reply.has_content()]
        for reply in answers:
            if self.arrayrecord_key in reply.content:
                self.take(reply)
        self.weight = self._means[self.arrayrecord_key].weight
        results = {name: mean.result() for name, mean in self._means.items()}
        self.averages = {name: result for name, result in results.items() if result is not None}
        average = self.averages.get(self.arrayrecord_key)
        if average is None:
            return None, None
        metrics = self.train_metrics_aggr_fn([reply.content for reply in answers], self.weighted_by_key)
        return ArrayRecord(dict(average)), metrics  # a copy: FedAvgM empties what it is given

    def with_averages(self, arrays: ArrayRecord, *, keys: Collection[str]) -> ArrayRecord:
        """A model with this round's average for some of its keys, such as buffers that no step should move."""
        average = self.averages[self.arrayrecord_key]
        return ArrayRecord({key: average[key] if key in keys else array for key, array in arrays.items()})

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
