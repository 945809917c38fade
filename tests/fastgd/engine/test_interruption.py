"""What a run is after something has cut into it: Ctrl-C, a full disk, a second call."""

import contextlib
import copy
import itertools
import pickle
import signal
import threading

import numpy as np
import pytest
from cases import model_of, rows_for
from interrupted import interrupted_at_line
from numba.core.caching import NullCache
from numba.extending import overload

import fastgd as gd
from fastgd._engine import finiteness, loops
from fastgd._engine import slices as engine
from fastgd.kernels import interrupts_deferred
from fastgd.kernels.codegen import jit as _jit


@pytest.fixture(autouse=True)
def ctrl_c_raises():
    """Whoever started the tests in the background may have had SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_comes_at_the_end_of_what_defers_it():
    done = []

    def press_in_the_midst():
        with interrupts_deferred():
            press_ctrl_c()
            with interrupts_deferred():
                press_ctrl_c()
            done.append("inner")
            press_ctrl_c()
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        press_in_the_midst()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()


def test_ctrl_c_comes_with_the_error_that_it_came_with():
    def fail_in_the_midst():
        with interrupts_deferred():
            press_ctrl_c()
            raise ValueError("in the midst of it")

    with pytest.raises(KeyboardInterrupt) as caught:
        fail_in_the_midst()
    assert isinstance(caught.value.__context__, ValueError)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_what_is_no_function_stays_in_its_place(handler):
    signal.signal(signal.SIGINT, handler)
    with interrupts_deferred():
        assert signal.getsignal(signal.SIGINT) == handler


def test_other_threads_have_nothing_to_defer():
    handlers = []

    def look():
        with interrupts_deferred():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def interrupting():
    """For the compiler: being compiled, it is interrupted."""


compilations = []


@overload(interrupting)
def _interrupting():
    compilations.append(1)
    press_ctrl_c()
    return lambda: 7


def test_a_kernel_is_compiled_whole(monkeypatch):
    # Found in a cache, it would not be compiled.
    monkeypatch.setattr(_jit, "cache_of", lambda function: NullCache())

    @_jit.kernel
    def inner():
        return interrupting()

    @_jit.kernel
    def outer():
        return inner()

    with pytest.raises(KeyboardInterrupt):
        outer()
    assert outer() == inner() == 7
    assert len(outer.signatures) == len(inner.signatures) == 1
    assert len(compilations) == 1


def step_again(trainer, record):
    trainer.step(*rows_for(trainer.model, 7)[:2])


def fit_again(trainer, record):
    trainer.fit(*rows_for(trainer.model, 7)[:2])


@pytest.mark.parametrize("again", [step_again, fit_again])
@pytest.mark.parametrize("name", ["neuron", "hidden layer"])
def test_a_callback_may_not_train_its_trainer(again, name):
    """The running call's loop and buffers would be those of another batch size."""
    trainer = gd.Trainer(model_of(name), batch_size=16, shuffle=True)
    twin = copy.deepcopy(trainer)
    X, y, _ = rows_for(trainer.model, 330)
    with pytest.raises(RuntimeError, match=r"(step|fit) was called while fit trains; expected one call at a time"):
        trainer.fit(X, y, epochs=3, callbacks=[again])
    twin.fit(X, y)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
    assert trainer.n_updates == twin.n_updates == 21
    trainer.fit(X, y, epochs=2)
    twin.fit(X, y, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)


def test_a_callback_may_train_a_copy():
    trainer = gd.Trainer(model_of("hidden layer"), batch_size=16)
    twin = copy.deepcopy(trainer)
    X, y, _ = rows_for(trainer.model, 50)
    copies = []

    def train_copies(trainer, record):
        for one in (copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))):
            one.step(X, y)
            copies.append(one)

    trainer.fit(X, y, epochs=2, callbacks=[train_copies])
    twin.fit(X, y, epochs=2)
    np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
    assert [one.n_updates for one in copies] == [5, 5, 9, 9]


def test_one_thread_trains_a_trainer_at_a_time(tmp_path):
    trainer = gd.Trainer(model_of("neuron"))
    X, y, _ = rows_for(trainer.model, 20)
    errors = []

    def refused(call):
        try:
            call()
        except RuntimeError as error:
            errors.append(str(error))

    def try_in_a_thread(trainer, record):
        for call in (
            lambda: trainer.fit(X, y),
            lambda: trainer.step(X, y),
            lambda: trainer.save(tmp_path / "run"),
        ):
            thread = threading.Thread(target=refused, args=[call])
            thread.start()
            thread.join()

    trainer.fit(X, y, callbacks=[try_in_a_thread])
    assert trainer.n_updates == 20
    assert [error.partition(";")[0] for error in errors] == [
        "fit was called while fit trains in another thread",
        "step was called while fit trains in another thread",
        "save was called while fit trains in another thread",
    ]
    assert not (tmp_path / "run").exists()
    trainer.step(X, y)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError], ids=repr)
def test_a_run_goes_on_after_its_preparation_was_interrupted(error, monkeypatch):
    """With the batches asked for, not with those before; and as if nothing had been tried."""
    trainer, twin = (gd.Trainer(model_of("hidden layer"), optimizer=gd.SGD(0.01, momentum=0.9)) for _ in range(2))
    X, y, _ = rows_for(trainer.model, 64)

    def fail(task, entries_per_row, n_shares):
        raise error

    for batch_size in (None, 16, 32):
        trainer.batch_size = twin.batch_size = batch_size
        with monkeypatch.context() as patch:
            patch.setattr(engine, "choose_loop", fail)
            with pytest.raises(error if isinstance(error, type) else OSError):
                trainer.fit(X, y)
        for one in (trainer, twin):
            one.fit(X, y)
        np.testing.assert_array_equal(trainer.model.parameters, twin.model.parameters)
        assert trainer.n_updates == twin.n_updates
    assert trainer.n_updates == 1 + 4 + 2


def test_a_new_optimizer_that_was_interrupted_begins_afresh(monkeypatch):
    trainer = gd.Trainer(model_of("hidden layer"), batch_size=8)
    X, y, _ = rows_for(trainer.model, 64)
    trainer.fit(X, y)
    trainer.optimizer = gd.Adam(0.01)
    with monkeypatch.context() as patch:
        patch.setattr("fastgd._engine.run.Engine", lambda *_, **__: press_ctrl_c())
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, y)
    assert trainer.n_updates == 8
    trainer.fit(X, y)
    assert trainer.n_updates == 16


LOOPS = {
    "neuron": (loops.OnlineNeuronLoop, model_of("neuron"), 1),
    "neuron in batches": (loops.NeuronLoop, model_of("neuron"), 4),
    "network": (loops.NetworkLoop, model_of("hidden layer"), 4),
}


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("learning_rate", [0.01, 1e6], ids=["finite", "diverging"])
def test_ctrl_c_leaves_a_finite_model(name, learning_rate, monkeypatch):
    """Pressed as training diverges, too, which is when people press it."""
    loop, model, batch_size = LOOPS[name]
    trainer = gd.Trainer(copy.deepcopy(model), optimizer=gd.SGD(learning_rate), batch_size=batch_size)
    X, y, _ = rows_for(model, 4000)
    run = loop.run

    def run_interrupted(*arguments):
        run(*arguments)
        press_ctrl_c()

    monkeypatch.setattr(loop, "run", run_interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, y)
    assert np.isfinite(trainer.model.parameters).all()
    # What diverges is given up whole.
    assert (trainer.model.parameters == model.parameters).all() == (learning_rate > 1)
    monkeypatch.undo()
    trainer.model.parameters = model.parameters
    trainer.optimizer = gd.SGD(1e-3)
    trainer.fit(X, y)


@pytest.mark.parametrize("file", [engine.__file__, finiteness.__file__], ids=["slices", "finiteness"])
@pytest.mark.parametrize("learning_rate", [0.01, 1e40], ids=["finite", "diverging"])
def test_ctrl_c_at_any_line_leaves_a_state_that_training_passes_through(learning_rate, file):
    X, y, _ = rows_for(model_of("neuron"), 24)
    states = set()
    one_by_one = gd.Trainer(model_of("neuron"), optimizer=gd.SGD(learning_rate, momentum=0.5))
    with contextlib.suppress(gd.DivergenceError):
        for row in range(-1, len(X)):
            if row >= 0:
                one_by_one.step(X[[row]], y[[row]])
            states.add((one_by_one.n_updates, one_by_one.model.parameters.tobytes()))
    for number in itertools.count():
        trainer = gd.Trainer(model_of("neuron"), optimizer=gd.SGD(learning_rate, momentum=0.5))
        was_interrupted = interrupted_at_line(
            number, file, lambda trainer=trainer: trainer.fit(X, y), {"_pass_bad_step", "_rewind", "_raise"}
        )
        assert (trainer.n_updates, trainer.model.parameters.tobytes()) in states, f"line {number}"
        if not was_interrupted:
            break
    assert number > 20
