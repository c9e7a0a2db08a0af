"""What a user would otherwise run: plain loops in the style of the course documents, written for the comparison.

Each has the model, objective, batch and optimiser settings of the experiment that it is compared with. Images come one
by one from a `Dataset`, with a transform each, through a shuffling `DataLoader` with two workers; Adam is
`torch.optim.Adam` as it comes; the loss is read at every step. They are not crippled: no image goes through PIL, as
torchvision's would, workers are started before the clock is, no schedule or averaging of weights is added where a
document has none, and nothing is recorded, validated or saved.
"""
