"""The Dirac games, compared with the documents' train step, the linear theory, and the literature."""

from __future__ import annotations

import copy
import math
from itertools import repeat
from pathlib import Path

import pytest
import torch
from torch import nn

from conftest import run_study, with_study
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.objectives import make_train_step
from triptych.settings.params import Settings, parse
from triptych.studies.dirac.game import Games
from triptych.studies.dirac.measure import theory, verdict
from triptych.studies.dirac.training import build, configurations
from triptych.training.weights import load_tensors
from triptych.verify.baseline import LARGEST

RATE = 0.1
RULES = [
    (loss, penalty, coefficient)
    for loss in ("jsd", "w1")
    for penalty, coefficient in ((None, 0.0), ("r1gp", 0.01), ("r1gp", 0.1), ("ogp", 0.01), ("ogp", 0.1))
]


class Point(nn.Module):
    """A generator whose samples are all theta."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([[theta]], dtype=torch.float64))

    def forward(self, count: int) -> torch.Tensor:
        return self.theta.expand(count, 1)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_step_equals_the_documents_train_step(rule: tuple[str, str | None, float]) -> None:
    loss, penalty, coefficient = rule
    psi0, psi1, theta = (torch.tensor([value], dtype=torch.float64) for value in (0.8, -0.3, 0.6))
    critic, generator = nn.Linear(1, 1).double(), Point(float(theta))
    critic.load_state_dict({"weight": psi0[:, None], "bias": psi1})
    judged = copy.deepcopy(generator)
    optimizers = [torch.optim.SGD(player.parameters(), lr=RATE) for player in (critic, generator)]
    step = make_train_step(loss, 1, penalty, coefficient, alpha_ema=0.9)
    games, players, average = Games([rule], RATE), (psi0, psi1, theta), theta
    data = repeat(torch.zeros(3, 1, dtype=torch.float64))
    for _ in range(40):
        step(data, critic, optimizers[0], generator, judged, optimizers[1])
        players = games.step(*players)
        average = 0.9 * average + 0.1 * players[2]
    found = [critic.weight.item(), critic.bias.item(), generator.theta.item(), judged.theta.item()]
    assert found == pytest.approx([*(float(value) for value in players), float(average)], abs=1e-12)


def test_eigenvalues_equal_the_closed_form() -> None:
    """For W1, psi <- a psi - r theta and theta <- theta + r psi; the determinant is a = 1 - 2 r c."""
    found = Games(RULES, RATE).eigenvalues()
    for (loss, penalty, coefficient), value in zip(RULES, found, strict=True):
        if penalty == "ogp":
            assert value is None
            continue
        a, pull = 1 - 2 * RATE * coefficient, {"jsd": 1 / 8, "w1": 1.0}[loss]  # jsd: 1/4 on psi, 1/2 on theta
        trace = 1 + a - RATE**2 * pull
        assert abs(value) == pytest.approx(math.sqrt(a), abs=1e-12)
        assert value.real == pytest.approx(trace / 2, abs=1e-12)


@pytest.fixture(scope="module")
def settings(params: dict) -> Settings:
    return parse(params | {"profile": "full"})


@pytest.mark.parametrize("seed", range(4))
def test_verdicts_of_the_documents_twenty_games(
    settings: Settings, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mescheder et al. (2018): W1 circles; both losses converge with R1, and not with a one-centred penalty."""
    monkeypatch.setattr("triptych.studies.dirac.pictures.draw_pictures", lambda evaluation, numbers: None)
    run_study(with_study(settings, "dirac", seed=seed), "dirac", tmp_path)
    found = read_json(tmp_path / "metrics.json")
    assert found["configurations"] == [f"{loss}-{number}" for loss in ("jsd", "w1") for number in range(1, 11)]
    wanted = {
        "jsd": ["decays slowly", "decays slowly", "converges", "circles", "circles"],
        "w1": ["circles", "decays slowly", "converges", "circles", "circles"],
    }
    for loss, verdicts in wanted.items():
        games = [found[f"{loss}-{number}"] for number in range(1, 11)]
        assert [game["verdict"] for game in games] == verdicts * 2
        raw, averaged = games[:5], games[5:]
        assert [game["end"] for game in raw] == [game["end"] for game in averaged]
        assert raw[1]["end"] < 0.1
        assert raw[2]["end"] < 1e-6
        assert all(game["generator_distance"] < 0.1 for game in averaged)
    assert found["w1-1"]["end"] == pytest.approx(found["w1-1"]["start"], rel=0.05)
    assert all(1.2 < found[f"w1-{number}"]["end"] < 1.35 for number in (4, 5))
    assert found["jsd-1"]["end"] == pytest.approx(0.155, abs=0.025)
    assert found["jsd-4"]["end"] == pytest.approx(0.61, abs=0.03)
    assert found["jsd-5"]["end"] == pytest.approx(1.10, abs=0.03)


def test_the_unpenalised_jsd_game_decays_like_the_root_of_time(settings: Settings) -> None:
    training = build(settings.study("dirac"), 20_000)
    distance = training.advance(range(20_000))["distance"][:, 0]
    early, late = distance[4000:5000].mean(), distance[19_000:].mean()
    assert float(early / late) == pytest.approx(math.sqrt(19_500 / 4500), rel=0.05)


def test_verdicts() -> None:
    assert verdict(1.0, 1e-5, 2e-5) == "converges"
    assert verdict(1.0, 0.99, 1.1) == "circles"
    assert verdict(1.0, 0.8, 0.9) == "decays slowly"
    assert verdict(1.0, 1.3, 1.4) == "moves away"
    assert theory(None, 5000) == "no equilibrium"
    assert theory(1j, 5000) == "not decided"
    assert theory(0.99 + 0j, 5000) == "converges"
    assert theory(0.9995 + 0j, 5000) == "decays slowly"
    assert theory(1.01 + 0j, 5000) == "moves away"


def test_files(tiny_params: dict, params: dict, tmp_path: Path) -> None:
    data = copy.deepcopy(tiny_params)
    data["studies"]["dirac"] = copy.deepcopy(params["studies"]["dirac"]) | {"iterations": {"quick": 40, "full": 40}}
    small = parse(data)
    assert run_study(small, "dirac", tmp_path / "once") == run_study(small, "dirac", tmp_path / "twice")
    plots = tmp_path / "once" / "plots"
    assert sorted(path.name for path in plots.glob("*.png")) == ["M2.6-distance.png", "M2.6-trajectories.png"]
    assert all(picture.stat().st_size <= LARGEST for picture in plots.glob("*.png"))
    trajectories = load_tensors(tmp_path / "once" / "model" / "weights.safetensors")
    assert set(trajectories) == {f"{name}/trajectory" for name in configurations(small.study("dirac"))}
    starts = torch.stack([path[0] for path in trajectories.values()])
    assert (starts == starts[0]).all()
    assert all(path.shape == (41, 4) for path in trajectories.values())


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"penalties": [{"reg_type": "r2gp", "reg_cf": 0.1}]}, "penalties.0.reg_type"),
        ({"penalties": [{"reg_type": "none", "reg_cf": 0.1}]}, "use 0 for none"),
        ({"penalties": [{"reg_type": "ogp"}]}, "more than 0 for a penalty"),
        ({"penalties": [{"reg_type": "none"}, {"reg_type": "none"}]}, "penalties names a value twice"),
        ({"losses": ["jsd", "jsd"]}, "losses names a value twice"),
        ({"losses": ["mmd"]}, "losses.0"),
        ({"ema": 1.0}, "ema"),
        ({"layers": [2]}, "layers: unknown key"),
    ],
)
def test_a_wrong_setting_is_named(params: dict, changes: dict, names: str) -> None:
    data = copy.deepcopy(params)
    data["studies"]["dirac"] |= changes
    with pytest.raises(TriptychError, match=r"studies\.dirac") as caught:
        parse(data)
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)
