"""Numbers in sentences: a message about one file says "1 file is", and one about two says "2 files are"."""


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: counted(2, "round") is "2 rounds".

    `several` is needed for what does not end in a plain s: counted(1, "label has", "labels have").
    """
    return f"{number} {agreeing(number, one, several or f'{one}s')}"


def agreeing(number: int, one: str, several: str) -> str:
    """Return the word that fits a number: agreeing(1, "is", "are") is "is"."""
    return one if number == 1 else several
