"""How far the log p of VAEs lies below that of more draws: `python benchmarks/draws.py NAME...` in a trained project.

For the first 300 test images of each model, it prints log p with 200 and with 5,000 draws per image. The rows in
`histories/draws.csv` are those of docs/results.md. A model takes about one minute on one thread.
"""

import csv
import sys

import triptych

IMAGES, DRAWS, SEED = 300, (200, 5000), 0


def row(name: str) -> dict[str, object]:
    """Return the mean of each estimate in nats per image, and their difference with its standard error."""
    model = triptych.load(name)
    images = model.images("test")[:IMAGES]
    few, many = (model.log_likelihood(images, seed=SEED, draws=draws) for draws in DRAWS)
    gain = many - few
    values = {f"draws_{draws}": nats.mean() for draws, nats in zip(DRAWS, (few, many), strict=True)}
    values |= {"gain": gain.mean(), "gain_standard_error": gain.std(ddof=1) / len(gain) ** 0.5}
    return {"model": name, **{key: f"{value:.4f}" for key, value in values.items()}}


if __name__ == "__main__":
    rows = [row(name) for name in sys.argv[1:] or sys.exit("name one or more trained VAEs")]
    writer = csv.DictWriter(sys.stdout, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
