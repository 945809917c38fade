"""Runs that are killed at random moments and resumed: do they end as one that nobody has disturbed?

    python -m bench.studies.kills [N_KILLS]

Each run is a process that trains a small network by Adam with shuffling, validation and callbacks, and saves itself
every 200 ms. SIGKILL ends it after up to three seconds, again and again, until one process comes to the end.
Parameters, history and what the callbacks know are compared bit by bit.
"""

import json
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import fastgd as gd

_EVERY, _MOST_SECONDS, _EPOCHS = "0.2s", 3.0, 60


def train(path: str) -> None:
    """Train, or go on, and write what has come of it beside the checkpoint."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60_000, 20)).astype(np.float32)
    y = (np.abs(X[:, :1]) + 0.1 * rng.standard_normal((len(X), 1))).astype(np.float32)
    model = gd.Model([gd.Linear(20, 32), gd.ReLU(), gd.Dropout(0.1), gd.Linear(32, 1)], seed=1)
    trainer = gd.Trainer(model, optimizer=gd.Adam(3e-3), batch_size=20, shuffle=True, average_from=1000)
    if Path(path).exists():
        trainer = gd.Trainer.load(path)
    callbacks = [
        gd.callbacks.EarlyStopping(patience=30),
        gd.callbacks.ReduceOnPlateau(factor=0.5, patience=2),
        gd.callbacks.Checkpoint(path, every=_EVERY),
    ]
    print("trains", len(trainer.history), trainer.n_updates, flush=True)
    history = trainer.fit(X, y, epochs=_EPOCHS, validation=0.1, callbacks=callbacks, resume=True)
    known = [{k: _exact(v) for k, v in callback.saved_state().items()} for callback in callbacks[:2]]
    records = [[r.epoch, r.loss, r.validation_loss, r.learning_rate] for r in history]
    averaged = trainer.averaged_model().parameters
    found = [_exact(trainer.model.parameters), _exact(averaged), records, known, trainer.n_updates]
    Path(f"{path}.json").write_text(json.dumps(found))


def _exact(value: object) -> object:
    return value.tobytes().hex() if isinstance(value, np.ndarray) else value


def main(n_kills: int) -> int:
    """Kill runs until so many are, and compare; the exit status."""
    draw = random.Random(n_kills)
    with tempfile.TemporaryDirectory() as folder:
        expected, n_killed, n_runs, n_wrong, n_resumed = _result(Path(folder) / "undisturbed", [])[0], 0, 0, 0, 0
        while n_killed < n_kills:
            kills = [draw.uniform(0, _MOST_SECONDS) for _ in range(min(10, n_kills - n_killed))]
            found, n_done, n_inside = _result(Path(folder) / f"run{n_runs}", kills)
            n_killed, n_runs, n_resumed = n_killed + n_done, n_runs + 1, n_resumed + n_inside
            n_wrong += found != expected
            print(f"{n_killed} kills, {n_runs} runs, {n_resumed} resumed, {n_wrong} other than undisturbed", flush=True)
    return int(n_wrong > 0)


def _result(path: Path, kills: list[float]) -> tuple[str, int, int]:
    """What a run came to, how often it was killed, and how often a process went on with what was saved."""
    n_done = n_resumed = 0
    while True:
        command = [sys.executable, "-m", "bench.studies.kills", "--train", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            # What it takes to begin is no part of the run.
            n_resumed += process.stdout.readline().split()[2] != "0"
            try:
                status = process.wait(kills[n_done] if n_done < len(kills) else None)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                n_done += 1
                continue
        if status:
            raise RuntimeError(f"the run ended with status {status}")
        return Path(f"{path}.json").read_text(), n_done, n_resumed


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train(sys.argv[2])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
