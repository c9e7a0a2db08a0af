"""Settings: recipes are merged, and a wrong key is refused in one sentence that names it where it stands."""

from __future__ import annotations

import copy
import difflib
import pickle
import re
from functools import reduce
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from conftest import ROOT
from pages import blocks
from triptych.core.errors import TriptychError
from triptych.core.settings_types import PROFILES
from triptych.settings.experiment import Experiment
from triptych.settings.params import Settings, load, parse, parse_text
from triptych.settings.settings_page import settings_page


def changed(params: dict, key: str, value: object) -> dict:
    """Return the settings with one value set; mappings on the way are created."""
    data = copy.deepcopy(params)
    *path, last = key.split("/")
    reduce(lambda part, name: part.setdefault(name, {}), path, data)[last] = value
    return data


def test_the_page_of_settings_is_that_of_the_models() -> None:
    page = settings_page()
    assert page == (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), "triptych settings > docs/settings.md"
    assert "| `learning_rate` | number above 0, at most 10,000, or one for each profile | required | learning" in page
    assert "| `epochs` | by profile: whole number from 0 to 1,000,000 | required | number of epochs |" in page
    assert "| `losses` | list (at least 1), each: `jsd`, `w1` | `[jsd, w1]` | what the critics estimate" in page
    assert "| `ema` | number above 0, below 1 | off | decay of the moving average" in page
    assert "| `family` | text | required, in the entry | the family: `vae`, `gan` or `flow` |" in page


def test_the_examples_on_the_page_of_settings_are_valid(params: dict) -> None:
    examples = [content for language, content in blocks(settings_page()) if language == "yaml"]
    assert len(examples) > 15
    for example in examples:
        changes = YAML(typ="safe").load(example)
        data = copy.deepcopy(params)
        merge(data, changes)
        for name in changes.get("classifiers", ()):  # a classifier takes the place of the reference of its name
            del data["references"][name]
        assert data != params, example
        parse(data)


def merge(data: dict, changes: dict) -> None:
    """Change the mapping `data` key by key."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            merge(data[key], value)
        else:
            data[key] = value


def test_the_committed_file_is_valid(params: dict) -> None:
    settings = load(ROOT / "params.yaml")
    assert settings.profile == "quick"
    assert list(settings.experiments) == list(params["experiments"])


def test_settings_can_be_sent_to_another_process(params: dict) -> None:
    settings = parse(params)
    sent = pickle.loads(pickle.dumps(settings))
    assert sent.model_dump() == settings.model_dump()
    assert sent == settings
    assert sent.experiment("vae-20d").at("full") == settings.experiment("vae-20d").at("full")


def test_documents_settings(params: dict) -> None:
    settings = parse(params | {"profile": "full"})

    def of(name: str) -> Experiment:
        found = settings.experiment(name).at("full")
        return found.model_copy(update={"model": found.model_at("full")})

    vae, gan, flow = (of(name) for name in ("vae-20d", "gan-mnist", "realnvp-mnist"))
    assert (vae.epochs, vae.batch_size, vae.learning_rate, vae.model.hidden, vae.model.latent) == (
        40, 128, 1e-3, [500], 20
    )  # fmt: skip
    plane, deep, planar = (of(name) for name in ("vae-2d", "vae-100d", "vae-100d-planar"))
    assert plane.model_copy(update={"epochs": vae.epochs, "model": vae.model}) == vae
    assert plane.model == vae.model.model_copy(update={"latent": 2})
    assert (deep.epochs, deep.batch_size, deep.learning_rate, deep.schedule, deep.ema, deep.gradient_clip) == (
        20, 64, 3e-4, "constant", None, None
    )  # fmt: skip
    assert (deep.model.hidden, deep.model.latent, deep.model.activation, deep.model.decoder_shift) == (
        [300, 300], 100, "elu", -5.0
    )  # fmt: skip
    tuned, flowing, weighted = (of(f"vae-100d-{name}") for name in ("tuned", "tuned-planar", "iwae"))
    assert flowing.model_copy(update={"model": tuned.model}) == tuned
    assert flowing.model.model_copy(update={"planar_layers": 0}) == tuned.model == deep.model
    assert weighted.model_copy(update={"model": tuned.model, "epochs": tuned.epochs}) == tuned
    assert weighted.model.model_copy(update={"importance_samples": 1}) == tuned.model
    assert planar.model.planar_layers > 0
    assert planar.model_copy(update={"model": deep.model}) == deep
    assert planar.model.model_copy(update={"planar_layers": 0}) == deep.model
    assert (gan.epochs, gan.batch_size, gan.learning_rate, gan.model.generator) == (
        200, 64, 2e-4, [128, 256, 512, 1024]
    )  # fmt: skip
    assert (flow.epochs, flow.batch_size, flow.learning_rate, flow.model.couplings, flow.model.alpha) == (
        40, 128, 1e-3, 8, 1e-5
    )  # fmt: skip
    assert (flow.schedule, flow.ema, flow.max_shift, flow.model.activation_norm) == ("constant", None, 0, False)
    assert flow.model.hidden == [1024, 1024]
    faster, learned = (of(f"realnvp-mnist-{name}") for name in ("tuned", "variational"))
    assert faster.model.model_copy(update={"activation_norm": False, "alpha": 1e-5}) == flow.model
    assert learned.model_copy(update={"model": flow.model}) == flow
    assert learned.model.model_copy(update={"variational_dequantization": None}) == flow.model
    nice = of("nice-mnist")
    critic = of("cifar10-jsd-2")
    assert (critic.epochs, critic.epoch_updates, critic.batch_size, critic.learning_rate) == (
        200, 500, 64, 2e-4
    )  # fmt: skip
    assert (critic.model.width, critic.players["critic"].learning_rate, critic.ema) == (128, 4e-4, 0.998)
    assert (nice.epochs, nice.model.couplings, len(nice.model.hidden) + 1) == (40, 4, 5)


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        ("experiments/vae-20d/learning_rat", 0.1, "experiments.vae-20d.learning_rat"),
        ("experiments/vae-20d/model/latnt", 3, "model.latnt"),
        ("experiments/vae-20d/model/latent", 0, "model.latent"),
        ("experiments/vae-20d/epochs/quick", -1, "experiments.vae-20d.epochs.quick"),
        ("experiments/vae-20d/epochs/full", 2.5, "experiments.vae-20d.epochs.full"),
        ("experiments/vae-20d/batch_size", "128", "experiments.vae-20d.batch_size"),
        ("experiments/vae-20d/batch_size", 10**6, "experiments.vae-20d.batch_size"),
        ("experiments/vae-20d/learning_rate", 0.0, "experiments.vae-20d.learning_rate"),
        ("experiments/vae-20d/learning_rate", float("nan"), "experiments.vae-20d.learning_rate"),
        ("experiments/vae-20d/betas", [0.9, 1.0], "betas"),
        ("experiments/vae-20d/dataset", "cifar", "experiments.vae-20d.dataset"),
        ("experiments/vae-20d/dataset", "mnist", "mnist has 8-bit pixels; name a data set with binarization"),
        ("experiments/realnvp-mnist/dataset", "binarized_mnist", "binary pixels; name a data set without binarization"),
        ("experiments/vae-20d/reference", "cifar", "experiments.vae-20d.reference"),
        ("experiments/vae-20d/family", "diffusion", "family"),
        ("experiments/vae-20d/ema", 1.0, "experiments.vae-20d.ema"),
        ("experiments/vae-20d", None, "experiments.vae-20d"),
        ("profile", "fast", "params.yaml: profile: input should be 'quick' or 'full', but it is 'fast'"),
        ("profiles/quick/source", "internet", "profiles.quick.source"),
        ("datasets/mnist/splits/quick/train", True, "datasets.mnist.splits.quick.train"),
        ("profiles/quick/fidelity/kid_subset_size", 5000, "kid_subset_size"),
        ("profiles/quick/likelihood/importance_samples", 0, "profiles.quick.likelihood.importance_samples"),
        ("profiles/quick/likelihood/train_images", 1, "profiles.quick.likelihood.train_images"),
        ("datasets/mnist/images", "emnist", "datasets.mnist.images: unknown images 'emnist'; known: mnist, "),
        ("datasets/mnist/images", "own/../../x", "datasets.mnist.images: unknown images 'own/../../x'"),
        ("experiments/vae-100d-planar/model/planar_layers", -1, "model.planar_layers"),
        ("experiments/vae-100d-iwae/model/importance_samples", 0, "model.importance_samples"),
        ("experiments/vae-100d-iwae/model/kl_warmup", 5.0, "kl_warmup"),
        ("experiments/vae-100d-planar/dataset", "mnist", "experiments.vae-100d-planar.dataset"),
        ("profiles/full/fidelity/confidence", 1.0, "profiles.full.fidelity.confidence"),
        ("experiments/realnvp-mnist/max_shift", 9, "experiments.realnvp-mnist.max_shift"),
        ("experiments/realnvp-mnist/model/alpha", None, "alpha belongs to preparation: logit"),
        ("experiments/realnvp-mnist/model/alpha", 0.7, "model.alpha"),
        ("experiments/realnvp-mnist/model/preparation", "scale", "alpha belongs to preparation: logit"),
        ("experiments/realnvp-mnist/model/architecture", "glow", "model.architecture"),
        ("experiments/realnvp-mnist/model/hidden", None, "architecture realnvp needs hidden"),
        ("experiments/realnvp-mnist/model/blocks", 2, "blocks does not belong to architecture realnvp"),
        ("experiments/realnvp-mnist/model/data_initialisation", True, "data_initialisation is for architecture nice"),
        ("experiments/realnvp-mnist-multiscale/model/channels", [8], "multiscale needs 2 numbers in channels"),
        ("experiments/realnvp-mnist-multiscale/model/channels", [8, 8, 8, 8], "model.channels"),
        ("experiments/realnvp-mnist-multiscale/model/channels/full", [8], "multiscale needs 2 numbers in channels"),
        ("experiments/nice-mnist/model/activation_norm", True, "activation_norm is for the architectures realnvp and"),
        ("experiments/realnvp-mnist-multiscale/model/channels/quick", [8, 0], "model.channels.quick.1"),
        ("recipes/sngan/batch_size", -1, "recipes.sngan.batch_size: input should be greater"),
        ("recipes/sngan/batch_size", {"quick": 32, "ful": 64}, "recipes.sngan.batch_size.ful: unknown key"),
        (
            "recipes/sngan/learning_rate/full",
            "fast",
            "recipes.sngan.learning_rate.full: input should be",
        ),
        ("experiments/realnvp-mnist-variational/model/variational_dequantization", {"couplings": 2}, "hidden"),
        ("datasets/mnist/binarization", "threshold", "threshold"),
        ("datasets/binarized_mnist/binarization", "stochastic", "binarization"),
        ("datasets/binarized_mnist/dequantization", "uniform", "dequantization is for 8-bit images, binarization"),
        ("references/mnist/dataset", "fashion", "references.mnist.dataset"),
        (
            "references/mnist/dataset",
            "cifar10",
            "references.mnist.extractor: mnist-v1 is for grey images, but cifar10 has colour images; use cifar10-v1",
        ),
        (
            "references/cifar10/extractor",
            "mnist-v1",
            "references.cifar10: classes is cifar10-v1, but",
        ),
        ("references/cifar10/classes", "cifar10-v1", "references.cifar10.classes: the embedded images for cifar10 are"),
        ("references/cifar10/classes", None, "references.cifar10: inception does not know the classes"),
        ("references/cifar10/classes", "none", "references.cifar10: inception does not know the classes"),
        ("references/mnist/dataset", "binarized_mnist", "references.mnist.dataset: binarized_mnist is binarised"),
        ("references/mnist/split", "valid", "references.mnist.split"),
        (
            "datasets/mnist/dequantization",
            "none",
            "realnvp-mnist.dataset is mnist, but flow models need noise; set datasets.mnist.dequantization to uniform",
        ),
        ("references/cifar10/published_samples", 9, "references.cifar10.published_samples"),
        (
            "references/cifar10/published_samples",
            999,
            "published_samples is 999, fewer than the 1000 of profiles.full.fidelity.kid_subset_size",
        ),
        ("references/mnist/extractor", "vgg16", "references.mnist.extractor"),
        ("references/mnist/extractor", {"quick": "mnist-v1", "full": "vgg16"}, "references.mnist.extractor"),
        ("runtime/threads", 0, "runtime.threads"),
        ("runtime/processes", 0, "runtime.processes"),
        ("runtime/processes", 3, "recipes.sngan.batch_size is 16, which the 3 of runtime.processes cannot"),
        ("surprise", 1, "surprise"),
        ("recipes/vae-20d/model/latnet", 20, "params.yaml: recipes.vae-20d.model.latnet: unknown key"),
        (
            "recipes/vae-20d/learning_rat",
            0.1,
            "recipes.vae-20d.learning_rat: unknown key; write `learning_rate` or remove it; if the recipe is of",
        ),
        ("recipes/vae-20d/epochs/quick", -1, "params.yaml: recipes.vae-20d.epochs.quick: "),
        (
            "recipes/vae-20d/epochs",
            3,
            "epochs: it must be one value per profile, such as {quick: 2, full: 20}, but it is 3",
        ),
        (
            "recipes/vae-20d/model",
            None,
            "recipes.vae-20d.model: it must be a mapping of keys to values, but it is None",
        ),
        ("recipes/vae-100d/batch_size", 10**5, "recipes.vae-100d.batch_size is 100000, more than the 10000"),
        ("recipes/vae-20d/seed", 0, "params.yaml: recipes.vae-20d.seed: move this key into experiments.vae-20d"),
        ("recipes/vae-20d", [1], "params.yaml: recipes.vae-20d: write keys and values here, not [1]"),
        ("recipes/planar/smoothing", 2.0, "params.yaml: recipes.planar.smoothing: "),
        ("recipes/sngan/players/judge", {"learning_rate": 0.1, "weight_decay": 0.0}, "recipes.sngan.players.judge: "),
        ("recipes", None, "params.yaml: recipes: "),
        ("experiments/vae-2d/model/latnet", 2, "params.yaml: experiments.vae-2d.model.latnet: unknown key"),
        ("experiments/vae-2d/epochs/full", -1, "params.yaml: experiments.vae-2d.epochs.full: "),
        (
            "experiments/vae-2d/recipe",
            "vae-2d",
            "experiments.vae-2d.recipe: unknown recipe 'vae-2d'; known recipes: vae",
        ),
        ("experiments/vae-2d/recipe", [], "params.yaml: experiments.vae-2d.recipe: unknown recipe []"),
        ("studies/planar-samples/smoothing", 2.0, "params.yaml: studies.planar-samples.smoothing: "),
        ("studies/planar-samples/study", "ising", "params.yaml: studies.planar-samples: study is 'ising'"),
    ],
)
def test_a_wrong_key_is_named(params: dict, key: str, value: object, names: str) -> None:
    with pytest.raises(TriptychError) as caught:
        parse(changed(params, key, value))
    sentence = str(caught.value)
    assert names in sentence
    assert "\n" not in sentence


PUBLISHED_FLOWS = {  # channels, couplings, and the learned noise, under profile full
    "published-flow": ([32], 8, None),
    "published-flow-variational": ([32], 8, (4, [16])),
    "published-flow-multiscale": ([32, 48, 64], 2, (4, [16])),
}


@pytest.mark.parametrize("name", PUBLISHED_FLOWS)
def test_the_published_flows_are_those_of_the_tutorial(params: dict, name: str) -> None:
    data = changed(params, "experiments/realnvp-mnist/recipe", name)
    experiment = parse(data | {"profile": "full"}).experiment("realnvp-mnist").at("full")
    model, found = experiment.model_at("full"), experiment.model_at("full").variational_dequantization
    noise = found and (found.couplings, found.hidden)
    assert (model.channels, model.couplings, noise) == PUBLISHED_FLOWS[name]
    assert (model.architecture, model.blocks, model.alpha) == ("gated", 3, 1e-5)
    training = (experiment.epochs, experiment.batch_size, experiment.learning_rate, experiment.gradient_clip)
    assert training == (200, 128, 1e-3, 1.0)
    decay = experiment.learning_rate_decay
    assert (experiment.schedule, decay.factor, decay.epochs) == ("constant", 0.99, None)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("channels", [8, 8], "architecture gated needs 1 or 3 numbers in channels"),
        ("channels/full", [8, 8], "architecture gated needs 1 or 3 numbers in channels"),
        ("variational_dequantization/hidden", [8, 8], "gated needs 1 number in variational_dequantization.hidden"),
        ("channels", [1], "architecture gated normalises over channels"),
        ("variational_dequantization/hidden", [1], "architecture gated normalises over channels"),
        ("blocks", None, "architecture gated needs blocks"),
        ("hidden", [8], "hidden does not belong to architecture gated"),
        ("activation_norm", True, "activation_norm is for the architectures realnvp and multiscale"),
    ],
)
def test_a_wrong_key_of_a_gated_flow_is_named(params: dict, key: str, value: object, words: str) -> None:
    data = changed(params, "experiments/realnvp-mnist/recipe", "published-flow-variational")
    model = data["recipes"]["published-flow-variational"]["model"]
    with pytest.raises(TriptychError, match=words):
        parse(changed(data, "experiments/realnvp-mnist/model", changed(model, key, value)))


def test_long_names_and_keys_are_named_where_they_stand(params: dict) -> None:
    """A name has at most 64 characters. A key of any length may be mistyped, and need not be a string."""
    name, key = "v" * 64, "k" * 100
    entry = params["experiments"]["vae-20d"]
    for place, found in ((key, "'kkk"), (1, "1")):
        with pytest.raises(TriptychError, match=rf"^params\.yaml: experiments\.'vvv\S+\.{found}\S*: "):
            parse(params | {"experiments": {name: entry | {place: 1}}})


def test_several_processes_on_mps_are_refused(params: dict) -> None:
    with pytest.raises(TriptychError, match=r"runtime: processes is 2, but only cpu and cuda support .*: write 1"):
        parse(params | {"runtime": params["runtime"] | {"device": "mps", "processes": 2}})


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("recipes/gan-mnist/learning_rate", "params.yaml: recipes.gan-mnist.learning_rate: this key is missing"),
        ("recipes/vae-20d/model/latent", "params.yaml: recipes.vae-20d.model.latent: this key is missing"),
        ("recipes/dirac/penalties", "params.yaml: recipes.dirac.penalties: this key is missing"),
        ("experiments/gan-mnist/seed", "params.yaml: experiments.gan-mnist.seed: this key is missing"),
        ("experiments/gan-mnist/family", "params.yaml: experiments.gan-mnist.family: this key is missing"),
        (
            "experiments/gan-mnist/recipe",
            "params.yaml: experiments.gan-mnist.recipe: this key is missing; known recipes",
        ),
        ("studies/planar-density/annealing/ramp", "studies.planar-density.annealing.ramp: this key is missing"),
    ],
)
def test_a_missing_key_is_named(params: dict, key: str, names: str) -> None:
    data = copy.deepcopy(params)
    *path, last = key.split("/")
    del reduce(lambda part, name: part[name], path, data)[last]
    with pytest.raises(TriptychError) as caught:
        parse(data)
    assert names in str(caught.value)


def test_a_recipe_of_another_family_is_named(params: dict) -> None:
    words = r"recipes\.gan-mnist\..*: unknown key; .*; if the recipe is of another family, change experiments\.vae-20d"
    with pytest.raises(TriptychError, match=words):
        parse(changed(params, "experiments/vae-20d/recipe", "gan-mnist"))


@pytest.mark.parametrize("name", ["vae-20d", 2024])
def test_a_misspelt_recipe_is_an_unknown_key(params: dict, name: object) -> None:
    data = copy.deepcopy(params)
    entry = data["experiments"][name] = data["experiments"].pop("vae-20d")
    entry["recip"] = entry.pop("recipe")
    with pytest.raises(TriptychError, match=rf"experiments\.{name}\.recip: unknown key; write `recipe`"):
        parse(data)


def test_an_experiment_is_its_recipe_with_its_own_settings(params: dict) -> None:
    data = changed(params, "experiments/vae-2d/model/activation", "relu")
    data["experiments"]["vae-2d"] |= {"ema": 0.9, "epochs": {"quick": 3}, "betas": [0.5, 0.6]}
    settings = parse(data)
    recipe, found = settings.experiment("vae-20d"), settings.experiment("vae-2d")
    changes = {"ema": 0.9, "betas": [0.5, 0.6], "epochs": recipe.epochs.model_copy(update={"quick": 3})}
    model = recipe.model.model_copy(update={"latent": 2, "activation": "relu"})
    assert found == recipe.model_copy(update={**changes, "model": model})
    assert "recipe" not in found.model_dump()


def test_null_turns_an_option_of_the_recipe_off(params: dict) -> None:
    assert parse(params).experiment("vae-100d-tuned").ema == 0.999
    assert parse(changed(params, "experiments/vae-100d-tuned/ema", None)).experiment("vae-100d-tuned").ema is None
    without_dropout = parse(changed(params, "experiments/gan-mnist/model/dropout", None))
    assert without_dropout.experiment("gan-mnist").model.dropout == 0.0
    off = {"reg_type": None, "reg_cf": None, "spectral_normalization": None, "generator_loss": None}
    data = copy.deepcopy(params)
    data["recipes"]["sngan"]["model"] |= {"reg_type": "r1gp", "reg_cf": 1.0, "spectral_normalization": True}
    data["experiments"]["cifar10-jsd-1"] |= {"players": None, "model": {"loss_type": "jsd", **off}}
    assert parse(params).experiment("cifar10-jsd-1").players
    found = parse(data).experiment("cifar10-jsd-1")
    assert found.players == {}
    assert [getattr(found.model, key) for key in off] == ["none", 0.0, False, "metric"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"epochs": None}, "epochs"),
        ({"model": {"latent": None}}, r"model\.latent"),
        ({"epochs": {"quick": None}}, r"epochs\.quick"),
    ],
)
def test_null_for_a_required_key_is_refused(params: dict, change: dict, key: str) -> None:
    data = copy.deepcopy(params)
    data["experiments"]["vae-20d"] |= change
    with pytest.raises(TriptychError, match=rf"experiments\.vae-20d\.{key} is null, but this key is required"):
        parse(data)


def test_null_for_a_key_that_the_recipe_lacks_is_refused(params: dict) -> None:
    with pytest.raises(TriptychError, match=r"experiments\.vae-20d\.emaa: unknown key"):
        parse(changed(params, "experiments/vae-20d/emaa", None))


def test_a_recipe_without_an_experiment_changes_no_experiment(params: dict) -> None:
    for spare in ({}, {"model": {"architecture": "realnvp"}}, {"iterations": {"quick": 1, "full": 2}}):
        assert parse(changed(params, "recipes/spare", spare)).experiments == parse(params).experiments


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("published-vae/learing_rate", -5, "published-vae.learing_rate: unknown key; write `learning_rate` or"),
        ("published-vae/learning_rate", -5, "published-vae.learning_rate: input should be greater than 0"),
        ("published-vae/epochs/ful", 2, "published-vae.epochs.ful: unknown key; write `full`"),
        ("published-vae/seed", 0, "published-vae.seed: move this key into an experiment or a study"),
        ("published-flow/model/couplngs", 2, "published-flow.model.couplngs: unknown key; write `couplings`"),
        ("spare", {"model": {"architecture": "resnet", "loss_typ": "w1"}}, "spare.model.loss_typ: unknown key; write"),
        ("spare", {"penalties": [], "rates": [-1]}, "spare.rates: unknown key"),
        ("spare", {"anything": 1}, "spare.anything: unknown key; remove it or correct its spelling"),
    ],
)
def test_a_wrong_key_of_an_unused_recipe_is_named(params: dict, key: str, value: object, words: str) -> None:
    with pytest.raises(TriptychError, match=rf"^params\.yaml: recipes\.{re.escape(words)}"):
        parse(changed(params, f"recipes/{key}", value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: {c: 1,\n c: 2}\n", "params.yaml, line 3: the key c stands twice in its mapping; delete one"),
        (
            "a:\n  b: 1\n c: 2\n",
            "params.yaml is not valid YAML: line 3: while parsing a block mapping, expected <block end>, but found "
            "'<block mapping start>'",
        ),
        ("a: *b\n", "params.yaml is not valid YAML: line 1: found undefined alias 'b'"),
        (
            "a: \1",
            "params.yaml is not valid YAML: unacceptable character #x0001: special characters are not allowed at "
            "position 3",
        ),
        ("[" * 5000, "params.yaml is not valid YAML: maximum recursion depth exceeded"),
    ],
)
def test_text_that_is_not_yaml_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(TriptychError) as caught:
        parse_text(text.encode())
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("override", "line", "value"),
    [
        ("profile=full", "profile: quick", "full"),
        ("recipes.vae-20d.learning_rate=4e-3", "    learning_rate: 1.0e-3", "0.004"),
        ("recipes.vae-20d.epochs.quick=3", "    epochs: {quick: 12, full: 40}", "quick: 3"),
        ("experiments.vae-2d.model.latent=3", "    model: {latent: 2}", "latent: 3"),
        ("+experiments.vae-20d.learning_rate=4e-3", None, "    learning_rate: 0.004"),
        ("studies.dirac.seed=3", "  dirac: {study: dirac, recipe: dirac, seed: 0}", "seed: 3"),
        ("studies.planar-density.seed=3", "    seed: 0", "seed: 3"),
        ("+experiments.nice-mnist.ema=0.9", None, "    ema: 0.9"),
    ],
)
def test_setting_one_value_with_dvc_changes_one_line(
    tmp_path: Path, override: str, line: str | None, value: str
) -> None:
    """DVC rewrites the whole file for `dvc exp run -S`; block lists and flow mappings of 80 columns do not change."""
    path = tmp_path / "params.yaml"
    before = (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(before) + "\n", encoding="utf-8")
    apply_overrides(path, [override])
    found = [line for line in difflib.ndiff(before, path.read_text(encoding="utf-8").splitlines()) if line[0] in "+-"]
    added, removed = ([each[2:] for each in found if each[0] == sign] for sign in "+-")
    assert [each.split("  #")[0] for each in removed] == ([line] if line else [])
    assert len(added) == 1
    assert value in added[0]
    load(path)


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8").replace("learning_rate: 1.0e-3", "learning_rate: 1e-3")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "params.yaml").experiment("vae-20d").learning_rate == 1e-3


def test_the_extractor_may_depend_on_the_profile(params: dict) -> None:
    reference = parse(params).references["cifar10"]
    assert {profile: reference.extractor_at(profile) for profile in PROFILES} == {
        "quick": "cifar10-v1",
        "full": "inception",
    }
    assert {reference.classifier_at(profile) for profile in PROFILES} == {"cifar10-v1"}
    assert {profile: reference.names_classes_at(profile, "cifar10") for profile in PROFILES} == {
        "quick": False,
        "full": True,
    }


def test_published_tables_are_of_inception_under_profile_full(params: dict) -> None:
    reference = parse(params).references["cifar10"]
    assert {profile: reference.published_at(profile) for profile in PROFILES} == {"quick": 0, "full": 50_000}
    with_classifier = parse(changed(params, "references/cifar10/extractor", "cifar10-v1")).references["cifar10"]
    assert with_classifier.published_at("full") == 0
    assert parse(params).references["mnist"].published_at("full") == 0


def test_a_classifier_is_a_reference_of_its_name(tiny: Settings, tiny_params: dict) -> None:
    assert tiny.compared_data(tiny.experiment("vae-20d").reference) == "mnist"
    wrong = changed(tiny_params, "classifiers/mnist/batch_size", 0)
    with pytest.raises(TriptychError, match=r"classifiers\.mnist\.batch_size"):
        parse(wrong)
    twice = changed(tiny_params, "references/mnist", {"dataset": "mnist", "extractor": "mnist-v1"})
    with pytest.raises(TriptychError, match=r"references\.mnist: classifiers has an entry of this name"):
        parse(twice)


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2", "", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(TriptychError, match=r"params\.yaml"):
        load(tmp_path / "params.yaml")


def test_stochastic_and_threshold_binarisation_are_options(params: dict) -> None:
    for kind in ({"binarization": "stochastic"}, {"binarization": "threshold", "threshold": 0.5}):
        whole = params["datasets"]["mnist"] | {"dequantization": "none", **kind}
        data = changed(params, "datasets/binarized_mnist", whole)
        assert isinstance(parse(data), Settings)


@pytest.mark.parametrize(
    ("key", "misspelt", "named"),
    [
        ("recipes/vae-20d/learning_rate", "lerning_rate", "recipes.vae-20d.lerning_rate: unknown key"),
        ("recipes/vae-20d/epochs/quick", "quik", "recipes.vae-20d.epochs.quik: unknown key"),
        ("experiments/vae-20d/family", "famly", "experiments.vae-20d.famly: unknown key"),
        ("studies/dirac/seed", "sed", "studies.dirac.sed: unknown key"),
        ("recipes", "recipies", "params.yaml: recipies: unknown key"),
    ],
)
def test_a_misspelt_key_is_named_instead_of_the_missing_one(params: dict, key: str, misspelt: str, named: str) -> None:
    data = copy.deepcopy(params)
    *path, last = key.split("/")
    part = reduce(dict.__getitem__, path, data)
    part[misspelt] = part.pop(last)
    with pytest.raises(TriptychError) as caught:
        parse(data)
    assert named in str(caught.value)


def test_published_images_of_another_kind_stand_beside_mnist(params: dict) -> None:
    """The example of the how-to, with a network whose classes are digits."""
    text = (ROOT / "docs" / "own-images.md").read_text(encoding="utf-8")
    example = YAML(typ="safe", pure=True).load(text.rpartition("```yaml")[2].partition("```")[0])
    settings = parse(params | {section: params[section] | entries for section, entries in example.items()})
    assert settings.datasets_of(["evaluate@nice-fashion"]) == ["fashion"]
    assert settings.datasets_of(["evaluate@vae-fashion"]) == ["fashion", "binarized_fashion"]
    on_fashion = [each.family for each in settings.experiments.values() if each.reference == "fashion"]
    assert on_fashion == ["vae", "gan", "flow"]
    assert settings.datasets_of(["evaluate@vae-20d", "planar"]) == list(settings.datasets)
    assert settings.datasets_of(["evaluate@vae-20d", "study@dirac"]) == ["mnist", "binarized_mnist"]
    fashion = settings.references["fashion"]
    assert fashion.names_classes_at("full", "mnist")
    assert not fashion.names_classes_at("full", settings.dataset("fashion").images)
