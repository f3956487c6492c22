"""Data, training and evaluation of the embedded model: the corpus becomes samples, samples a checkpoint, a checkpoint figures."""
