"""The numbers in README and docs equal those of the result files, in all shown digits."""

from __future__ import annotations

import csv
import math
import re
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import spearmanr, ttest_ind

from conftest import ROOT, environment
from pages import INLINE, PAGES, Table, blocks, tables
from triptych.core.json_files import flatten, is_number, read_json
from triptych.evaluation.over_seeds import Spread, group_by_settings
from triptych.models.common.registry import FAMILIES
from triptych.reports.closing_table import closing_table
from triptych.repository.project import Project
from triptych.settings.params import load
from triptych.stages.summary import extractors_of, summarise
from triptych.verify.tolerances import tolerance

RESULTS = ROOT / "metrics" / "baseline"
GENERATED = ("settings.md", "speed.md", "scale.md")  # by programs, with other tests
NAMES = sorted(path.stem for path in RESULTS.glob("*.json"))
GROUPS = group_by_settings({name: read_json(RESULTS / f"{name}.json")["settings"] for name in NAMES})
WRITTEN = [page for page in PAGES if page.name not in GENERATED]

NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w,.]*\d)")
OF_NUMBERS = re.compile(r"-?\d[\d,.]*( ?s| ?%)?( [±(].*)?")  # a cell that is a number, with its error or unit
ABSENT = ("",)

# The keys of the numbers in a cell, by the heading of its column.
COLUMNS: dict[str, tuple[str, ...]] = {
    "epochs": ("epochs",),
    "ELBO, validation": ("valid.elbo",),
    "ELBO, test": ("test.elbo",),
    "log p, test": ("test.log_likelihood", "test.log_likelihood_standard_error"),
    "log p, test (nats)": ("test.log_likelihood", "test.log_likelihood_standard_error"),
    "log p - ELBO": ("test.gap", "test.gap_standard_error"),
    "active units": ("active_units.value",),
    "bits per dimension, validation": ("valid.bits_per_dimension",),
    "bits per dimension, test": ("test.bits_per_dimension",),
    "FID": ("fid.value", "fid.standard_error"),
    "FID, best (update)": ("over_training.best.fid", "over_training.best.update"),
    "KID": ("kid.value", "kid.standard_error"),
    "IS": ("is.value", "is.standard_error"),
    "precision": ("precision.value",),
    "recall": ("recall.value",),
    "recognised": ("recognised.value",),
    "training (s)": ("run.train_seconds",),
    "seconds per sample": ("run.seconds_per_sample",),
    "rank correlation": tuple(f"over_training.correlation.{key}" for key in ("value", "low", "high")),
    "batch": ("settings.batch_size",),
    "learning rate": ("settings.learning_rate", "settings.players.critic.learning_rate"),
    "parameters": ("parameters",),
    "estimate": ("settings.model.loss_type",),
    "constraint": ("constraint",),
}
BITS, FID = "test.bits_per_dimension", "fid.value"
UNSETTLED = ("vae-100d-tuned", "vae-100d-tuned-planar", "vae-100d-iwae")  # VAEs that differ between processors
FOLLOWS = "the mean FID does not follow the mean bits per dimension:"
WORDS = {  # columns of words, and the words for each value
    "estimate": {"jsd": "JSD", "w1": "W1"},
    "constraint": {(False, "none"): "none", (True, "none"): "spectral norm", (False, "r1gp"): "R1"},
}
ROWS = {  # the file of a row whose first cell is not the name of a file
    "`vae-100d-tuned` with 60 epochs": "vae-100d-tuned-60-epochs",
    "`vae-100d-tuned`, `vae-100d-iwae`": "vae-100d-tuned",
    "`cifar10-jsd-1` and the other GANs on CIFAR-10, as [trained here](#gans-on-cifar-10)": "cifar10-jsd-1",
    "0": "vae-100d-tuned",  # planar layers
    "1": "vae-100d-tuned-planar-k1",
    "4": "vae-100d-tuned-planar",
    "16": "vae-100d-tuned-planar-k16",
}
DEPTHS = {  # rows of the planar studies: file, density and key
    "arcs, negative log-likelihood of fresh samples": ("planar-samples", "arcs", "held_out.negative_log_likelihood"),
    "sine, negative log-likelihood of fresh samples": ("planar-samples", "sine", "held_out.negative_log_likelihood"),
    "arcs, KL of a flow fitted to the density": ("planar-density", "arcs", "kl"),
    "sine, KL of a flow fitted to the density": ("planar-density", "sine", "kl"),
}
COMPARED = {  # rows with published numbers: file and keys
    "`published-vae`, log p of static MNIST, nats": ("published-vae", ("test.log_likelihood", "epochs")),
    "`published-iwae`, log p of static MNIST, nats": (
        "published-iwae",
        ("test.log_likelihood", "epochs", "importance_sampling.samples"),
    ),
    "`published-planar`, log p of static MNIST, nats": ("published-planar", ("test.log_likelihood", "epochs")),
    "`published-flow`, bits per dimension of MNIST": ("published-flow", ("test.bits_per_dimension", "epochs")),
    "other flow, bits per dimension of MNIST": ("realnvp-mnist-multiscale", ("test.bits_per_dimension", "epochs")),
}
COUNTS = {1: "one", 2: "two", 4: "four"}  # of hidden layers of one width
NETWORKS = "networks"  # the column whose numbers are those of the settings of the model
TRAINED = "commit, processor"  # the column that says where the runs of a row were trained
PROCESSORS = {  # a Zen 4 has the first of its names in results from before the family was recorded
    "AMD EPYC": "Zen 4",
    "AMD EPYC, family 25, model 17": "Zen 4",
    "Intel(R) Xeon(R) Processor": "Xeon",
}
PUBLISHED = ("published", "published for", "what differs", "what agrees")
DRAWS = {  # columns of the estimates with more draws
    "200 draws": ("200.log_p",),
    "5,000 draws": ("5000.log_p",),
    "difference": ("5000.gain", "5000.gain_standard_error"),
    "1 draw, nats": ("1.log_p",),
    "8 draws, nats": ("8.log_p",),
    "64 draws, nats": ("64.log_p",),
    "gain of 8": ("8.gain", "8.gain_standard_error"),
    "gain of 64": ("64.gain", "64.gain_standard_error"),
    "gain of 64, bits per dimension": ("64.bits",),
}
DIGITS = {"FID": 1, "bits per dimension, test": 3}  # of differences
DIRAC = ("Dirac games", "no penalty", "R1 0.01", "R1 0.1", "one-centred 0.01", "one-centred 0.1")


@cache
def result(name: str) -> dict[str, Any]:
    """Return a result of the baseline, flattened; the names of fidelity measures lose the suffix of the extractor."""
    found = flatten(read_json(RESULTS / f"{name}.json"))
    found = {re.sub(r"\b(fid|kid|is|precision|recall)_classifier", r"\1", key): value for key, value in found.items()}
    constraint = (found.get(f"settings.model.{key}") for key in ("spectral_normalization", "reg_type"))
    return found | {"constraint": tuple(constraint)}


@cache
def more_draws() -> dict[str, dict[str, float]]:
    """Return log p and its gain by model; the keys begin with the number of draws. Bits are gains per dimension."""
    found: dict[str, dict[str, float]] = {}
    with (ROOT / "benchmarks" / "histories" / "draws.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name, draws = row.pop("model"), row.pop("draws")
            assert row.pop("images") in ("equal distances", "first")
            numbers = {f"{draws}.{key}": float(value) for key, value in row.items()}
            numbers[f"{draws}.bits"] = numbers[f"{draws}.gain"] / (784 * math.log(2))
            found.setdefault(name, {}).update(numbers)
    return found


def shown(value: float, digits: int) -> str:
    """Return a number in the format of the pages."""
    return f"{value:,.{digits}f}"


def expected(corner: str, first: str, heading: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the result that a cell shows, and the keys of its numbers. Raises KeyError if the cell is unknown.

    `corner` is the heading of the first column, which identifies the table; `first` is the first cell of the row.
    """
    if corner == "what":
        name, keys = COMPARED[first]
        return result(name), keys
    if corner == "three seeds":
        names = GROUPS[first.strip("`")]
        assert len(names) == 3
        values = [result(name)[key] for name in names if (key := COLUMNS[heading][0]) in result(name)]
        if not values:  # the number is not defined for this family
            return {}, ("mean",)
        found = Spread.of(values)
        return {"mean": found.mean, "deviation": found.deviation}, ("mean", "deviation")
    if corner == "density":
        study, density, key = DEPTHS[first]
        if heading == "entropy":  # it is that of the density, the same for every depth
            return result(study), (f"{density}-k2.entropy",)
        found = Spread.of([result(each)[f"{density}-k{heading.removeprefix('k = ')}.{key}"] for each in GROUPS[study]])
        return {"mean": found.mean, "deviation": found.deviation}, ("mean", "deviation")
    name = ROWS.get(first, first.strip("`"))
    found, keys = (more_draws()[name], DRAWS) if corner == "300 test images" else (result(name), COLUMNS)
    return found, keys[heading]


def trained(corner: str, first: str) -> str:
    """Return the commits and processors of the runs of a row; see `expected` for the arguments."""
    if corner == "what":
        names = [COMPARED[first][0]]
    elif corner in ("three seeds", "difference"):
        names = [name for experiment in re.findall(r"`([^`]+)`", first) for name in GROUPS[experiment]]
    else:
        names = [ROWS.get(first, first.strip("`"))]
    runs = [result(name) for name in names]
    found = [(run["run.git_commit"][:7], PROCESSORS[run["run.processor"]]) for run in runs]
    return "; ".join(dict.fromkeys(", ".join(each) for each in found))


def wrong(table: Table) -> Iterator[str]:
    """Yield the cells of a table that differ from the files, or whose file is not known."""
    for first, *cells in table.rows:
        for heading, cell in zip(table.head[1:], cells, strict=True):
            if heading in (*PUBLISHED, NETWORKS):
                continue
            if heading == TRAINED:
                yield from [f"{first}: {right}, not {cell}"] if (right := trained(table.head[0], first)) != cell else []
                continue
            try:
                found, keys = expected(table.head[0], first, heading)
            except KeyError as unknown:
                yield f"{first}, {heading}: add its key at the top of {Path(__file__).name}: {unknown}"
                continue
            if heading in WORDS:
                problems = [] if WORDS[heading][found[keys[0]]] == cell else [f"it is {found[keys[0]]}, not {cell}"]
            else:
                problems = list(differences(INLINE.sub("", cell), found, keys))
            yield from (f"{first}, {heading}: {problem}" for problem in problems)


def differences(cell: str, found: dict[str, Any], keys: tuple[str, ...]) -> Iterator[str]:
    """Yield the numbers of a cell that differ from the file, rounded to the digits of the cell."""
    numbers = NUMBER.findall(cell)
    if cell in ABSENT:
        yield from (f"the cell is empty, but the file has {key}" for key in keys if key in found)
    elif not 1 <= len(numbers) <= len(keys):
        yield f"{cell!r} should hold {' and '.join(keys)}"
    for number, key in zip(numbers, keys, strict=False):
        if not is_number(found.get(key)):
            yield f"{number}: the file has no {key}"
        elif number != (right := shown(found[key] * (100 if "%" in cell else 1), len(number.partition(".")[2]))):
            yield f"{key} is {right}, not {number}"


def of_numbers(table: Table) -> bool:
    """Return whether a cell after the first column is a number."""
    return any(OF_NUMBERS.fullmatch(cell) for _, *cells in table.rows for cell in cells)


def tables_of_numbers(page: Path) -> list[Table]:
    found = tables(page.read_text(encoding="utf-8"))
    return [
        table for table in found if of_numbers(table) and table.head[0] not in (*PUBLISHED, "difference", "setting")
    ]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_tables_equal_the_files(page: Path) -> None:
    assert [problem for table in tables_of_numbers(page) for problem in wrong(table)] == []


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_all_fids_are_of_the_shipped_classifiers(page: str) -> None:
    checked = 0
    for table in tables_of_numbers(ROOT / page):
        if table.head[0] in ("experiment", "three seeds", "side by side") and "FID" in table.head:
            for row in table.rows:
                name = ROWS.get(row[0], row[0].strip("`"))
                names = GROUPS[name] if table.head[0] == "three seeds" else [name]
                shipped = "cifar10-v1" if row[0].startswith("`cifar10") else "mnist-v1"
                assert {result(each)["fid.extractor"] for each in names} == {shipped}
                checked += 1
    assert checked >= 5


def test_the_networks_are_those_of_the_settings() -> None:
    """Each number of the column is one of the settings; widths have their order, and their number if they are equal."""
    [table] = [table for table in tables_of_numbers(ROOT / "docs" / "results.md") if NETWORKS in table.head]
    networks = ""
    for first, cell, *_ in table.rows:
        networks = cell.replace("the same", networks)
        for name in re.findall(r"`([^`]+)`", first):
            model = read_json(RESULTS / f"{name}.json")["settings"]["model"]
            lists = [value for value in model.values() if isinstance(value, list)]
            lists += [(model.get("variational_dequantization") or {}).get("hidden", [])]
            shown_widths = [[each[0], COUNTS[len(each)]] if len(set(each)) == 1 else each for each in lists if each]
            for widths in shown_widths:
                assert re.search(".*".join(str(each) for each in reversed(widths)), networks) or re.search(
                    ".*".join(str(each) for each in widths), networks
                ), (name, widths)
            known = {value for value in flatten(model).values() if isinstance(value, int) and value is not True}
            known |= {width for widths in lists for width in widths}
            known |= {3 * model["couplings"]} if model.get("architecture") == "multiscale" else set()
            assert {int(number) for number in re.findall(r"(?<![\w-])\d+", networks)} <= known, name


def test_the_differences_are_those_of_welch_and_holm() -> None:
    """Means of three seeds, and p-values of all comparisons of the table, corrected by Holm (1979)."""
    counts = []
    for table in tables((ROOT / "docs" / "results.md").read_text("utf-8")):
        if table.head[0] != "difference":
            continue
        found, written = {}, {}
        for first, *cells in table.rows:
            assert cells.pop() == trained(table.head[0], first)
            for heading, cell in zip(table.head[1:-1], cells, strict=True):
                one, other = (
                    [result(name)[COLUMNS[heading][0]] for name in GROUPS[experiment]]
                    for experiment in re.fullmatch(r"`(.+)` - `(.+)`", first).groups()
                )
                p = ttest_ind(one, other, equal_var=False).pvalue
                found[first, heading], written[first, heading] = (p, Spread.of(one).mean - Spread.of(other).mean), cell
        corrected = 0.0
        for rank, place in enumerate(sorted(found, key=lambda place: found[place][0])):
            p, difference = found[place]
            corrected = max(corrected, min(1.0, (len(found) - rank) * p))
            words = "p < 0.001" if corrected < 0.001 else f"p = {corrected:.3f}"
            assert written[place] == f"{difference:+.{DIGITS.get(place[1], 2)}f} ({words})", place
        counts.append(len(found))
    assert counts == [15, 6]


def test_the_check_finds_every_changed_digit() -> None:
    """Each digit of each number is changed in turn; published numbers are not checked."""
    tried = 0
    for table in [table for page in WRITTEN for table in tables_of_numbers(page)]:
        for row, (column, heading) in product(table.rows, enumerate(table.head)):
            if column == 0 or heading in (*WORDS, *PUBLISHED, NETWORKS, TRAINED):
                continue
            cell = INLINE.sub("", row[column])
            for digit in re.finditer(r"\d", cell):
                altered = f"{cell[: digit.start()]}{(int(digit[0]) + 1) % 10}{cell[digit.end() :]}"
                cells = [*row[:column], altered, *row[column + 1 :]]
                assert list(wrong(Table(table.head, [cells]))), (row[0], heading, altered)
                tried += 1
    assert tried > 1000


def at(name: str, key: str, digits: int, times: int = 1) -> str:
    """Return a number of a result in the format of the pages."""
    return shown(result(name)[key] * times, digits)


def sentences() -> Iterator[str]:
    """Yield the sentences of docs/results.md that hold numbers, with the numbers of the files."""
    vae = "vae-100d-tuned"
    (of_vae, best_vae), (of_flow, best_flow) = lowest_mean_fid("vae"), lowest_mean_fid("flow")
    best = f"{of_vae:.1f} (`{best_vae}`) and {of_flow:.1f} (`{best_flow}`)"
    yield f"of the other families are {best}, also of three seeds."
    yield f"Of the real test images, it is {at(vae, 'recognised.real_images', 1, 100)} %."
    deep = f"{vae}-planar-k16"
    gains = [shown(result(deep)[key] - result(vae)[key], 1) for key in ("test.elbo", "test.log_likelihood")]
    few, many = (shown(more_draws()[deep][key] - more_draws()[vae][key], 2) for key in ("200.log_p", "5000.log_p"))
    yield f"Sixteen layers gain {gains[0]} nats of the ELBO and {gains[1]} of log p."
    yield f"they gain {few} nats of log p with 200 draws, and {many} with 5,000."
    yield f"Real validation images have FID {at(vae, 'fid.real_images', 1)}."
    fid, inception, precision, recall = (
        at("cifar10-jsd-1", f"{measure}.real_images", 2) for measure in ("fid", "is", "precision", "recall")
    )
    yield f"real validation images have FID {fid}, IS {inception}, precision {precision} and recall {recall}."
    size = "importance_sampling.effective_sample_size"
    yield (
        f"with 200 draws, it is {at('vae-100d-iwae', size, 1)} on average for `vae-100d-iwae`, and "
        f"{at(f'{vae}-60-epochs', size, 1)} for `{vae}` with 60 epochs."
    )
    digits, coloured = (at(f"quick/{name}", "fid.real_images", 2) for name in ("vae-20d", "cifar10-w1-2"))
    yield f"real validation images have FID {digits} for the first table, and {coloured} for the second."
    unclipped = history("realnvp-mnist")
    yield f"reached {shown(unclipped[40], 3)} bits per dimension on validation after {max(unclipped)} epochs."
    pairs = list(zip(GROUPS[f"{vae}-planar"], GROUPS[vae], strict=True))
    few, many = (
        [more_draws()[one][draws] - more_draws()[other][draws] for one, other in pairs]
        for draws in ("200.log_p", "5000.log_p")
    )
    means = [shown(statistics.mean(gains), 2) for gains in (few, many)]
    yield f"gain {means[0]} nats on these images with 200 draws, and {means[1]} with 5,000."
    first, second, third = (shown(gain, 2) for gain in many)
    yield f"The gains of the three seeds with 5,000 draws are {first}, {second} and {third}"
    yield f"All games start at a distance of {at('dirac', 'jsd-1.start', 3)}."
    yield from sentences_on_flows("realnvp-mnist")
    yield from sentences_on_the_gan("gan-mnist")
    hours = sum(result(name).get("run.train_seconds", 0.0) for name in NAMES) / 3600
    yield f"All trainings of this page together took {hours:.0f} hours on one thread."
    yield from sentences_on_commits()
    yield from sentences_on_processors("nice-mnist")
    yield from sentences_on_pythae("published-vae")
    yield from sentences_on_the_published_iwae("published-iwae")
    yield from sentences_on_the_planar_posterior("published-planar", "published-vae")
    yield from sentences_on_the_published_flow("published-flow")
    yield from sentences_on_copies()
    yield from sentences_on_real_images()
    yield from sentences_on_planar_flows()


def lowest_mean_fid(family: str) -> tuple[float, str]:
    """Return the lowest mean over three seeds on MNIST, and its experiment."""
    groups = [
        (first, names)
        for first, names in GROUPS.items()
        if len(names) == 3
        if result(first).get("settings.family") == family and "mnist" in result(first)["data.dataset"]
    ]
    return min((statistics.mean(result(name)["fid.value"] for name in names), first) for first, names in groups)


def sentences_on_flows(flow: str) -> Iterator[str]:
    flows = {name: found for name, found in more_draws().items() if "8.bits" in found and "-seed-" not in name}
    (least, name), *others = sorted((found["8.bits"], name) for name, found in flows.items())
    assert name == f"{flow}-multiscale"
    (low, second), *_, (high, last) = others
    differ = f"8 draws make a difference of {low:.3f} (`{second}`) to {high:.3f} (`{last}`)."
    yield f"On these 300 images, 8 draws lower the bits per dimension of `{name}` by {least:.3f}."
    whole = result(name)[BITS]
    yield f"gained as much, {whole:.3f} would become {whole - least:.3f}, which is above 1.08."
    yield f"For the other flows, {differ}"
    orders = [sorted(flows, key=lambda name: flows[name][f"{draws}.log_p"]) for draws in (1, 8, 64)]
    assert orders[0] == orders[1] == orders[2]
    of_mnist = [first for first in GROUPS if first.startswith((flow, "nice-mnist"))]
    means = [
        [statistics.mean(result(each)[key] for each in GROUPS[first]) for first in of_mnist] for key in (BITS, FID)
    ]
    assert len(of_mnist) == 5
    yield f"Over the five flows, {FOLLOWS} their rank correlation is {spearmanr(*means).statistic:.2f}."
    low, high = at(name, "precision.value", 2), at(name, "recall.value", 2)
    yield f"Its precision is the lowest of the table below, {low}, and its recall the highest, {high}."
    stated, ours = history(f"{flow}-clipped"), history(f"{flow}-tuned")
    below = [next(epoch for epoch, value in found.items() if value < 1.85) for found in (stated, ours)]
    yield f"after epoch {below[0]}, and `{flow}-tuned` after epoch {below[1]} ("
    one, many = (flows[f"{flow}-variational"][key] - flows[flow][key] for key in ("1.log_p", "64.log_p"))
    yield f"log p of the 300 images is {one:.0f} nats above that of `{flow}` with one draw, and {many:.0f} with 64."
    assert one / (one - many) == pytest.approx(8, abs=0.5)


def sentences_on_the_gan(gan: str) -> Iterator[str]:
    yield (
        f"digits in these 1,000 samples have an entropy of {at(gan, 'classes.entropy', 3)} nats; "
        "the largest possible is log 10"
    )
    with (ROOT / "benchmarks" / "histories" / "processors.csv").open(encoding="utf-8") as file:
        [on_xeon] = [row["fid"] for row in csv.DictReader(file) if row["model"] == gan]
    earlier = f"{float(on_xeon):.1f}"
    yield f"With seed 0, an earlier run on a Xeon had FID {earlier}."
    yield f"`{gan}` had FID {earlier} on the Xeon, at 475b9f0, and has {at(gan, 'fid.value', 1)} on the Zen 4."
    fids, errors = ([at(name, f"fid.{key}", 1) for name in GROUPS[gan]] for key in ("value", "standard_error"))
    three = f"{fids[0]}, {fids[1]} and {fids[2]}"
    yield f"The FIDs of the three runs are {three}. Each has a standard error of {min(errors)} to {max(errors)},"
    yield f"than the other models on MNIST: {three} with three seeds."
    real = [at(gan, f"{measure}.real_images", 3) for measure in ("precision", "recall")]
    yield f"Real validation images have precision {real[0]} and recall {real[1]}."


def sentences_on_commits() -> Iterator[str]:
    [on_cifar] = {trained("experiment", path.stem) for path in RESULTS.glob("cifar10-*.json")}
    commit, processor = on_cifar.split(", ")
    yield f"All eight were trained at commit {commit} on one thread of an AMD {processor}, with seed 0."
    studies = [name for name in NAMES if name.startswith(("planar-", "dirac"))]
    [of_studies] = {trained("experiment", name) for name in studies}
    commit, processor = of_studies.split(", ")
    yield f"All studies were run at commit {commit} on an AMD {processor}."


def sentences_on_pythae(ours: str) -> Iterator[str]:
    with (ROOT / "benchmarks" / "histories" / "pythae-vae.csv").open(encoding="utf-8") as file:
        *epochs, last = csv.DictReader(file)
    assert len(epochs) == result(ours)["epochs"]
    below = -89.78 - result(ours)["test.log_likelihood"]  # pythae's number, in the table of published numbers
    yield f"`{ours}` has log p {below:.1f} nats below the published number."
    yield f"as we copied them, has log p {float(last['test_log_likelihood']):.2f} here"
    best = min(float(row["valid_negative_elbo"]) for row in epochs)
    yield f"The validation ELBO is {-best:.2f} with pythae and {at(ours, 'valid.elbo', 2)} with Triptych."


def sentences_on_the_published_iwae(name: str) -> Iterator[str]:
    found = result(name)
    with (ROOT / "benchmarks" / "histories" / f"{name}.csv").open(encoding="utf-8") as file:
        bounds = {int(row["epoch"]): -float(row["valid_negative_iw_bound"]) for row in csv.DictReader(file)}
    below = -86.82 - found["test.log_likelihood"]  # pythae's number, with 3,280 epochs
    share = found["epochs"] / 3280
    yield f"`{name}` has {below:.1f} nats less than published, with {100 * share:.0f} % of the updates."
    yield f"It took {found['run.train_seconds'] / 3600:.1f} hours on one thread."
    middle, late, last = (f"{bounds[epoch]:.2f} after epoch {epoch}" for epoch in (61, 101, max(bounds)))
    yield f"still rose slowly at the end: {middle}, {late} and {last}"


def sentences_on_the_planar_posterior(name: str, without: str) -> Iterator[str]:
    found = result(name)
    with (ROOT / "benchmarks" / "histories" / f"{name}.csv").open(encoding="utf-8") as file:
        elbos = {int(row["epoch"]): -float(row["valid_negative_elbo"]) for row in csv.DictReader(file)}
    gain = found["test.log_likelihood"] - result(without)["test.log_likelihood"]
    yield f"Here, `{name}` has log p {gain:.1f} nats above `{without}`."
    below = -85.1 - found["test.log_likelihood"]  # the paper's number
    share = found["epochs"] * found["splits.train"] / found["settings.batch_size"] / 500_000
    yield f"It has {below:.1f} nats less than published, with {100 * share:.0f} % of the updates."
    yield f"If the published number is an ELBO, ours is {found['test.elbo']:.2f}."
    yield f"It took {found['run.train_seconds'] / 3600:.1f} hours on one thread. The ELBO of validation images"
    first, second, last = (f"{elbos[epoch]:.2f} after epoch {epoch}" for epoch in (100, 200, max(elbos)))
    yield f"still rose at the end: {first}, {second} and {last}"


def sentences_on_the_published_flow(name: str) -> Iterator[str]:
    found = result(name)
    with (ROOT / "benchmarks" / "histories" / f"{name}.csv").open(encoding="utf-8") as file:
        _, first, last = (float(row["valid_bits_per_dimension"]) for row in csv.DictReader(file))
    yield f"`{name}` has the published networks, but {found['epochs']} of the 200 epochs."
    above = found["test.bits_per_dimension"] - 1.078  # the tutorial's number
    yield f"It has {above:.2f} bits per dimension more than published."
    yield f"It took {found['run.train_seconds'] / 3600:.1f} hours on one thread, beside tests."
    yield f"lower the number of this model by about {more_draws()[name]['8.bits']:.2f}."
    yield f"The validation images have {first:.3f} bits per dimension after epoch 1, and {last:.3f} after epoch 2"


def sentences_on_processors(nice: str) -> Iterator[str]:
    with (ROOT / "benchmarks" / "histories" / "processors.csv").open(encoding="utf-8") as file:
        again = {row["model"]: row for row in csv.DictReader(file)}
    del again["gan-mnist"]
    nats, fid = (
        {
            experiment: max(
                abs(float(again[name][column]) - result(name)[key])
                for name in GROUPS[experiment]
                for column, key in keys
                if again[name][column]
            )
            for experiment in ("vae-20d", "vae-20d-tuned", "vae-2d", "vae-100d", "vae-100d-planar", *UNSETTLED, nice)
        }
        for keys in ((("elbo", "test.elbo"), ("log_p", "test.log_likelihood")), (("fid", "fid.value"),))
    )
    assert set(again) == {name for experiment in nats for name in GROUPS[experiment]}
    small = [max(value for name, value in found.items() if name not in (*UNSETTLED, nice)) for found in (nats, fid)]
    yield f"no run differs by more than {small[0]:.3f} nats and {small[1]:.3f} of FID."
    tuned, planar, iwae = UNSETTLED
    last = f"{nats[iwae]:.2f} nats and {fid[iwae]:.1f} of FID (`{iwae}`)."
    yield f"by up to {nats[tuned]:.2f} nats (`{tuned}`), {nats[planar]:.2f} nats (`{planar}`), and {last}"
    yield f"Those of `{nice}` differ by up to {nats[nice]:.2f} nats and {fid[nice]:.1f} of FID."
    for name, likelihood in ((iwae, "test.elbo"), (nice, "test.log_likelihood")):
        for key, found in ((likelihood, nats), ("fid.value", fid)):
            seeds = Spread.of([result(seed)[key] for seed in GROUPS[name]]).deviation
            assert found[name] > 0.85 * seeds, "about as much as a seed does"


def sentences_on_planar_flows() -> Iterator[str]:
    above = []
    for density in ("arcs", "sine"):
        key = f"{density}-k32.held_out.negative_log_likelihood"
        mean = Spread.of([result(name)[key] for name in GROUPS["planar-samples"]]).mean
        above.append(shown(mean - result("planar-samples")[f"{density}-k2.entropy"], 3))
    yield f"With 32 layers, it is {above[0]} (arcs) and {above[1]} nats (sine) above the entropy."
    means = [
        shown(Spread.of([result(name)[f"{density}-k32.kl"] for name in GROUPS["planar-samples"]]).mean, 3)
        for density in ("arcs", "sine")
    ]
    yield f"estimated with less noise (`kl` in the files), is {means[0]} and {means[1]} nats."
    first, *others = (result(name)["sine-k32.kl"] for name in GROUPS["planar-density"])
    assert first < min(others)
    yield f"the KL divergences are {first:.3f}, {others[0]:.3f} and {others[1]:.3f}."
    shares = [
        sorted(100 * result(name)[f"arcs-k{k}.share_on_left_arc"] for name in GROUPS["planar-density"])
        for k in (2, 8, 32)
    ]
    few, more, most = (f"{low:.0f} to {high:.0f} %" for low, _, high in shares)
    yield f"the share on the left one is {few} with 2 layers, {more} with 8, and {most} with 32."


def sentences_on_copies() -> Iterator[str]:
    for words, family in (("VAEs", "vae"), ("three runs of `gan-mnist`", "gan"), ("flows", "flow")):
        tested = [
            each
            for each in map(result, NAMES)
            if each.get("settings.family") == family and "mnist" in each["data.dataset"]
        ]
        low, high = (shown(function(each["copying.value"] * 100 for each in tested), 0) for function in (min, max))
        far, farthest = (shown(function(each["copying.z_score"] for each in tested), 0) for function in (min, max))
        yield f"The {words} have shares from {low} to {high} %, and C_T from {far} to {farthest}."
    share = max(result(name)["copying.value"] for name in GROUPS["gan-mnist"])
    yield "If one in ten samples of `gan-mnist` were a copy, its share would still be below 50 %."
    assert 0.1 + 0.9 * share < 0.5
    on_cifar = [result(path.stem) for path in RESULTS.glob("cifar10-*.json")]
    low, high = (shown(function(each["copying.value"] * 100 for each in on_cifar), 0) for function in (min, max))
    near, nearest = (shown(function(each["copying.z_score"] for each in on_cifar), 0) for function in (max, min))
    yield f"do show a sign of copies, with shares from {low} to {high} % and C_T from {nearest} to {near}."


def sentences_on_real_images() -> Iterator[str]:
    found = real_images()
    yield f"the binary test images themselves have FID {found['binarized_mnist/test', 'fid_classifier']:.1f} ("
    share, z_score = (found["cifar10/valid", f"copying.{number}"] for number in ("value", "z_score"))
    yield f"The 5,000 real validation images have a share of {100 * share:.0f} % and C_T {z_score:.1f}."


@cache
def real_images() -> dict[tuple[str, str], float]:
    """Return the numbers of real images in place of samples, by images and name of the number."""
    with (ROOT / "benchmarks" / "histories" / "real_images.csv").open(encoding="utf-8") as file:
        return {(row["images"], row["number"]): float(row["value"]) for row in csv.DictReader(file)}


def test_validation_images_are_no_copies() -> None:
    found, text = real_images(), " ".join((ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8").split())
    shares, scores = (
        " and ".join(f"{found[f'{name}/valid', f'copying.{number}']:.{digits}f}" for name in ("mnist", "cifar10"))
        for number, digits in (("value", 3), ("z_score", 1))
    )
    assert f"have shares of {shares} and C_T {scores} (" in text


def test_the_table_of_dirac_games_equals_the_files() -> None:
    [table] = [
        found for found in tables((ROOT / "docs" / "results.md").read_text("utf-8")) if found.head[0] == DIRAC[0]
    ]
    assert tuple(table.head) == DIRAC
    for first, *cells in table.rows:
        study, loss = re.fullmatch(r"`(.+)`, (JSD|W1)", first).groups()
        games = [f"{loss.lower()}-{number}" for number in range(1, 6)]
        found, *others = (result(name) for name in GROUPS[study])
        assert len(others) == 2
        assert all(found[f"{game}.verdict"] == other[f"{game}.verdict"] for game in games for other in others)
        assert cells == [f"{found[f'{game}.verdict']} ({shown(found[f'{game}.end'], 3)})" for game in games]
        assert {found[f"{game}.start"] for game in games} == {result("dirac")["jsd-1.start"]}
    assert len(table.rows) == 3


def history(name: str) -> dict[int, float]:
    """Return bits per dimension on validation after each epoch of a recorded run."""
    lines = (ROOT / "benchmarks" / "histories" / f"{name}.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {int(epoch): float(value) for epoch, value in (line.split(",") for line in lines)}


def test_the_error_of_the_inverse_is_below_that_of_the_page() -> None:
    bound = 4.05e-6  # rounded to 0.000004
    assert max(result(name)["inverse_error.value"] for name in GROUPS["realnvp-mnist"]) < bound
    assert "at most 0.000004 (pixels from 0 to 1; 500 test images, three seeds)" in (
        ROOT / "docs" / "questions.md"
    ).read_text(encoding="utf-8")


def test_sentences_equal_the_files() -> None:
    text = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert [sentence for sentence in sentences() if sentence not in text] == []
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"real images have FID {shown(result('quick/vae-20d')['fid.real_images'], 2)}" in readme


def test_the_tolerances_in_trust_are_those_of_the_code() -> None:
    likelihood, *others = (
        f"{100 * tolerance(key, 1.0):g} %"
        for key in ("test.log_likelihood", "fid_classifier.value", "kid_classifier.value", "is_classifier.value")
    )
    sentence = "likelihoods agree within {}, FID within {}, KID within {} and IS within {}.".format(likelihood, *others)
    assert sentence in " ".join((ROOT / "docs" / "trust.md").read_text(encoding="utf-8").split())


def test_the_hours_of_the_full_profile_follow_from_the_files() -> None:
    experiments = load(ROOT / "params.yaml").experiments.items()
    names = [name for name, each in experiments if each.dataset != "cifar10"]
    assert set(names) <= set(NAMES), "keep the results of new experiments with `triptych baseline`"
    seconds = sum(result(name)["run.train_seconds"] for name in names)
    for page in (ROOT / "README.md", ROOT / "docs" / "how-to.md"):
        assert f"about {seconds / 3600:.0f} hours" in " ".join(page.read_text(encoding="utf-8").split())


def test_the_estimates_that_follow_fid_are_those_whose_interval_excludes_zero() -> None:
    """docs/results.md names them."""
    text = " ".join((ROOT / "docs" / "results.md").read_text(encoding="utf-8").split())
    found = {name: result(name) for name in sorted(path.stem for path in RESULTS.glob("cifar10-*.json"))}
    assert len(found) == 8
    assert all(each["over_training.correlation.snapshots"] == 10 for each in found.values())
    assert all(each["over_training.correlation.high"] > 0 for each in found.values())
    follow = [f"`{name}`" for name, each in found.items() if each["over_training.correlation.low"] > 0]
    listing = " and ".join(filter(None, (", ".join(follow[:-1]), follow[-1])))
    assert f"The interval is above 0 for {listing}. For the others, it contains 0." in text


def test_the_settings_of_the_gans_on_cifar10_are_those_of_the_files() -> None:
    """docs/results.md lists what differs from the profile `full`."""
    tables_found = tables((ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    [table] = [table for table in tables_found if table.head[0] == "setting"]
    full = load(ROOT / "params.yaml").experiment("cifar10-jsd-1")
    for path in RESULTS.glob("cifar10-*.json"):
        ours = result(path.stem)
        updates, between = (
            ours["settings.epoch_updates"] * ours[f"settings.{key}"] for key in ("epochs", "snapshot_epochs")
        )
        wanted = [
            (ours["settings.model.width"], full.model.width.full),
            (updates, full.epoch_updates.full * full.epochs.full),
            (between, full.epoch_updates.full * full.snapshot_epochs.full),
        ]
        assert [tuple(row[1:]) for row in table.rows[:3]] == [tuple(f"{each:,}" for each in pair) for pair in wanted]
        assert table.rows[3][1] == f"`{ours['runtime.precision']}`"
        assert table.rows[4][1] == f"`{ours['fid.extractor']}`"


@pytest.fixture
def quick(tmp_path: Path) -> list[str]:
    """Return the closing lines of `triptych repro` for the baseline of the profile quick."""
    import pandas as pd

    project, settings = Project(tmp_path), load(ROOT / "params.yaml")
    for path in (RESULTS / "quick").glob("*.json"):
        project.results(path.stem).parent.mkdir(parents=True)
        shutil.copyfile(path, project.results(path.stem))
    project.summary.parent.mkdir()
    kept = {name: read_json(project.results(name)) for name in settings.experiments}
    extractors = extractors_of(kept.values())
    rows = [summarise(name, settings.experiment(name).family, found, extractors) for name, found in kept.items()]
    pd.DataFrame(rows).to_csv(project.summary, index=False)
    assert closing_table(project, settings).splitlines()[-1].startswith("  triptych plots       ")
    for command in ("git init -q", "git commit -q --allow-empty -m results"):
        subprocess.run(command.split(), cwd=tmp_path, env=environment(), check=True)
    return closing_table(project, settings).splitlines()


def test_the_closing_table_equals_the_files(quick: list[str]) -> None:
    printed = {page.name: next(_closing(page.read_text(encoding="utf-8")), []) for page in PAGES}
    assert printed["results.md"] == quick
    assert len(printed["README.md"]) > 4
    assert [line for line in printed["README.md"] if line not in (*quick, "...")] == []


def test_the_closing_table_has_a_block_per_reference_and_a_line_per_study(quick: list[str]) -> None:
    assert max(map(len, quick)) <= 100
    blocks_found = ["mnist/test, ", "cifar10/test, ", "ELBO and log p ", "Studies", "Where to look next:"]
    starts = [next(number for number, line in enumerate(quick) if line.startswith(start)) for start in blocks_found]
    assert starts == sorted(starts)
    for name, experiment in load(ROOT / "params.yaml").experiments.items():
        [place] = [number for number, line in enumerate(quick) if line.startswith(f"  {name} ")]
        assert (place > starts[1]) == (experiment.dataset == "cifar10")
        heading = next(line for line in reversed(quick[:place]) if not line.startswith(" "))
        assert heading.startswith(FAMILIES[experiment.family].title)
        assert ("ELBO" in heading, "bits/dim" in heading) == (experiment.family == "vae", experiment.family == "flow")
        columns = heading.removeprefix(FAMILIES[experiment.family].title).replace("log p", "log-p").split()
        assert len(quick[place].split()) == 1 + len(columns)
    studies = quick[starts[3] + 1 : starts[4] - 1]
    assert [line.split()[0] for line in studies] == list(load(ROOT / "params.yaml").studies)


def _closing(text: str) -> Iterator[list[str]]:
    yield from (content.splitlines() for _, content in blocks(text) if content.startswith("mnist/test, "))
