"""How near steps without tuning come on features that are not centred: `python -m bench.studies.scales_uncentred`.

Features with means of up to three deviations, of scales from 1e-6 to 1e6, and several losses, for a single Linear. The
tuned step, the best of 21, has the features standardised. Prints the losses of NormalizedSGD, and of Standardize with
SGD("auto"), over the tuned step's: after five epochs of many rows and of fewer, and after a single one of few.
"""

from tests.support.scaled_problems import LOSSES, ratios_for_any_means

# Beside the default, which neither of them beats on every line.
RATES = (0.5, 2)


def main() -> None:
    for n_samples, epochs in ((20_000, 5), (2000, 5), (500, 1)):
        for loss in LOSSES:
            for batch_size in (1, 32):
                normalized, *others, automatic = ratios_for_any_means(loss, n_samples, batch_size, epochs, RATES)
                shown = ", ".join(f"{rate:g}: {other:.3f}" for rate, other in zip(RATES, others, strict=True))
                print(
                    f"{loss}, {n_samples} rows, {epochs} epochs, batch {batch_size}: "
                    f"NormalizedSGD {normalized:.3f} (at {shown}), auto {automatic:.3f}"
                )


if __name__ == "__main__":
    main()
