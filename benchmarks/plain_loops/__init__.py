"""Plain training loops in the style of the course documents, written for the comparison with Triptych.

Each loop has the model, objective, batch size, learning rate, betas and weight decay of the experiment that it is
compared with, but does not clip gradients. Images come one by one from a `Dataset`, with one transform each, through a
shuffling `DataLoader` with two workers; Adam is `torch.optim.Adam`; the loss is read at every step. The loops are not
slowed down: the workers start before the timing, there is no schedule or weight averaging unless a document has one,
and nothing is recorded, validated or saved.
"""
