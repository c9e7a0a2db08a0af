"""The VAE that pythae publishes, trained and measured by pythae: `TRIPTYCH_DATA=DIR python benchmarks/pythae_vae.py`.

It prints the negative ELBO after each epoch, in nats per image, and at the end log p of the test images. Model, data
and training settings are those of the recipe `published-vae`. As in pythae, the epoch with the best validation ELBO is
measured. The command needs the network, to install pythae, and about an hour on one thread. The rows in
`histories/pythae-vae.csv` are those of docs/results.md.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

EXPERIMENT, RECIPE, DRAWS = "vae-20d", "published-vae", 200


def main() -> None:
    """Write the images and the settings to a temporary folder, and train in an environment that has pythae."""
    from ruamel.yaml import YAML

    from data_sets import prepared
    from harness import ROOT
    from libraries import install
    from triptych.settings.params import parse

    if not os.environ.get("TRIPTYCH_DATA"):
        sys.exit("TRIPTYCH_DATA is not set: name the folder that has binarized_mnist.npz")
    tree = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tree["experiments"][EXPERIMENT]["recipe"] = RECIPE
    settings = parse(tree)
    experiment = settings.experiment(EXPERIMENT).at("full")
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = prepared(settings, experiment.dataset, folder)
        for split in ("train", "valid", "test"):
            np.save(folder / f"{split}.npy", data.images(split))
        words = {
            "epochs": experiment.epochs,
            "batch_size": experiment.batch_size,
            "learning_rate": experiment.learning_rate,
            "decay": experiment.learning_rate_decay.model_dump(),
            "model": experiment.model_at("full").model_dump(mode="json"),
        }
        (folder / "settings.json").write_text(json.dumps(words), encoding="utf-8")
        subprocess.run([str(install(folder / "environment")), __file__, name], check=True)


def train(folder: Path) -> None:
    """Train with pythae, and print one row per epoch and one for log p."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    from library_loops import pythae_vae

    class Rows(TrainingCallback):
        def on_log(self, training_config: object, logs: dict[str, float], **others: object) -> None:
            print(f"{others['global_step']},{logs['train_epoch_loss']:.4f},{logs['eval_epoch_loss']:.4f},", flush=True)

    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    model, decay = settings["model"], settings["decay"]
    images = {
        split: torch.from_numpy(np.load(folder / f"{split}.npy", allow_pickle=False)).float()
        for split in ("train", "valid", "test")
    }
    train_set, valid_set = (
        BaseDataset(images[split].view(-1, 1, 28, 28), torch.zeros(len(images[split]))) for split in ("train", "valid")
    )
    trainer = BaseTrainer(
        pythae_vae(model["hidden"], model["latent"], nn.ReLU),
        train_dataset=train_set,
        eval_dataset=valid_set,
        training_config=BaseTrainerConfig(
            output_dir=str(folder / "pythae"),
            num_epochs=settings["epochs"],
            per_device_train_batch_size=settings["batch_size"],
            per_device_eval_batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
            optimizer_cls="Adam",
            scheduler_cls="MultiStepLR",
            scheduler_params={"milestones": decay["epochs"], "gamma": decay["factor"]},
            no_cuda=True,
        ),
        callbacks=[Rows()],
    )
    print("epoch,train_negative_elbo,valid_negative_elbo,test_log_likelihood")
    trainer.train()
    best = trainer._best_model.eval()
    with torch.no_grad():
        print(f",,,{best.get_nll(images['test'].view(-1, 1, 28, 28), n_samples=DRAWS):.4f}")


if __name__ == "__main__":
    train(Path(sys.argv[1])) if sys.argv[1:] else main()
