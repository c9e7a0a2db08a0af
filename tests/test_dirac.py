"""The Dirac games, compared with the documents' train step, the linear theory, and the literature."""

from __future__ import annotations

import copy
import math
from itertools import product, repeat
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
from triptych.studies.dirac.settings import Penalty
from triptych.studies.dirac.training import build, configurations
from triptych.training.weights import load_tensors
from triptych.verify.baseline import LARGEST

RATE = 0.1
RULES = [
    (loss, penalty, coefficient)
    for loss in ("jsd", "w1")
    for penalty, coefficient in ((None, 0.0), ("r1gp", 0.01), ("r1gp", 0.1), ("ogp", 0.01), ("ogp", 0.1))
]
GAMES = [(*rule, "metric") for rule in RULES] + [(*rule, "non_saturating") for rule in RULES if rule[0] == "jsd"]
STUDIES = ("dirac", "dirac-non-saturating")


class Point(nn.Module):
    """A generator whose samples are all theta."""

    def __init__(self, theta: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([[theta]], dtype=torch.float64))

    def forward(self, count: int) -> torch.Tensor:
        return self.theta.expand(count, 1)


@pytest.mark.parametrize("game", GAMES, ids=str)
def test_a_step_equals_the_documents_train_step(game: tuple[str, str | None, float, str]) -> None:
    loss, penalty, coefficient, generator_loss = game
    psi0, psi1, theta = (torch.tensor([value], dtype=torch.float64) for value in (0.8, -0.3, 0.6))
    critic, generator = nn.Linear(1, 1).double(), Point(float(theta))
    critic.load_state_dict({"weight": psi0[:, None], "bias": psi1})
    judged = copy.deepcopy(generator)
    optimizers = [torch.optim.SGD(player.parameters(), lr=RATE) for player in (critic, generator)]
    step = make_train_step(loss, 1, penalty, coefficient, alpha_ema=0.9, generator_loss=generator_loss)
    games, players, average = Games([game[:3]], RATE, generator_loss), (psi0, psi1, theta), theta
    data = repeat(torch.zeros(3, 1, dtype=torch.float64))
    for _ in range(40):
        step(data, critic, optimizers[0], generator, judged, optimizers[1])
        players = games.step(*players)
        average = 0.9 * average + 0.1 * players[2]
    found = [critic.weight.item(), critic.bias.item(), generator.theta.item(), judged.theta.item()]
    assert found == pytest.approx([*(float(value) for value in players), float(average)], abs=1e-12)


def test_eigenvalues_equal_the_closed_form() -> None:
    """For W1, psi <- a psi - r theta and theta <- theta + r psi; the determinant is a = 1 - 2 r c."""
    pulls = {  # on psi times on theta
        ("w1", "metric"): 1.0,
        ("jsd", "metric"): 1 / 4 * 1 / 4,
        ("jsd", "non_saturating"): 1 / 4 * 1 / 2,
    }
    for loss, penalty, coefficient, generator_loss in GAMES:
        [value] = Games([(loss, penalty, coefficient)], RATE, generator_loss).eigenvalues()
        if penalty == "ogp":
            assert value is None
            continue
        a, pull = 1 - 2 * RATE * coefficient, pulls[loss, generator_loss]
        trace = 1 + a - RATE**2 * pull
        assert abs(value) == pytest.approx(math.sqrt(a), abs=1e-12)
        assert value.real == pytest.approx(trace / 2, abs=1e-12)


@pytest.fixture(scope="module")
def settings(params: dict) -> Settings:
    return parse(params | {"profile": "full"})


@pytest.fixture(scope="module")
def played(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], dict]:
    """Return the numbers of both studies for four seeds."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("triptych.studies.dirac.pictures.draw_pictures", lambda evaluation, numbers: None)
        for name, seed in product(STUDIES, range(4)):
            folder = tmp_path_factory.mktemp(f"{name}-{seed}")
            run_study(with_study(settings, name, seed=seed), name, folder)
            found[name, seed] = read_json(folder / "plots" / "results.json")
    return found


VERDICTS = {  # no penalty, R1 of 0.01 and 0.1, one-centred penalty of 0.01 and 0.1
    ("dirac", "jsd"): ["circles", "decays slowly", "converges", "circles", "circles"],
    ("dirac", "w1"): ["circles", "decays slowly", "converges", "circles", "circles"],
    ("dirac-non-saturating", "jsd"): ["decays slowly", "decays slowly", "converges", "circles", "circles"],
}
THEORY = ["not decided", "decays slowly", "converges", "no equilibrium", "no equilibrium"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "loss"), VERDICTS)
def test_verdicts_of_the_ten_games(played: dict, name: str, loss: str, seed: int) -> None:
    """Mescheder et al. (2018): both losses circle without a penalty, and converge with R1, not with a one-centred one.

    With the non-saturating loss, JSD without a penalty decays.
    """
    games = [played[name, seed][f"{loss}-{number}"] for number in range(1, 11)]
    assert [game["verdict"] for game in games] == VERDICTS[name, loss] * 2
    assert [game["theory"] for game in games] == THEORY * 2
    raw, averaged = games[:5], games[5:]
    assert [game["end"] for game in raw] == [game["end"] for game in averaged]
    assert raw[2]["end"] < 1e-20
    circles = [place for place, game in enumerate(raw) if game["verdict"] == "circles"]
    assert all(averaged[place]["generator_distance"] < raw[place]["generator_distance"] / 5 for place in circles)


def test_the_configurations_are_twenty(played: dict) -> None:
    assert played["dirac", 0]["configurations"] == [f"{loss}-{n}" for loss in ("jsd", "w1") for n in range(1, 11)]
    assert played["dirac-non-saturating", 0]["configurations"] == [f"jsd-{n}" for n in range(1, 11)]


def test_distances_of_the_ten_games(played: dict) -> None:
    """The metric as the generator's loss: the ends of all games, as an independent simulation has them."""
    ends = [
        {
            key: value["end"]
            for key, value in played["dirac", seed].items()
            if isinstance(value, dict) and "end" in value
        }
        for seed in range(4)
    ]
    assert [end["jsd-1"] for end in ends[:3]] == pytest.approx([2.62, 0.63, 0.51], abs=0.01)
    assert [end["w1-1"] for end in ends] == pytest.approx(
        [played["dirac", n]["w1-1"]["start"] for n in range(4)], rel=0.03
    )
    for end in ends:
        assert all(0.004 < end[f"{loss}-2"] < 0.022 for loss in ("jsd", "w1"))
        assert all(1.26 < end[f"{loss}-{number}"] < 1.31 for loss in ("jsd", "w1") for number in (4, 5))


def test_distances_with_the_non_saturating_loss(played: dict) -> None:
    for seed in range(4):
        found = played["dirac-non-saturating", seed]
        assert found["jsd-1"]["end"] == pytest.approx(0.159, abs=0.005)
        assert found["jsd-2"]["end"] == pytest.approx(0.0037, abs=0.001)
        assert found["jsd-4"]["end"] == pytest.approx(0.61, abs=0.011)
        assert found["jsd-5"]["end"] == pytest.approx(1.10, abs=0.01)


def test_the_unpenalised_jsd_game_decays_like_the_root_of_time(settings: Settings) -> None:
    """This holds for the non-saturating loss."""
    training = build(settings.study("dirac-non-saturating"), 20_000)
    distance = training.advance(range(20_000))["distance"][:, 0]
    early, late = distance[4000:5000].mean(), distance[19_000:].mean()
    assert float(early / late) == pytest.approx(math.sqrt(19_500 / 4500), rel=0.05)


def test_the_unpenalised_jsd_game_keeps_an_ellipse_near_the_equilibrium(settings: Settings) -> None:
    """With the metric, psi <- psi - c theta and theta <- theta + c psi for c = r / 4, up to the square of the distance.

    Such steps keep psi^2 + theta^2 - c psi theta.
    """
    training = build(settings.study("dirac").model_copy(update={"start_scale": 1e-3}), 5000)
    training.advance(range(5000))
    psi0, _, theta, _ = training.trajectories[:, :, 0].T
    kept = psi0.square() + theta.square() - RATE / 4 * psi0 * theta
    assert float(kept.max() / kept.min()) == pytest.approx(1.0, abs=1e-3)


def test_the_history_shows_the_distance_of_the_generator_that_is_judged(settings: Settings) -> None:
    """W1 without a penalty: psi <- psi - r theta, then theta <- theta + r psi. The averaged game comes second."""
    changes = {"losses": ["w1"], "penalties": [Penalty(reg_type="none")], "learning_rate": RATE, "ema": 0.8}
    training = build(settings.study("dirac").model_copy(update=changes), 50)
    psi0, _, theta, average = training.trajectories[0, :, 0].tolist()
    assert average == theta
    wanted = []
    for _ in range(50):
        psi0 -= RATE * theta
        theta += RATE * psi0
        average = 0.8 * average + 0.2 * theta
        wanted.append([math.hypot(psi0, theta), math.hypot(psi0, average)])
    found = training.advance(range(50))["distance"]
    assert torch.allclose(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-12)


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
        ({"generator_loss": "hinge"}, "generator_loss"),
        ({"generator_loss": "non_saturating"}, "generator_loss is non_saturating, which belongs to jsd: use losses"),
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
