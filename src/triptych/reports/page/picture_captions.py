"""What to see in each picture, in a sentence or two, by the beginning of its file's name."""

CAPTIONS = {
    "U1.13-elbo": "The bound on the log-likelihood over training. The first point is the untrained model, near "
    "-784 log 2 = -543.4 if its decoder is undecided; training values are means over an epoch while the weights move.",
    "U1.14-means": "What the decoder makes of 25 latents, the same at each time: the means of its Bernoulli pixels.",
    "U1.14-draws": "The same latents, drawn from the Bernoulli pixels: what the model really says an image is.",
    "U1.12-reconstructions": "Test images, and what the decoder makes of latents drawn from their posterior.",
    "U1.15-manifold": "What each point of the latent plane decodes to; digits change smoothly into each other.",
    "U1.15-posterior": "Where the encoder puts test images; the closer the cloud is to the prior, the better samples "
    "from the prior are.",
    "M3.10-bounds": "The line from the ELBO to the log-likelihood is the mean distance between the encoder's posterior "
    "and the true one, as far as importance sampling finds it.",
    "U2.5-losses": "Both players' losses; 2 log 2 = 1.386 for a discriminator that cannot tell, log 2 = 0.693 for its "
    "opponent. Validation images are ones that neither has seen.",
    "U2.6-samples": "What the generator makes of 25 latents, the same at each time.",
    "U2.7-interpolations": "From one sample to another of a different digit, over seven latents in between. Where they "
    "show no digit, the generator has learned the places and not the ways between them.",
    "M2.7-losses": "The critic's loss is minus its estimate, plus its penalty where it has one.",
    "M2.7a-samples": "What the averaged generator makes of 100 latents after training.",
    "M2.7a-stages": "What it makes of 25 latents, the same at each time.",
    "M2.7c-progress": "The critic's estimate on validation images, and FID of the samples, at each snapshot. Where one "
    "falls and the other does not, only FID tells that samples get better.",
    "U3.8-bits-per-dimension": "Negative log-likelihood of the 8-bit images, in bits per dimension; a uniform model "
    "scores 8. Lower is better.",
    "U3.8-log-likelihood": "The same in nats per image; higher is better.",
    "U3.8-samples": "25 latents taken back through the flow, the same at each time.",
    "R1-bits-per-dimension": "Negative log-likelihood of the 8-bit images, in bits per dimension; a uniform model "
    "scores 8. Lower is better.",
    "R1-log-likelihood": "The same in nats per image; higher is better.",
    "R1-samples": "25 latents taken back through the flow, the same at each time.",
    "R2-layers": "Ten latents on their way to an image: z, and what the inverse of each layer makes of it, taken "
    "through the preparation to be seen. Few layers move everything at once: the digit comes late.",
    "R3-traversals": "Two test images of different digits, and what the flow makes of ten points on the straight line "
    "between their latents; the ends are the images themselves, level for level.",
    "M3.2-transformation": "A planar layer pushes points along u, one way or the other by the side of the line "
    "w'z + b = 0 that they are on: it splits, shears or squeezes. Where w'u is below -1 it folds the plane.",
    "M3.7-densities": "What flows from data to base have learned from samples of the densities on the left.",
    "M3.7-samples": "Base points sent back through these flows, beside samples of the data.",
    "M3.7-likelihood": "Mean over fresh samples. No model can be below the entropy, on average.",
    "M3.9-samples": "What flows from base to data make of the same base points; grey: the density they are fitted to.",
    "M3.9-kl": "Estimated from the batches of training; a gap in a line is an estimate at or below zero. While "
    "the annealed energy is weak, the flow is wider than the density.",
    "M2.6-trajectories": "Data at 0, a generator at theta, a critic of slope psi0. Without a penalty W1 goes round for "
    "ever; R1 leads to the cross, a one-centred penalty to a ring around it. The average of theta comes near anyway.",
    "M2.6-distance": "A straight line is linear convergence. Without a penalty jsd decays like the root of time.",
    "X2-fid": "FID on the features of one extractor. The dashed line: real validation images.",
    "X2-kid": "KID on the same features; bars show its standard deviation over subsets.",
    "X2-samples": "What each model makes of noise after training.",
    "X2-seeds": "What each seed gave, and their mean. Where two bars overlap, the order may be luck.",
    "X2-is": "Inception score, at most the number of classes that the extractor tells apart.",
}


def caption_of(picture: str) -> str:
    """The caption of a picture, by its file's name; empty where there is none."""
    return next((words for name, words in CAPTIONS.items() if picture.startswith(name)), "")
