"""The formats of measured numbers, which are the same on the page and in tables, sentences and pictures."""

FID = "{:z,.2f}"
NATS = "{:,.2f}"  # of likelihoods and bounds, per image
DIFFERENCE = "{:+,.2f}"  # of two numbers in nats
BITS_PER_DIMENSION = "{:.3f}"
