"""The captions of pictures on the page, by the beginning of their file names."""

from __future__ import annotations

from triptych.evaluation.presentation import presentations

CAPTIONS = {  # of comparisons and studies; families have their own in `evaluation/<family>/presentation.py`
    "M3.10-bounds": "From the ELBO to the log-likelihood. The length of a line is the mean divergence of the encoder's "
    "posterior from the true one, as far as importance sampling estimates it.",
    "M3.2-transformation": "A planar layer moves points along u, by an amount that depends on w'z + b. It can split, "
    "shear or squeeze a density. If w'u is below -1, it folds the plane and has no inverse.",
    "M3.7-densities": "The densities of flows from data to base, fitted to samples of the densities on the left.",
    "M3.7-samples": "Base points mapped through the inverse of these flows, beside samples of the data.",
    "M3.7-likelihood": "Mean over new samples. On average, no model is below the entropy.",
    "M3.9-samples": "Samples of flows from base to data, from the same base points; grey: the density that they fit.",
    "M3.9-kl": "Estimated from the training batches. A gap in a line is an estimate of zero or less. While the energy "
    "is still annealed, the flow is wider than the density.",
    "M2.6-trajectories": "The data point is 0, the generator is theta, and the critic has the slope psi0. The "
    "heading of each panel has the verdict on the game. R1 leads to the equilibrium (cross), a one-centred penalty to "
    "a circle around it. The average of theta is close to 0.",
    "M2.6-distance": "The distance from the equilibrium over the iterations. A straight line means linear convergence.",
    "X2-fid": "FID on the features of one extractor. The dashed line is the score of real validation images.",
    "X2-kid": "KID on the same features, with its standard error.",
    "X2-samples": "Samples of each model after training.",
    "X2-seeds": "The result of each seed, and their mean. If the ranges of two experiments overlap, their order may be "
    "due to chance.",
    "X9-nearest": "Above: the ten samples that are nearest to a training image, in the features of the classifier; of "
    "binary pixels, draws are compared. Below: these training images. The share says how often a sample is nearer to a "
    "training image than a real test image is: 0.5 for new real images, 1 for copies. Below 0.5, the samples are "
    "farther from the training images than real images are.",
    "X2-is": "Inception score. Its maximum is the number of classes that the extractor distinguishes.",
}


def caption_of(picture: str) -> str:
    """Return the caption of a picture, given its file name without ending, or an empty string if it has none."""
    captions = {**CAPTIONS, **{name: words for each in presentations() for name, words in each.captions.items()}}
    return next((words for name, words in captions.items() if picture.startswith(name)), "")
