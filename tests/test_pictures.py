"""The pictures of an evaluation show the numbers and images that their titles name, without any training."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from triptych.evaluation import context, presentation
from triptych.evaluation.context import Evaluation
from triptych.evaluation.flow import latent_traversal
from triptych.evaluation.flow import pictures as flow_pictures
from triptych.evaluation.gan import pictures as gan_pictures
from triptych.evaluation.presentation import presentation_of
from triptych.evaluation.vae import pictures as vae_pictures
from triptych.figures.curves import curves_over_iterations
from triptych.figures.image_grids import SHADE, tile
from triptych.objectives.adversarial import jsd, w1
from triptych.stages import report
from triptych.training.history import write_history
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS = {0: 0.0, 2: 0.25, 3: 0.5, 5: 0.75, 6: 1.0}  # brightness of the samples by epoch; the last one ends training
SHAPE = (2, 3)
TEST = torch.arange(50)[:, None, None].expand(50, *SHAPE).div(50).round().to(torch.uint8)  # the second half is white
QUANTITIES = (
    "negative_elbo", "negative_iw_bound", "bits_per_dimension", "negative_log_likelihood",
    "discriminator_loss", "critic_loss", "generator_loss",
)  # fmt: skip
COLUMNS = [f"{split}_{name}" for name in QUANTITIES for split in ("train", "valid")]
HISTORY = [
    {"epoch": float(epoch)} | {column: epoch + 10.0 * index for index, column in enumerate(COLUMNS)}
    for epoch in (0, 3, 6)
]


class Bright:
    """A family whose samples are the distribution function of the latents times the only weight."""

    latent, architecture, metric = 6, "nice", staticmethod(jsd)

    def __init__(self) -> None:
        self.networks = nn.ParameterDict({"brightness": nn.Parameter(torch.zeros(()))})
        self.averaged = self.networks

    def draw_latents(self, count: int, source: torch.Generator) -> torch.Tensor:
        return torch.randn(count, self.latent, generator=source)

    def sample(self, latents: torch.Tensor) -> torch.Tensor:
        return expected(latents, self.networks["brightness"].item())

    def encode(self, pixels: torch.Tensor, draws: int) -> torch.Tensor:
        """Draw k of an image of ones is k, and of an image of zeros -k."""
        signs = pixels.flatten(1)[:, :1].float() * 2 - 1
        return (signs[:, None] * torch.arange(draws)[:, None]).expand(-1, -1, 2)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents[:, :1].abs().div(100).expand(-1, 6).reshape(-1, *SHAPE)


def expected(latents: torch.Tensor, brightness: float) -> torch.Tensor:
    return (brightness * torch.special.ndtr(latents)).view(-1, *SHAPE)


def levels(images: torch.Tensor) -> np.ndarray:
    return (images * 255).round().to(torch.uint8).numpy()


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    paths = {epoch: tmp_path / f"{epoch}.safetensors" for epoch in EPOCHS}
    for epoch, path in paths.items():
        save_tensors(path, {"brightness": torch.tensor(EPOCHS[epoch])})
    images = SimpleNamespace(pixels=TEST, eight_bit=TEST * 255, data=SimpleNamespace(has_labels=lambda split: False))
    family = Bright()
    return Evaluation(
        name="model-a",
        family=family,
        splits={"test": images},
        training=None,
        history=HISTORY,
        snapshots={epoch: paths[epoch] for epoch in (0, 2, 3, 5)},
        weights=paths[6],
        shown=context.shown_latents(family, 4),
        classify=lambda pixels: torch.arange(len(pixels)) % 10,
        score=None,
        fidelity={},
        fidelity_samples=0,
        likelihood=None,
        epoch_updates=1000,
        seed=4,
        partial_results=tmp_path,
        folder=tmp_path,
    )


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """Return a dictionary that gets each figure under the name of its file, in place of the file."""
    figures: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path, **_: object) -> None:
        figures[path.name] = figure

    for module in (context, presentation, vae_pictures, flow_pictures, gan_pictures):
        for name in ("save", "save_grey", "save_images"):
            monkeypatch.setattr(module, name, keep, raising=False)
    return figures


def panels(figure: Figure) -> dict[str, np.ndarray]:
    return {axes.get_title(): np.asarray(axes.images[0].get_array()) for axes in figure.axes}


def assert_equal(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert list(found) == list(wanted)
    for heading, sheet in wanted.items():
        assert np.array_equal(found[heading], sheet), heading


def assert_titled(figure: Figure, words: str) -> None:
    """The title has these words. A code of the documents, such as M2.7a, stands in captions only."""
    assert words in figure.get_suptitle()
    assert not re.search(r"\b[A-Z]\d", figure.get_suptitle())


def assert_shows_samples(figure: Figure, latents: torch.Tensor, headings: list[str]) -> None:
    """The samples of the first snapshot, of that nearest to half of the training, and of the end."""
    sheets = [tile(levels(expected(latents, EPOCHS[epoch])), 5) for epoch in (0, 3, 6)]
    assert_equal(panels(figure), dict(zip(headings, sheets, strict=True)))


CURVES = {
    ("vae", "U1.13-elbo", "nats"): {
        "training": ("train_negative_elbo", -1, "-"),
        "validation": ("valid_negative_elbo", -1, "-"),
        "training, importance-weighted": ("train_negative_iw_bound", -1, "--"),
        "validation, importance-weighted": ("valid_negative_iw_bound", -1, "--"),
    },
    **{
        ("flow", f"{name}-{picture}", unit): {
            "training": (f"train_{column}", factor, "-"),
            "validation": (f"valid_{column}", factor, "-"),
        }
        for name in ("U3.8", "R1")
        for picture, column, factor, unit in (
            ("bits-per-dimension", "bits_per_dimension", 1, "bits"),
            ("log-likelihood", "negative_log_likelihood", -1, "nats"),
        )
    },
    **{
        ("gan", picture, "loss"): {
            f"{player}, {word}": (f"{split}_{player}_loss", 1, line)
            for player in (opponent, "generator")
            for split, word, line in (("train", "training", "-"), ("valid", "validation", "--"))
        }
        for picture, opponent in (("U2.5-losses", "discriminator"), ("M2.7-losses", "critic"))
    },
}


@pytest.mark.parametrize(("family", "picture", "unit"), CURVES)
def test_a_chart_shows_the_columns_of_the_history(
    evaluation: Evaluation, saved: dict[str, Figure], family: str, picture: str, unit: str
) -> None:
    presentation_of(family).charts[picture].draw(evaluation, picture, "title")
    figure = saved[f"{picture}.png"]
    assert figure.get_suptitle() == "title"
    whole, later = figure.axes[::2], figure.axes[1::2]
    assert len(whole) == (2 if picture == "M2.7-losses" else 1), "only losses without a common scale are apart"
    assert {axes.get_title() for axes in whole} == {"from the untrained model on"}
    assert {axes.get_title() for axes in later} == {"from epoch 3 on"}
    assert all(line.get_xdata().tolist() == [3, 6] for axes in later for line in axes.lines)
    assert all(axes.get_xlabel() == "epoch" and unit in axes.get_ylabel() for axes in figure.axes)
    lines = {line.get_label(): line for axes in whole for line in axes.lines}
    curves = CURVES[family, picture, unit]
    assert lines.keys() == curves.keys()
    for label, (column, factor, style) in curves.items():
        assert lines[label].get_xdata().tolist() == [0, 3, 6]
        assert lines[label].get_ydata().tolist() == [factor * row[column] for row in HISTORY]
        assert lines[label].get_linestyle() == style


def test_the_colours_of_training_and_validation_differ(evaluation: Evaluation, saved: dict[str, Figure]) -> None:
    presentation_of("vae").charts["U1.13-elbo"].draw(evaluation, "x", "title", "another label")
    axes, _ = saved["x.png"].axes
    assert axes.get_ylabel() == "another label"
    train, valid, weighted_train, weighted_valid = (line.get_color() for line in axes.lines)
    assert (train, valid) == (weighted_train, weighted_valid)
    assert train != valid


EACH = ("before training", "after epoch 3", "after epoch 6")


def test_pictures_of_a_vae(evaluation: Evaluation, saved: dict[str, Figure]) -> None:
    evaluation.family.latent = 3  # without the latent plane
    torch.manual_seed(0)
    vae_pictures.draw_pictures(evaluation)
    kinds = {"U1.12-reconstructions", "U1.13-elbo", "U1.14-means", "U1.14-draws"}
    assert saved.keys() == {f"{kind}.png" for kind in kinds}
    for figure in saved.values():
        assert_titled(figure, "model-a")
    assert_shows_samples(saved["U1.14-means.png"], evaluation.shown, [*EACH])
    draws, means = panels(saved["U1.14-draws.png"]), panels(saved["U1.14-means.png"])
    assert list(draws) == [*EACH]
    assert {*np.unique(draws["after epoch 6"])} == {0, SHADE, 255}
    share = [float(sheet.mean()) - float(means[heading].mean()) for heading, sheet in draws.items()]
    assert share == pytest.approx([0, 0, 0], abs=25)
    originals = TEST[[round(index * 49 / 24) for index in range(25)]]
    one, mean = (levels(torch.full((25, *SHAPE), value)) for value in (0.0, 0.495))
    headings = list(panels(saved["U1.12-reconstructions.png"]))
    wanted = [tile(sheet, 5) for sheet in ((originals * 255).numpy(), one, mean)]
    assert_equal(panels(saved["U1.12-reconstructions.png"]), dict(zip(headings, wanted, strict=True)))
    assert all(word in heading for word, heading in zip(("test", "one draw", "100 draws"), headings, strict=True))


def test_the_aggregate_posterior_has_the_colours_of_the_classes(
    evaluation: Evaluation, saved: dict[str, Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = torch.linspace(-4.4, 4.4, 50)[:, None] * torch.tensor([1.0, 0.5])
    monkeypatch.setattr(evaluation.family, "encode", lambda pixels, draws: latents[:, None].expand(-1, draws, -1))
    given = []
    object.__setattr__(evaluation, "classify", lambda pixels: given.append(pixels) or torch.arange(50) % 10)
    vae_pictures._draw_aggregate_posterior(evaluation)
    assert torch.equal(given[0], TEST * 255)
    figure = saved["U1.15-posterior.png"]
    assert_titled(figure, "50 test images")
    [axes] = figure.axes
    for label, points in enumerate(axes.collections):
        assert points.get_label() == str(label)
        assert points.get_offsets().tolist() == latents[label::10].tolist()
    assert len({tuple(points.get_facecolor()[0]) for points in axes.collections}) == 10
    assert [(circle.center, circle.radius, circle.fill) for circle in axes.patches] == [
        ((0, 0), 1, False),
        ((0, 0), 2, False),
    ]
    assert (axes.get_xlim(), axes.get_ylim(), axes.get_aspect()) == ((-4, 4), (-4, 4), 1)
    [legend] = figure.legends
    assert (
        legend.get_title()
        .get_text()
        .endswith(f"\n({int((latents.abs() > 4).any(1).sum())} images lie\noutside the axes)")
    )
    assert "$z_1$" in axes.get_xlabel()
    assert axes.get_ylabel() == "$z_2$"


def test_the_labels_of_own_images_are_shown(
    evaluation: Evaluation, saved: dict[str, Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only some images are shown, and there are more classes than colours."""
    monkeypatch.setattr(vae_pictures, "POINTS", 25)
    labels = torch.arange(50) % 12
    data = SimpleNamespace(has_labels=lambda split: True, labels=lambda split: labels.numpy())
    evaluation.splits["test"] = SimpleNamespace(pixels=TEST, eight_bit=TEST * 255, data=data)
    shown: list[int] = []
    latents = labels.float()[:, None].expand(-1, 2)
    monkeypatch.setattr(vae_pictures, "_evenly_spaced", lambda *_: torch.arange(0, 50, 2))
    monkeypatch.setattr(evaluation.family, "encode", lambda pixels, draws: latents[::2, None].expand(-1, draws, -1))
    vae_pictures._draw_aggregate_posterior(evaluation)
    figure = saved["U1.15-posterior.png"]
    for label, points in enumerate(figure.axes[0].collections):
        shown += [int(first) for first, _ in points.get_offsets()]
        assert {min(first, 9) for first, _ in points.get_offsets()} <= {label}
    assert sorted(shown) == sorted(labels[::2].tolist())
    assert figure.axes[0].collections[-1].get_label() == "9 and above"
    assert figure.legends[0].get_title().get_text().startswith("label")


def test_pictures_with_two_latents_include_the_plane(
    evaluation: Evaluation, saved: dict[str, Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    for name in ("_draw_samples", "_draw_reconstructions", "_draw_manifold"):
        monkeypatch.setattr(vae_pictures, name, lambda given, name=name: called.append(name))
    evaluation.family.latent = 2
    vae_pictures.draw_pictures(evaluation)
    assert called == ["_draw_samples", "_draw_reconstructions", "_draw_manifold"]
    assert "U1.15-posterior.png" in saved
    [legend] = saved["U1.15-posterior.png"].legends
    assert "outside" not in legend.get_title().get_text(), "all draws are 0"


@pytest.mark.parametrize("architecture", ["nice", "realnvp"])
def test_pictures_of_a_flow(
    evaluation: Evaluation, saved: dict[str, Figure], monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    evaluation.family.architecture = architecture
    special = []
    for name in ("_draw_layers", "_draw_traversals"):
        monkeypatch.setattr(flow_pictures, name, lambda given, name=name: special.append(name))
    flow_pictures.draw_pictures(evaluation)
    nice = architecture == "nice"
    prefix = "R1" if nice else "U3.8"
    assert saved.keys() == {f"{prefix}-{name}.png" for name in ("bits-per-dimension", "log-likelihood", "samples")}
    for figure in saved.values():
        assert_titled(figure, "model-a")
    assert_shows_samples(saved[f"{prefix}-samples.png"], evaluation.shown, [*EACH])
    assert special == (["_draw_layers", "_draw_traversals"] if nice else [])


def headings(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_xticklabels()]


def test_the_layers_of_a_flow_are_shown_from_z_to_x(evaluation: Evaluation, saved: dict[str, Figure]) -> None:
    family = evaluation.family
    family.layers = SimpleNamespace(inverse_steps=lambda z: [z, z / 2, z / 4, z / 8])
    family.to_intensities = lambda values: values.sigmoid().view(-1, *SHAPE)
    flow_pictures._draw_layers(evaluation)
    figure = saved["R2-layers.png"]
    assert_titled(figure, "From z to x")
    assert headings(figure) == ["z", "layer 3", "layer 2", "x"]
    latents = evaluation.shown[:10]
    steps = [levels(family.to_intensities(latents / scale)) for scale in (1, 2, 4, 8)]
    sheet = tile(np.stack(steps, 1).reshape(-1, *SHAPE), 4)
    assert np.array_equal(figure.axes[0].images[0].get_array(), sheet)


def test_a_traversal_of_the_identity_is_a_straight_line_between_two_digits(
    evaluation: Evaluation, saved: dict[str, Figure]
) -> None:
    """The latents are the dequantised images, so that a point is the interpolated image, rounded down."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (60, *SHAPE), dtype=torch.uint8)
    labels = (torch.arange(60) // 6).numpy().astype(np.uint8)
    data = SimpleNamespace(has_labels=lambda split: split == "test", labels={"test": labels}.get)
    evaluation.splits["test"] = SimpleNamespace(pixels=pixels, data=data)
    evaluation.family.continuous = lambda x: (x.flatten(1), None)
    evaluation.family.decode = lambda z: ((z * 256).floor() / 255).view(-1, *SHAPE)
    found = latent_traversal.traversals(evaluation)
    assert found.labels == [("0", "1"), ("2", "3"), ("4", "5")]
    assert torch.equal(found.images.flatten(0, 1), pixels[[0, 6, 12, 18, 24, 30]])
    assert found.end_error == 0.0
    first, second = found.images.double().unbind(1)
    shares = torch.linspace(0, 1, 10, dtype=torch.float64)[:, None, None]
    line = first[:, None] + (second - first)[:, None] * shares
    assert ((found.points - line).abs() <= 0.5 + 1e-3).all()
    flow_pictures._draw_traversals(evaluation)
    figure = saved["R3-traversals.png"]
    assert_titled(figure, "the images' labels")
    assert headings(figure) == ["image", *(f"{index / 9:.2f}" for index in range(10)), "image"]
    ends = found.images[:, :, None].float()
    rows = torch.cat([ends[:, 0], found.points, ends[:, 1]], 1).to(torch.uint8).numpy()
    assert np.array_equal(figure.axes[0].images[0].get_array(), tile(rows.reshape(-1, *SHAPE), 12))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["0", "2", "4"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "3", "5"]
    moved = latent_traversal.Traversals(found.images, found.points.clone(), found.labels)
    moved.points[1, -1, 0, 0] += 7
    moved.points[0, 4] += 90  # a point between the ends
    assert moved.end_error == 7.0


def test_pictures_of_a_gan_with_a_discriminator(
    evaluation: Evaluation, saved: dict[str, Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    monkeypatch.setattr(gan_pictures, "_draw_interpolations", called.append)
    gan_pictures.draw_pictures(evaluation)
    assert saved.keys() == {"U2.5-losses.png", "U2.6-samples.png"}
    assert_titled(saved["U2.5-losses.png"], "Losses")
    assert_titled(saved["U2.6-samples.png"], "the same latents")
    assert_shows_samples(saved["U2.6-samples.png"], evaluation.shown, [*EACH])
    assert called == [evaluation]


@pytest.mark.parametrize(("metric", "unit"), [(jsd, "loss (nats)"), (w1, "loss")])
def test_pictures_of_a_gan_with_a_critic(
    evaluation: Evaluation, saved: dict[str, Figure], monkeypatch: pytest.MonkeyPatch, metric: object, unit: str
) -> None:
    monkeypatch.setattr(gan_pictures, "CriticFamily", Bright)
    evaluation.family.metric = metric
    evaluation.family.networks["brightness"].data.fill_(0.75)
    rows = [{"epoch": epoch, "update": 1000 * epoch, "w1": 2.0 + epoch, "fid": 50.0 - epoch} for epoch in (2, 3, 6)]
    write_history(evaluation.folder / "snapshots.csv", rows)
    gan_pictures.draw_pictures(evaluation)
    assert saved.keys() == {f"M2.7{name}.png" for name in ("-losses", "a-samples", "a-stages", "c-progress")}
    for name, figure in saved.items():
        assert_titled(figure, "and FID" if name == "M2.7c-progress.png" else "model-a")
    losses = [axes.get_ylabel() for axes in saved["M2.7-losses.png"].axes[::2]]
    assert losses == [f"{player}'s {unit}" for player in ("critic", "generator")]
    stages = ["before training", "after 3,000 updates", "after 6,000 updates"]
    assert_shows_samples(saved["M2.7a-stages.png"], evaluation.shown, stages)
    [(heading, sheet)] = panels(saved["M2.7a-samples.png"]).items()
    assert "100" in heading
    assert sheet.shape == (10 * 2 + 9 * 2, 10 * 3 + 9 * 2)
    left, right = saved["M2.7c-progress.png"].axes
    assert left.get_title() == "model-a"
    assert np.asarray(left.lines[0].get_xydata()).tolist() == [[2000, 4], [3000, 5], [6000, 8]]
    assert np.asarray(right.lines[0].get_xydata()).tolist() == [[2000, 48], [3000, 47], [6000, 44]]
    assert left.get_ylabel().startswith("W1")
    assert right.get_ylabel() == "FID"


def test_labels_are_those_of_the_data_set_or_of_the_classifier(evaluation: Evaluation) -> None:
    assert evaluation.labels("test").tolist() == [index % 10 for index in range(50)]
    known = SimpleNamespace(has_labels=lambda split: split == "test", labels={"test": np.uint8([7, 8])}.get)
    evaluation.splits["test"] = SimpleNamespace(pixels=TEST, eight_bit=TEST * 255, data=known)
    assert evaluation.labels("test").tolist() == [7, 8]
    assert evaluation.labels("test").dtype == torch.int64


def test_pictures_of_unknown_classes_show_no_labels(evaluation: Evaluation, saved: dict[str, Figure]) -> None:
    """The images have no labels, and the classifier knows other classes."""
    object.__setattr__(evaluation, "classify", None)
    assert evaluation.labels("test") is None
    evaluation.family.continuous = lambda x: (x.flatten(1), None)
    vae_pictures._draw_aggregate_posterior(evaluation)
    flow_pictures._draw_traversals(evaluation)
    gan_pictures._draw_interpolations(evaluation)
    posterior = saved.pop("U1.15-posterior.png")
    assert [points.get_label() for points in posterior.axes[0].collections] == ["images"]
    assert posterior.legends[0].get_title().get_text() == "no labels"
    for figure in saved.values():
        assert "label" not in figure.get_suptitle()
        texts = (*figure.axes[0].get_yticklabels(), *figure.axes[0].texts)
        assert {text.get_text() for text in texts} == {""}


def test_the_final_weights_return_after_the_snapshots(evaluation: Evaluation) -> None:
    found = evaluation.at_epochs(lambda family: family.networks["brightness"].clone(), [2, 6, 0])
    assert {epoch: float(value) for epoch, value in found.items()} == {2: 0.25, 6: 1.0, 0: 0.0}
    assert not any(value.requires_grad for value in found.values())
    assert evaluation.family.networks["brightness"].item() == 1.0
    assert torch.equal(evaluation.shown, evaluation.family.draw_latents(25, context.generator(4, "shown samples")))


def test_the_samples_of_all_experiments_name_their_source_without_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet, titles = tmp_path / "sheet.png", []
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(sheet)
    monkeypatch.setattr(report, "image_panels", lambda _, title: titles.append(title))
    monkeypatch.setattr(report, "save_images", lambda *_, **__: None)
    sources = [f"the user's folder, {name} (sha256 5dde5c27)" for name in ("binary.npz", "mnist.npz", "mnist.npz")]
    metrics = [{"profile": "full", "data": {"source": source}} for source in sources]
    report._save_samples(tmp_path / "X2-samples.png", {"vae": sheet}, metrics)
    assert titles == ["Samples after training, profile full, from binary.npz and mnist.npz"]


def test_curves_begin_at_the_lowest_value_and_none_hides_another() -> None:
    curves = {"first": [(0, 2.0), (1, 1e-9)], "second": [(0, 1.0), (1, 1.0)]}
    [axes] = curves_over_iterations({"JSD": curves}, title="games", label="distance", lowest=1e-4).axes
    assert axes.get_ylim() == pytest.approx((1e-4, 4.0))
    wide, narrow = (line.get_linewidth() for line in axes.lines)
    assert wide > narrow
    assert axes.lines[0].get_zorder() <= axes.lines[1].get_zorder()
