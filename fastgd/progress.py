"""What `Trainer.fit(progress=True)` shows while it trains."""


class ProgressBar:
    """A tqdm bar over rows, or nothing.

    n_rows : int, of all epochs          shown : whether there is a bar
    """

    def __init__(self, n_rows: int, shown: bool) -> None:
        self._bar = None
        if shown:
            from tqdm import tqdm

            self._bar = tqdm(total=n_rows, unit="row", unit_scale=True, dynamic_ncols=True)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, n_rows: int, loss: float) -> None:
        """Show that so many rows more were trained on, and the mean loss; only where there is a bar."""
        self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self._bar.update(n_rows)
