"""How far the log p of VAEs and flows lies below that of more draws: `python benchmarks/draws.py NAME...`.

For 300 test images of each trained model of a project, it prints log p with the draws per image of the tables, and
with more. The images are at equal distances in the file, since the test images of binarised MNIST are sorted by digit.
A gain is the difference from the first row of the model. The rows in `histories/draws.csv` are those of
docs/results.md; the column `images` says that some were measured on the first 300 images. A model takes about one
minute on one thread.
"""

import csv
import sys
from collections.abc import Iterator

import numpy as np

import triptych

IMAGES, SEED = 300, 0
DRAWS = {"vae": (200, 5000), "flow": (1, 8, 64)}


def rows(name: str) -> Iterator[dict[str, object]]:
    """Yield the mean of each estimate in nats per image, and its gain with its standard error."""
    model = triptych.load(name)
    images = model.images("test")
    images, first = images[np.linspace(0, len(images) - 1, IMAGES).round().astype(int)], None
    for draws in DRAWS.get(model.settings["family"]) or sys.exit(f"{name} has no log-likelihood: name VAEs or flows"):
        nats = model.log_likelihood(images, seed=SEED, draws=draws)
        first = nats if first is None else first
        gain = nats - first
        values = {"log_p": nats.mean(), "gain": gain.mean()}
        values["gain_standard_error"] = gain.std(ddof=1) / len(gain) ** 0.5
        numbers = {key: f"{value:.4f}" for key, value in values.items()}
        yield {"model": name, "images": "equal distances", "draws": draws, **numbers}


if __name__ == "__main__":
    found = [row for name in sys.argv[1:] or sys.exit("name one or more trained VAEs or flows") for row in rows(name)]
    writer = csv.DictWriter(sys.stdout, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
