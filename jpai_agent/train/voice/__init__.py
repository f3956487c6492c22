"""Training of the voice part: synthetic voices and rooms, the embedded recogniser, its export and its measure."""
