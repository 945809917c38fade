"""What keeps a rate that nobody has chosen from wrecking a model: none ends worse than the best constant prediction."""

import math
from collections.abc import Callable

import numpy as np

from fastgd import kernels
from fastgd._engine.cut_epoch import BeforeEpoch
from fastgd._engine.slices import Engine
from fastgd.activations import Dropout, Identity, ReLU
from fastgd.data.base import Dataset
from fastgd.data.block import Block, MeanAndScale, read_only, require_finite
from fastgd.data.reader import Reader, blocks
from fastgd.data.sparse_rows import SparseRows
from fastgd.data.subset import Subset
from fastgd.errors import DivergenceError, warn
from fastgd.layers import Linear
from fastgd.losses import LARGEST_LOGIT, Loss, kind_of, require_targets, takes_every_number
from fastgd.model import Model
from fastgd.model_data import check_rows, rows_without_X
from fastgd.network import evaluate_rows, network_of
from fastgd.threads import ThreadPool

# So many rows are judged by, where there are more, and so many of them are the longest: a model is wrecked by few rows,
# which no sample would find.
_JUDGED, _LONGEST = 1 << 15, 1 << 11
# They are kept as the kernels take them, in so many bytes at most: fewer, where rows are long.
_JUDGED_BYTES = 64 << 20
# At the end of a fit, all rows are, up to so many.
_JUDGED_AT_LAST = 1 << 17
# How often an epoch is taken back before nothing can be learnt.
_MOST_SETBACKS = 8
# An epoch of fewer updates may lead up before the next lead down, to a hundred times the best constant's loss.
_FIRST_UPDATES, _ALLOWANCE = 32, 99.0
# By so much a loss may be larger: rounding, and the noise of the last steps.
_TOLERANCE = 1e-3
# A search by the golden ratio for the best constant halves its error in about one and a half steps.
_GOLDEN, _SEARCH_STEPS = (math.sqrt(5) - 1) / 2, 80
# How near a model comes to it need not be so exact.
_SHRINKAGE_STEPS = 20


class LongestRows:
    """The rows of a data set that are the longest as a model's first layer takes them, found in one pass.

    Attributes
    ----------
    indices : (at most 2048,) int64, those of weight zero left out
    largest, mean : float, of v (|x|² + 1) with v the row's weight
    """

    def __init__(
        self,
        dataset: Dataset,
        dtype: np.dtype,
        mean_and_scale: MeanAndScale | None = None,
        mean_and_scale_of_y: MeanAndScale | None = None,
    ) -> None:
        sizes, self.indices, total = np.empty(0), np.empty(0, np.int64), 0.0
        scratch = np.zeros(dataset.n_features if dataset.is_sparse else 0)
        for start, block in blocks(dataset, dtype, mean_and_scale, mean_and_scale_of_y):
            new = np.empty(block.n_samples)
            if dataset.is_sparse:
                kernels.csr_row_squares(block.X.csr, scratch, new)
            else:
                kernels.row_squares(block.X, new)
            new += 1
            if block.sample_weight.size:
                new *= block.sample_weight
            if not (np.isfinite(new.sum()) and (new >= 0).all()):
                require_finite(block, lambda row, start=start: dataset.row_number(start + row))
            total += float(new.sum())
            sizes = np.concatenate([sizes, new])
            self.indices = np.concatenate([self.indices, np.arange(start, start + len(new))])
            if len(sizes) > _LONGEST:
                kept = np.argpartition(sizes, len(sizes) - _LONGEST)[-_LONGEST:]
                sizes, self.indices = sizes[kept], self.indices[kept]
        self.indices = self.indices[sizes > 0]
        self.largest, self.mean = float(sizes.max()), total / dataset.n_samples


class Safeguard:
    """Epochs of a rate that nobody has chosen, of which none ends worse than the best constant prediction.

    engine : trains the model          loss : what it learns by
    longest : rows of the data set

    Attributes
    ----------
    constant : (n_outputs,), the best constant prediction on the rows that are judged by
    before : BeforeEpoch or None
        What an epoch began with, as long as it is not found good.
    """

    def __init__(self, engine: Engine, model: Model, dataset: Dataset, loss: Loss, longest: LongestRows) -> None:
        self._engine, self._model, self._loss = engine, model, loss
        self._dataset = dataset
        row_bytes = dataset.row_bytes if dataset.is_sparse else model.in_features * model.dtype.itemsize
        n_rows = max(min(_JUDGED, _JUDGED_BYTES // row_bytes), 2 * _LONGEST)
        judged = dataset
        if dataset.n_samples > n_rows:
            spread = np.linspace(0, dataset.n_samples - 1, n_rows - _LONGEST).astype(np.int64)
            judged = Subset(dataset, np.union1d(spread, longest.indices))
        self._n_judged = judged.n_samples
        self._network = network_of(model, judged.n_samples, n_threads=engine.n_threads)
        self._pool = ThreadPool(self._network.products)
        self._objective = kernels.objective(loss, model.dtype)
        self._rows = _kept_rows(model, judged, loss)
        self.constant, self._constant_loss = best_constant(self._rows, loss, model.out_features)
        self.before: BeforeEpoch | None = None
        # What was measured last, after the parameters that it was measured with.
        self._known: tuple[np.ndarray, float] | None = None

    def train_epoch(
        self,
        reader: Reader,
        epoch: int,
        on_rows: Callable[[int, float], None] | None,
        slow_down: Callable[[int, str], float],
        before: BeforeEpoch | None = None,
    ) -> float:
        """Train for an epoch that ends no worse than the best constant prediction, or than it began.

        Any other is taken back and tried again at a lower rate. An epoch of few updates may end somewhat worse, as
        steps that soon lead far down may first lead up.

        reader, epoch, on_rows : as for `Engine.train_epoch`
        slow_down : called with the epoch and what went wrong, returns the new factor of the rate
        before : what the epoch began with, where it goes on from a place in its midst
        """
        goes_on = before is not None
        self.before = before or BeforeEpoch(self._engine.state.copy(), self._measured(), 0)
        while self.before.n_setbacks < _MOST_SETBACKS:
            reason = "its loss was more than that of the best constant prediction"
            try:
                mean_loss = self._engine.train_epoch(reader, epoch, on_rows, goes_on)
                n_updates = self._engine.n_updates - int(self.before.arrays["n_updates"][0])
                if self._is_good(_ALLOWANCE if n_updates < _FIRST_UPDATES else _TOLERANCE):
                    self.before = None
                    return mean_loss
            except DivergenceError:
                reason = "it diverged"
            goes_on = False
            with kernels.interrupts_deferred():
                # What Ctrl-C has saved is a run before all of this, or after it.
                self._engine.state.assign(self.before.arrays)
                self._engine.rates.factor = slow_down(epoch, reason)
                self.before = self.before._replace(n_setbacks=self.before.n_setbacks + 1)
        loss_before, self.before = self.before.loss, None
        rates = f"at any learning rate down to {self._engine.rates.at():.2g}"
        if not math.isfinite(loss_before):
            raise DivergenceError(
                f"epoch {epoch} diverged {rates}: the model overflows as it was. Scale features and targets to about "
                "1, or begin with smaller weights."
            )
        warn(
            f"epoch {epoch} has taught the model nothing {rates}: see history.setbacks. Scale features and targets to "
            "about 1, or choose a learning rate",
            RuntimeWarning,
        )
        return loss_before

    def end(self) -> np.ndarray | None:
        """Leave a good model behind, whatever ended the training.

        Where it was worse than the best constant prediction, its predictions are brought so near to that that it is
        not, and its parameters from before are returned, for training to go on from.
        """
        if self.before is not None and not self._is_good(_TOLERANCE):
            self._engine.state.assign(self.before.arrays)
        if not self._n_judged < self._dataset.n_samples <= _JUDGED_AT_LAST:
            return self._shrink(self._measured)
        try:
            check_rows(self._model, self._dataset, self._loss)
        except ValueError:
            # A row that training has refused, or did not come to: nothing can be told from all rows.
            return self._shrink(self._measured)
        targets = rows_without_X(self._model, self._dataset)
        outputs = self._model.out_features
        self.constant, self._constant_loss = best_constant(targets, self._loss, outputs, by_target=True)
        return self._shrink(lambda: self._model.loss(self._dataset, loss=self._loss, n_threads=self._engine.n_threads))

    def _is_good(self, allowance: float) -> bool:
        """Whether the model is as good as the best constant prediction, but for an allowance, or as it was before."""
        found, constant, before = self._measured(), self._constant_loss, self.before.loss
        return found <= constant + allowance * abs(constant) or found <= before + _TOLERANCE * abs(before)

    def _shrink(self, loss: Callable[[], float]) -> np.ndarray | None:
        """Where the model is worse than the best constant prediction, bring its predictions as near to that as is best,
        if its last layer can; return what its parameters were then.

        What says which of two rows has the larger target, or which class is likelier, outlasts that.

        loss : the model's
        """
        found, model = loss(), self._model
        if found <= self._constant_loss + _TOLERANCE * abs(self._constant_loss):
            return None
        before = model.parameters.copy()
        stack = [layer for layer in model.stack if not isinstance(layer, Dropout | Identity)]
        constant = self.constant
        if isinstance(stack[-1], ReLU):
            stack, constant = stack[:-1], np.maximum(constant, 0)
        last = stack[-1]
        if not isinstance(last, Linear):
            return None
        weight, bias = last.weight.copy(), None if last.bias is None else last.bias.copy()

        def shrunk(share: float) -> float:
            # Zero times infinity would be no constant.
            last.weight = share * weight if share > 0 else 0
            if bias is not None:
                last.bias = constant + share * (bias - constant) if share > 0 else constant
            return loss()

        share = _least_between(shrunk, 0.0, 1.0, _SHRINKAGE_STEPS) if math.isfinite(found) else 0.0
        of_share = shrunk(share)
        if not of_share < shrunk(0.0):
            share = 0.0
        if shrunk(share) < found or math.isnan(found):
            return before
        model.parameters = before
        return None

    def _measured(self) -> float:
        """The mean loss on the rows that are judged by; not a number, or infinite, where the model overflows."""
        parameters = self._model.parameters
        if self._known is None or not np.array_equal(parameters, self._known[0]):
            loss_sum = np.zeros(1)
            evaluate_rows(self._pool, self._network, parameters, self._objective, self._rows, loss_sum)
            self._known = parameters.copy(), float(loss_sum[0]) / self._n_judged
        return self._known[1]


def _kept_rows(model: Model, dataset: Dataset, loss: Loss) -> Block:
    """All rows as the first layer takes them; a ValueError names the first that training would refuse."""
    if dataset.is_sparse:
        X, scales = dataset.sparse_rows(model.dtype), model.mean_and_scale
        return _checked_rows(model, dataset, loss, X if scales is None else X.standardized(model.dtype, *scales))
    X = np.empty((dataset.n_samples, dataset.n_features), model.dtype)
    for start, block in blocks(dataset, model.dtype, model.mean_and_scale, model.mean_and_scale_of_y):
        X[start : start + block.n_samples] = block.X
    return _checked_rows(model, dataset, loss, read_only(X))


def _checked_rows(model: Model, dataset: Dataset, loss: Loss, X: np.ndarray | SparseRows) -> Block:
    rows = rows_without_X(model, dataset)._replace(X=X)
    require_finite(rows, dataset.row_number)
    require_targets(loss, rows.y, model.out_features, dataset.row_number)
    return rows


def best_constant(rows: Block, loss: Loss, n_outputs: int, by_target: bool = False) -> tuple[np.ndarray, float]:
    """The prediction that is best where it is the same for every row, (n_outputs,), and its mean loss.

    Where each output has its own, a search finds it, as all losses are convex; see `losses.Kind` for the others.

    by_target : whether the search takes rows of the same target together, which rounds otherwise: of classes, it takes
        no time then
    """
    formula = kind_of(loss).best_constant
    if formula is None:
        of_outputs = (rows._replace(y=rows.y[:, [k]]) for k in range(n_outputs))
        constant = np.array([_best_of_one(_by_target(part) if by_target else part, loss) for part in of_outputs])
    else:
        v = rows.sample_weight.astype(np.float64) if rows.sample_weight.size else np.ones(len(rows.y))
        constant = formula(loss, rows.y, v, n_outputs)
    return constant, _loss_of(rows, loss, constant)


def _best_of_one(rows: Block, loss: Loss) -> float:
    """The best constant of one output, by golden-section search."""
    low, high = float(rows.y.min()), float(rows.y.max())
    if not takes_every_number(loss):
        low, high = -LARGEST_LOGIT, max(LARGEST_LOGIT, math.log(max(high, 1.0)) + 1)

    # Steps come to be smaller than the last digit long before the search ends.
    known: dict[float, float] = {}

    def at(constant: float) -> float:
        rounded = float(rows.y.dtype.type(constant))
        if rounded not in known:
            known[rounded] = _loss_of(rows, loss, np.array([rounded]))
        return known[rounded]

    return _least_between(at, low, high, _SEARCH_STEPS)


def _least_between(at: Callable[[float], float], low: float, high: float, n_steps: int) -> float:
    """Where a convex function is least, by golden-section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_left, of_right = at(left), at(right)
    for _ in range(n_steps):
        if of_left <= of_right:
            high, right, of_right = right, left, of_left
            left = high - _GOLDEN * (high - low)
            of_left = at(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + _GOLDEN * (high - low)
            of_right = at(right)
    return left if of_left <= of_right else right


def _by_target(rows: Block) -> Block:
    """A row for each of the targets, which weighs as much as all that have it."""
    y, of_rows = np.unique(rows.y[:, 0], return_inverse=True)
    weights = np.bincount(of_rows, rows.sample_weight if rows.sample_weight.size else None, len(y))
    return rows._replace(y=y[:, None], sample_weight=weights.astype(rows.y.dtype))


def _loss_of(rows: Block, loss: Loss, constant: np.ndarray) -> float:
    dtype = rows.y.dtype
    out = np.tile(constant.astype(dtype), (len(rows.y), 1))
    objective = kernels.objective(loss, dtype)
    given = map(read_only, (out, np.ascontiguousarray(rows.y), rows.sample_weight))
    kernels.loss_and_derivative(objective, *given, dtype.type(1), np.empty_like(out))
    return float(objective.sums[0]) / len(rows.y)
