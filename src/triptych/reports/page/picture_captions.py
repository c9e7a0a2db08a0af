"""The captions of pictures on the page, by the beginning of their file names."""

from __future__ import annotations

from triptych.evaluation.presentation import presentations

CAPTIONS = {  # of pictures that no family has alone; families have their own in `evaluation/<family>/presentation.py`
    "M3.10-bounds": "From the ELBO to the log-likelihood of each VAE. The length of a line is the mean divergence of "
    "the encoder's posterior from the true posterior, as far as importance sampling estimates it.",
    "M3.2-transformation": "A planar layer moves points along u, by an amount that depends on w'z + b. If w'u is below "
    "-1, the layer folds the plane and has no inverse.",
    "M3.7-densities": "The densities of flows from data to base, fitted to samples of the densities on the left.",
    "M3.7-samples": "Points of the base distribution mapped through the inverse of these flows, beside the data.",
    "M3.7-likelihood": "Mean over new samples. On average, no model is below the entropy.",
    "M3.9-samples": "Samples of flows from base to data, from the same base points. Grey: the density that they fit.",
    "M3.9-kl": "Estimates from the training batches. A gap in a line is an estimate of zero or less.",
    "M2.6-trajectories": "The data point is 0, the generator is theta, and the slope of the critic is psi0. The cross "
    "is the equilibrium. The heading of each panel has the penalty and the verdict on the game.",
    "M2.6-distance": "The distance from the equilibrium over the iterations. A straight line means linear convergence. "
    "The scale begins at 0.0001: a curve that ends there comes closer.",
    "X2-fid": "FID on the features of one extractor. The dashed line is the score of real validation images.",
    "X2-kid": "KID on the same features.",
    "X2-seeds": "The result of each seed, and their mean. If the ranges of two experiments overlap, their order may be "
    "due to chance.",
    "X9-nearest": "The ten samples that are nearest to a training image, by the features of the classifier, above "
    "these training images. Of binary pixels, draws are compared.",
    "X2-is": "Inception score. Its maximum is the number of classes that the extractor distinguishes.",
}


def caption_of(picture: str) -> str:
    """Return the caption of a picture, given its file name without ending, or an empty string if it has none."""
    captions = {name: words for each in presentations() for name, words in each.captions.items()} | CAPTIONS
    return next((words for name, words in captions.items() if picture.startswith(name)), "")
