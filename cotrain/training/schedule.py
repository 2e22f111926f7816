"""The learning rate as a pure function of the iteration, so that resuming needs no scheduler state."""


def learning_rate(
    iteration: int,
    iterations: int,
    base: float,
    *,
    power: float,
    warmup_iterations: int,
    warmup_factor: float,
) -> float:
    """Return the learning rate of `iteration` (0-based) of `iterations`.

    Polynomial decay, base · (1 − i/T)^power, times a linear warm-up from `warmup_factor` to 1: the
    warm-up multiplies the decay, it does not precede it (as in Detectron2 and the published settings).
    """
    decay = (1 - iteration / iterations) ** power
    if iteration >= warmup_iterations:
        return base * decay
    done = iteration / warmup_iterations
    return base * decay * (warmup_factor * (1 - done) + done)
